//! One single-threaded runtime per core, for the public listener.
//!
//! The kernel spreads connections over the listeners of all cores (`SO_REUSEPORT`). A connection
//! stays on the core that accepted it, with its requests and their upstream connections, so no task
//! moves between threads and locks on the hot path are uncontended. Background work and the
//! operators' listener run on a separate runtime.

use std::io;
use std::num::NonZeroUsize;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_util::future::join_all;
use line::core_thread;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::connections::Connections;
use super::serve::{Answering, ServeConfig, serve_counted};

/// How often a runtime wakes up without a reason. A timer that is set for an earlier moment than
/// the runtime's next wake-up costs a system call, and requests set timers of a second and more.
const WAKES_EVERY: Duration = Duration::from_millis(500);

/// Asks the cores whether their threads run.
#[derive(Clone, Debug)]
pub struct Pulse(Vec<Handle>);

impl Pulse {
    /// Whether every core does a piece of work within `patience`. One that hangs, or is busy with
    /// one thing for so long, does not.
    pub async fn is_felt(&self, patience: Duration) -> bool {
        let asked: Vec<_> = self.0.iter().map(|core| core.spawn(async {})).collect();
        // A core that has ended gives the work up, which is an answer too.
        tokio::time::timeout(patience, join_all(asked))
            .await
            .is_ok()
    }
}

/// The runtimes. Their threads end when this is dropped.
#[derive(Debug)]
pub struct Cores {
    handles: Vec<Handle>,
    threads: Vec<JoinHandle<()>>,
    end: CancellationToken,
}

impl Cores {
    /// Starts `count` runtimes.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let mut cores = Self {
            handles: Vec::with_capacity(count.get()),
            threads: Vec::with_capacity(count.get()),
            end: CancellationToken::new(),
        };
        for number in 0..count.get() {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            cores.handles.push(runtime.handle().clone());
            let end = cores.end.clone();
            let thread = thread::Builder::new().name(format!("core-{number}"));
            let thread = thread.spawn(move || {
                core_thread::begin(number);
                runtime.block_on(async {
                    tokio::select! {
                        () = end.cancelled() => {}
                        () = wake_up_often() => {}
                    }
                });
                // The tasks that remain were given up; a blocking call must not delay the shutdown.
                runtime.shutdown_background();
            })?;
            cores.threads.push(thread);
        }
        Ok(cores)
    }

    /// Serves each of `listeners`, which belong together by the way they are served, on a core of
    /// its own until `shutdown`, as [`serve`](super::serve::serve) does. The limits on connections,
    /// those of the first, hold for all together.
    pub fn serve<A: Answering>(
        &self,
        listeners: Vec<(Vec<std::net::TcpListener>, ServeConfig)>,
        answering: &A,
        shutdown: &CancellationToken,
    ) -> impl Future<Output = io::Result<()>> + Send + use<A> {
        let limits = listeners.first().map(|(_, config)| &config.connections);
        let places = Connections::new(limits.cloned().unwrap_or_default());
        let served = listeners.into_iter().flat_map(|(listeners, config)| {
            let on_cores = listeners.into_iter().zip(self.handles.iter().cycle());
            on_cores.map(move |(listener, core)| (listener, core, config.clone()))
        });
        let serving = served.map(|(listener, core, config)| {
            let (answering, places) = (answering.clone(), places.clone());
            let shutdown = shutdown.clone();
            core.spawn(async move {
                // A listener is registered with the runtime in which it is created.
                let listener = TcpListener::from_std(listener)?;
                serve_counted(listener, answering, config, places, shutdown).await;
                Ok(())
            })
        });
        let serving: Vec<_> = serving.collect();
        async {
            let ended = join_all(serving).await;
            let ended = ended
                .into_iter()
                .map(|core| core.unwrap_or_else(|e| Err(e.into())));
            ended.collect()
        }
    }

    /// What asks them whether they run.
    pub fn pulse(&self) -> Pulse {
        Pulse(self.handles.clone())
    }

    /// Ends the runtimes and waits for their threads.
    pub async fn end(mut self) {
        self.end.cancel();
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(|| {
            for thread in threads {
                // A thread that panicked has ended too.
                let _ended = thread.join();
            }
        });
        let _joined = joined.await;
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// Never resolves.
async fn wake_up_often() {
    let mut wakes = interval(WAKES_EVERY);
    wakes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        wakes.tick().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

    #[tokio::test]
    async fn a_core_that_hangs_has_no_pulse() {
        let cores = Cores::start(TWO).unwrap();
        let pulse = cores.pulse();
        assert!(pulse.is_felt(Duration::from_secs(5)).await);
        let (free, hangs) = std::sync::mpsc::channel::<()>();
        cores.handles[1].spawn(async move { hangs.recv().is_ok() });
        assert!(!pulse.is_felt(Duration::from_millis(200)).await);
        free.send(()).unwrap();
        assert!(pulse.is_felt(Duration::from_secs(5)).await);
        cores.end().await;
        assert!(pulse.is_felt(Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn each_core_is_one_thread() {
        let cores = Cores::start(TWO).unwrap();
        let mut threads = Vec::new();
        for core in &cores.handles {
            threads.push(core.spawn(async { thread::current().id() }).await.unwrap());
            let again = core.spawn(async { thread::current().id() }).await.unwrap();
            assert_eq!(threads.last(), Some(&again));
        }
        assert_ne!(threads[0], threads[1]);
        cores.end().await;
    }
}

//! The streams of a connection that speaks HTTP/2: how many there are, whether they move, and
//! whether the client only makes work.
//!
//! A client may open streams and reset them at once, without waiting for answers (CVE-2023-44487):
//! the work for each is done, and none counts against the number of concurrent streams. And it may
//! leave answers unread by not opening the window of a stream, while the socket moves. HTTP/1 has
//! neither: there, a client that goes away takes its connection with it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::standing::{Moves, Standing};

tokio::task_local! {
    /// How the stream stands whose task runs.
    static OWN: Arc<Standing>;
}

/// Requests that a client may give up before their answers have begun, beyond those that were
/// answered: a browser that leaves a page gives up tens of them, and a proxy in front those of many
/// fans, beside many more that are answered.
const GIVEN_UP_MAX: u64 = 200;

/// Longest times of a connection without progress.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Until the first request.
    pub(super) head: Duration,
    /// Without a stream.
    pub(super) rest: Duration,
    /// While the client takes nothing of an answer that waits for it: the stream is reset then. And
    /// after the order to leave until the client has closed.
    pub(super) stall: Duration,
}

/// How the stream stands whose task asks.
pub(super) fn own_standing() -> Option<Arc<Standing>> {
    OWN.try_with(Arc::clone).ok()
}

/// The streams of a connection. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Streams(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    moves: Arc<Moves>,
    tasks: TaskTracker,
    has_asked: AtomicBool,
    /// Tasks of streams.
    running: AtomicUsize,
    /// When that number was last zero, in milliseconds since the beginning.
    rests_since_ms: AtomicU64,
    /// How each stands.
    standings: Mutex<Vec<Arc<Standing>>>,
    /// Requests that the client gave up, less those that were answered.
    given_up: AtomicU64,
    flooded: CancellationToken,
}

/// What is to become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is looked at again then.
    Wait(Instant),
    /// It has rested for long enough: no new streams are taken.
    Leave,
}

impl Streams {
    /// Those of a new connection, each in a task of `tasks`.
    pub(super) fn new(tasks: TaskTracker) -> Self {
        Self(Arc::new(Shared {
            moves: Arc::new(Moves::new()),
            tasks,
            has_asked: AtomicBool::new(false),
            running: AtomicUsize::new(0),
            rests_since_ms: AtomicU64::new(0),
            standings: Mutex::default(),
            given_up: AtomicU64::new(0),
            flooded: CancellationToken::new(),
        }))
    }

    /// A request has come. It counts as given up unless it is answered.
    pub(super) fn ask(&self) -> Asking {
        self.0.has_asked.store(true, Ordering::Relaxed);
        Asking {
            streams: self.clone(),
            is_answered: false,
        }
    }

    /// Whether a request has come.
    pub(super) fn have_asked(&self) -> bool {
        self.0.has_asked.load(Ordering::Relaxed)
    }

    /// Whether the socket of the connection takes bytes.
    pub(super) fn socket_takes(&self, takes: bool) {
        self.0.moves.socket_takes(takes);
    }

    /// Resolves when the client has given up too many requests.
    pub(super) async fn flooded(&self) {
        self.0.flooded.cancelled().await;
    }

    /// What is to become of the connection at `now`.
    pub(super) fn verdict(&self, now: Instant, patience: Patience) -> Verdict {
        let shared = &*self.0;
        if shared.running.load(Ordering::Relaxed) == 0 {
            let span = if self.have_asked() {
                patience.rest
            } else {
                patience.head
            };
            let rests_since = Duration::from_millis(shared.rests_since_ms.load(Ordering::Relaxed));
            let ends = shared.moves.began() + rests_since + span;
            return if now >= ends {
                Verdict::Leave
            } else {
                Verdict::Wait(ends)
            };
        }
        let standings = self.standings();
        let stalls = standings
            .iter()
            .filter_map(|standing| standing.stalls_at(now, patience.stall));
        let later = now + patience.rest.min(patience.stall);
        // Those that are given up at this moment end soon.
        Verdict::Wait(stalls.filter(|at| *at > now).fold(later, Instant::min))
    }

    /// Gives up the streams whose client has taken nothing for `stall`. How many there are.
    pub(super) fn give_up_stalled(&self, now: Instant, stall: Duration) -> u64 {
        let mut count = 0;
        for standing in self.standings().iter() {
            if standing.stalls_at(now, stall).is_some_and(|at| at <= now) {
                standing.taken();
                standing.give_up();
                count += 1;
            }
        }
        count
    }

    /// Ignores poisoning: every change of the list is a single call.
    fn standings(&self) -> MutexGuard<'_, Vec<Arc<Standing>>> {
        let standings = self.0.standings.lock();
        standings.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each stream is a task, which is counted.
impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.running.fetch_add(1, Ordering::Relaxed);
        let standing = Arc::new(Standing::new(self.0.moves.clone()));
        self.standings().push(standing.clone());
        let running = Running {
            streams: self.clone(),
            standing: standing.clone(),
        };
        self.0.tasks.spawn(async move {
            // A stream whose task ends before its answer is reset.
            tokio::select! {
                biased;
                () = OWN.scope(standing.clone(), stream) => {}
                () = standing.given_up() => {}
            }
            drop(running);
        });
    }
}

/// A task of a stream.
struct Running {
    streams: Streams,
    standing: Arc<Standing>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut standings = self.streams.standings();
        if let Some(at) = standings
            .iter()
            .rposition(|standing| Arc::ptr_eq(standing, &self.standing))
        {
            standings.swap_remove(at);
        }
        drop(standings);
        let shared = &*self.streams.0;
        let now_ms = shared.moves.now_ms();
        shared.rests_since_ms.store(now_ms, Ordering::Relaxed);
        shared.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that is being answered.
pub(super) struct Asking {
    streams: Streams,
    is_answered: bool,
}

impl Asking {
    /// Its answer begins.
    pub(super) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let given_up = &self.streams.0.given_up;
        if self.is_answered {
            let less = |count: u64| Some(count.saturating_sub(1));
            let _ = given_up.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        } else if given_up.fetch_add(1, Ordering::Relaxed) >= GIVEN_UP_MAX {
            self.streams.0.flooded.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(10),
        rest: Duration::from_secs(75),
        stall: Duration::from_secs(60),
    };

    fn streams() -> Streams {
        Streams::new(TaskTracker::new())
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    fn verdict(streams: &Streams) -> Verdict {
        streams.verdict(Instant::now(), PATIENCE)
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_leaves_soon_and_one_at_rest_later() {
        let streams = streams();
        let began = Instant::now();
        assert_eq!(verdict(&streams), Verdict::Wait(began + PATIENCE.head));
        pass(10).await;
        assert_eq!(verdict(&streams), Verdict::Leave);
        streams.ask().answered();
        assert_eq!(verdict(&streams), Verdict::Wait(began + PATIENCE.rest));
        pass(65).await;
        assert_eq!(verdict(&streams), Verdict::Leave);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_keeps_its_connection_and_the_rest_begins_at_its_end() {
        let streams = streams();
        let end = CancellationToken::new();
        streams.ask().answered();
        streams.execute(end.clone().cancelled_owned());
        pass(1000).await;
        assert!(matches!(verdict(&streams), Verdict::Wait(_)));
        end.cancel();
        streams.0.tasks.close();
        streams.0.tasks.wait().await;
        pass(74).await;
        assert!(matches!(verdict(&streams), Verdict::Wait(_)));
        pass(1).await;
        assert_eq!(verdict(&streams), Verdict::Leave);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_stalls_ends_alone() {
        let streams = streams();
        let (waits, waiting) = tokio::sync::oneshot::channel();
        streams.execute(async move {
            own_standing().unwrap().hand_on();
            assert!(waits.send(()).is_ok());
            std::future::pending::<()>().await;
        });
        streams.execute(std::future::pending());
        waiting.await.unwrap();
        let began = Instant::now();
        assert_eq!(verdict(&streams), Verdict::Wait(began + PATIENCE.stall));
        pass(59).await;
        assert_eq!(streams.give_up_stalled(Instant::now(), PATIENCE.stall), 0);
        pass(1).await;
        assert_eq!(streams.give_up_stalled(Instant::now(), PATIENCE.stall), 1);
        assert_eq!(streams.give_up_stalled(Instant::now(), PATIENCE.stall), 0);
        while streams.standings().len() > 1 {
            tokio::task::yield_now().await;
        }
        // The other has nothing to say, for as long as it likes.
        pass(1000).await;
        assert_eq!(streams.give_up_stalled(Instant::now(), PATIENCE.stall), 0);
        assert!(matches!(verdict(&streams), Verdict::Wait(_)));
        assert_eq!(streams.0.running.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn who_only_gives_up_floods_and_who_gives_up_some_does_not() {
        let streams = streams();
        for _ in 0..10 * GIVEN_UP_MAX {
            drop(streams.ask());
            streams.ask().answered();
        }
        let before = || std::pin::pin!(streams.flooded()).now_or_never().is_some();
        assert!(!before());
        for _ in 0..=GIVEN_UP_MAX {
            drop(streams.ask());
        }
        assert!(before());
    }
}

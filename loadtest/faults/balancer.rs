//! The balancer that stands before all gateways: new connections go to them in turn, first to
//! those that say they are ready. Connections to a gateway that hangs hang, as with any balancer
//! that does not read what it carries.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Client;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::timetable::GATEWAYS;

/// Time between two looks at the gateways.
const LOOK_PERIOD: Duration = Duration::from_millis(500);
/// How long a gateway may take to say that it is ready.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// How long a connection to a gateway may take.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// Where a running gateway listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    pub public: SocketAddr,
    pub ops: SocketAddr,
}

/// How a gateway is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    /// It says nothing.
    #[default]
    Silent,
    /// It runs, and something that it needs is away.
    Unready,
    /// It can serve.
    Ready,
}

/// A gateway as the balancer sees it.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    backend: Option<Backend>,
    health: Health,
}

/// The gateways that run.
#[derive(Default)]
pub(crate) struct Backends {
    seen: Mutex<[Seen; GATEWAYS]>,
    turn: AtomicUsize,
}

impl Backends {
    fn lock(&self) -> MutexGuard<'_, [Seen; GATEWAYS]> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes where gateway `number` listens now, if it runs.
    pub(crate) fn set(&self, number: usize, backend: Option<Backend>) {
        if let Some(seen) = self.lock().get_mut(number) {
            *seen = Seen {
                backend,
                health: Health::Silent,
            };
        }
    }

    /// Where gateway `number` listens, if it runs.
    pub(crate) fn get(&self, number: usize) -> Option<Backend> {
        self.lock().get(number)?.backend
    }

    /// The gateways in the order in which the next connection tries them.
    fn order(&self) -> Vec<Backend> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        in_turn(*self.lock(), turn)
    }

    /// Asks every gateway how it is, once.
    async fn look(&self, http: &Client) {
        let looks = (0..GATEWAYS).map(|number| async move {
            let Some(backend) = self.get(number) else {
                return;
            };
            let ready = http.get(format!("http://{}/readyz", backend.ops)).send();
            let health = match ready.await {
                Ok(answer) if answer.status().is_success() => Health::Ready,
                Ok(_) => Health::Unready,
                Err(_) => Health::Silent,
            };
            // Unless it was started anew meanwhile.
            let seen = &mut self.lock()[number];
            if seen.backend == Some(backend) {
                seen.health = health;
            }
        });
        futures_util::future::join_all(looks).await;
    }
}

/// Those that run: the ready ones first, among equals beginning with number `turn`.
fn in_turn(mut seen: [Seen; GATEWAYS], turn: usize) -> Vec<Backend> {
    seen.rotate_left(turn % GATEWAYS);
    seen.sort_by_key(|seen| std::cmp::Reverse(seen.health));
    seen.iter().filter_map(|seen| seen.backend).collect()
}

/// A balancer for one of the gateways' listeners.
pub(crate) struct Balancer {
    /// Where it listens.
    pub address: SocketAddr,
    _accepting: AbortOnDropHandle<()>,
}

impl Balancer {
    /// Listens on a free port for the listeners that `side` chooses.
    pub(crate) async fn start(
        backends: Arc<Backends>,
        side: fn(&Backend) -> SocketAddr,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let tasks = TaskTracker::new();
        let connections = tasks.clone();
        let accepting = tasks.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, backends.clone(), side));
            }
        });
        Ok(Self {
            address,
            _accepting: AbortOnDropHandle::new(accepting),
        })
    }
}

/// Looks after the health of all gateways, until dropped.
pub(crate) async fn look_after(backends: &Backends) -> anyhow::Result<()> {
    let http = Client::builder().no_proxy().timeout(ANSWER_MAX).build()?;
    let mut looks = tokio::time::interval(LOOK_PERIOD);
    loop {
        looks.tick().await;
        backends.look(&http).await;
    }
}

async fn carry(mut client: TcpStream, backends: Arc<Backends>, side: fn(&Backend) -> SocketAddr) {
    for backend in backends.order() {
        let connected = TcpStream::connect(side(&backend));
        if let Ok(Ok(mut server)) = tokio::time::timeout(CONNECT_MAX, connected).await {
            // However it ends, both sides notice.
            let _ended = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(number: u16, health: Health) -> Seen {
        let backend = Backend {
            public: SocketAddr::from(([127, 0, 0, 1], number)),
            ops: SocketAddr::from(([127, 0, 0, 1], number)),
        };
        Seen {
            backend: Some(backend),
            health,
        }
    }

    fn order(seen: [Seen; GATEWAYS], turn: usize) -> Vec<u16> {
        let order = in_turn(seen, turn);
        order.iter().map(|backend| backend.public.port()).collect()
    }

    #[test]
    fn ready_gateways_take_turns() {
        let all = [1, 2, 3].map(|number| seen(number, Health::Ready));
        assert_eq!(order(all, 0), [1, 2, 3]);
        assert_eq!(order(all, 4), [2, 3, 1]);
    }

    #[test]
    fn whoever_is_not_ready_comes_last_and_whoever_is_down_not_at_all() {
        let some = [
            seen(1, Health::Silent),
            seen(2, Health::Unready),
            seen(3, Health::Ready),
        ];
        assert_eq!(order(some, 0), [3, 2, 1]);
        let down = [some[0], Seen::default(), some[2]];
        assert_eq!(order(down, 1), [3, 1]);
    }
}

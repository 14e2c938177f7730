//! Idle connections to one upstream.
//!
//! Each thread takes back the connections that it put into the pool itself, so a connection stays
//! with the runtime in which its socket is registered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use line::core_thread::PerCore;
use tokio_util::task::TaskTracker;

use super::connection::Connection;
use super::multiplexed::{Multiplexed, Stream};

/// Limits of a connection pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolLimits {
    /// Longest idle time of a connection.
    pub(super) rest_max: Duration,
    /// Idle connections per thread.
    pub(super) count_max: usize,
}

/// A connection pool with one list per core.
pub(super) struct Pool {
    limits: PoolLimits,
    shelves: PerCore<Mutex<Shelf>>,
}

/// Where a connection goes after its response has been read.
#[derive(Clone)]
pub(super) struct Home {
    /// `None` when idle connections are not kept.
    pub(super) pool: Option<Arc<Pool>>,
    /// Tracks the tasks that drive detached connections and close idle ones.
    pub(super) tasks: TaskTracker,
}

/// The idle connections of one thread, the most recently used last.
#[derive(Default)]
struct Shelf {
    resting: Vec<Connection>,
    /// Connections that requests share, in use or idle.
    shared: Vec<Multiplexed>,
    /// A task is running that closes connections after their longest idle time.
    is_swept: bool,
}

impl Pool {
    pub(super) fn new(limits: PoolLimits) -> Self {
        Self {
            limits,
            shelves: PerCore::new(Mutex::default),
        }
    }

    /// The most recently used idle connection that can take a request.
    pub(super) fn take(&self) -> Option<Connection> {
        loop {
            let mut connection = lock(self.shelves.own()).resting.pop()?;
            if !connection.is_stale(self.limits.rest_max) && connection.is_ready() {
                return Some(connection);
            }
        }
    }

    /// A place for a request on a connection that requests share.
    pub(super) fn stream(&self) -> Option<Stream> {
        let mut own = lock(self.shelves.own());
        let rest_max = self.limits.rest_max;
        own.shared
            .retain(|connection| !connection.is_stale(rest_max));
        own.shared.iter().find_map(Multiplexed::stream)
    }

    /// Puts a connection that requests share into the pool.
    pub(super) fn put_shared(self: &Arc<Self>, connection: Multiplexed, tasks: &TaskTracker) {
        let number = self.shelves.own_number();
        let mut own = lock(self.shelves.own());
        own.shared.push(connection);
        self.swept(number, &mut own, tasks);
    }

    /// Puts a connection into the pool. A task in `tasks` closes it after its longest idle time.
    fn put(self: &Arc<Self>, mut connection: Connection, tasks: &TaskTracker) {
        connection.rest();
        let number = self.shelves.own_number();
        let mut own = lock(self.shelves.own());
        if own.resting.len() < self.limits.count_max {
            own.resting.push(connection);
        }
        self.swept(number, &mut own, tasks);
    }

    fn swept(self: &Arc<Self>, number: usize, own: &mut Shelf, tasks: &TaskTracker) {
        if !std::mem::replace(&mut own.is_swept, true) {
            let pool = Arc::clone(self);
            tasks.spawn(async move { pool.sweep(number).await });
        }
    }

    /// Closes the connections of one list that exceed their longest idle time, until the list is
    /// empty.
    async fn sweep(&self, number: usize) {
        loop {
            tokio::time::sleep(self.limits.rest_max).await;
            let mut own = lock(self.shelves.of(number));
            own.resting
                .retain(|connection| !connection.is_stale(self.limits.rest_max));
            own.shared
                .retain(|connection| !connection.is_stale(self.limits.rest_max));
            if own.resting.is_empty() && own.shared.is_empty() {
                own.is_swept = false;
                return;
            }
        }
    }
}

impl Home {
    /// Returns `connection` to the pool if it can take another request.
    pub(super) fn take_back(&self, mut connection: Connection) {
        if let Some(pool) = &self.pool
            && connection.is_ready()
        {
            pool.put(connection, &self.tasks);
        }
    }
}

/// Ignores poisoning: every change of the list is a single call, so a panic leaves it consistent.
fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Idle connections to one upstream.
//!
//! Each thread takes back the connections that it put into the pool itself, so a connection stays
//! with the runtime in which its socket is registered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::connection::Connection;
use crate::edge::cores;

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
    /// One list per core. When there are more threads than lists, threads share lists.
    shelves: Box<[Mutex<Shelf>]>,
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
    /// A task is running that closes connections after their longest idle time.
    is_swept: bool,
}

thread_local! {
    /// This thread's ordinal among the threads that have used a pool.
    static THREAD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

impl Pool {
    pub(super) fn new(limits: PoolLimits) -> Self {
        Self {
            limits,
            shelves: (0..cores::available().get())
                .map(|_| Mutex::default())
                .collect(),
        }
    }

    /// The most recently used idle connection that can take a request.
    pub(super) fn take(&self) -> Option<Connection> {
        loop {
            let mut connection = lock(self.shelf()).resting.pop()?;
            if !connection.is_stale(self.limits.rest_max) && connection.is_ready() {
                return Some(connection);
            }
        }
    }

    /// Puts a connection into the pool. A task in `tasks` closes it after its longest idle time.
    fn put(self: &Arc<Self>, mut connection: Connection, tasks: &TaskTracker) {
        connection.rest();
        let number = self.number();
        let mut own = lock(&self.shelves[number]);
        if own.resting.len() < self.limits.count_max {
            own.resting.push(connection);
        }
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
            let mut own = lock(&self.shelves[number]);
            own.resting
                .retain(|connection| !connection.is_stale(self.limits.rest_max));
            if own.resting.is_empty() {
                own.is_swept = false;
                return;
            }
        }
    }

    fn number(&self) -> usize {
        THREAD.with(|number| number % self.shelves.len())
    }

    fn shelf(&self) -> &Mutex<Shelf> {
        &self.shelves[self.number()]
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

//! Connections to one upstream that rest between requests.
//!
//! Each thread that proxies takes back the connections that it put here itself, so a connection
//! stays with the core whose runtime watches it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::connection::Connection;
use crate::edge::cores;

/// Limits of a pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolLimits {
    /// How long a connection may rest.
    pub(super) rest_max: Duration,
    /// Connections that may rest on one thread.
    pub(super) count_max: usize,
}

/// The connections at rest.
pub(super) struct Pool {
    limits: PoolLimits,
    /// Threads beyond their number share them.
    shelves: Box<[Mutex<Shelf>]>,
}

/// Where a connection goes when its answer has been read.
#[derive(Clone)]
pub(super) struct Home {
    /// `None` where none is kept.
    pub(super) pool: Option<Arc<Pool>>,
    /// Tasks that connections need besides the requests'.
    pub(super) tasks: TaskTracker,
}

/// The connections of one thread, the latest last.
#[derive(Default)]
struct Shelf {
    resting: Vec<Connection>,
    /// A task closes what rests for too long.
    is_swept: bool,
}

thread_local! {
    /// The number of this thread among those that have used a pool.
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

    /// A connection that can take a request: of those at rest, the one used last.
    pub(super) fn take(&self) -> Option<Connection> {
        loop {
            let mut connection = lock(self.shelf()).resting.pop()?;
            if !connection.is_stale(self.limits.rest_max) && connection.is_ready() {
                return Some(connection);
            }
        }
    }

    /// Takes a connection back. What rests for too long is closed by a task in `tasks`.
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

    /// Closes connections of one shelf that rest for too long, until none is left.
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
    /// Takes `connection` back if it can take another request.
    pub(super) fn take_back(&self, mut connection: Connection) {
        if let Some(pool) = &self.pool
            && connection.is_ready()
        {
            pool.put(connection, &self.tasks);
        }
    }
}

/// A panic elsewhere leaves the list whole: each change is one call.
fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

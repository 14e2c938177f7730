//! The way straight into a room in stand-by: the queue of visitors who may not have to wait.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::{PlaceId, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Visitors that may wait for an answer. More are sent to the waiting page.
const WAITING_MAX: usize = 4096;

/// Longest a visitor waits for an answer before being sent to the waiting page.
const ANSWER_MAX: Duration = Duration::from_millis(950);

/// How long nobody asks after the store said that somebody waits or the cap is reached. A line
/// empties with the next tick at the earliest.
const CLOSED_FOR: Duration = Duration::from_millis(100);

/// A session that began without a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// Whose.
    pub(crate) place: PlaceId,
    /// Ordinal of the admission.
    pub(crate) seq: u64,
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// When it ends.
    pub(crate) expires_at: Timestamp,
}

/// A visitor who waits for an answer. One who gets none is sent to the waiting page.
pub(crate) type Waiting = oneshot::Sender<Begun>;

/// The way straight into a room.
pub struct Standby {
    queue: mpsc::Sender<Waiting>,
    /// Taken by the task that works on the queue.
    queue_end: Mutex<Option<mpsc::Receiver<Waiting>>>,
    /// Until when nobody need ask.
    closed_until: Mutex<Option<Instant>>,
}

impl Default for Standby {
    /// A way that nobody attends to yet.
    fn default() -> Self {
        let (queue, queue_end) = mpsc::channel(WAITING_MAX);
        Self {
            queue,
            queue_end: Mutex::new(Some(queue_end)),
            closed_until: Mutex::default(),
        }
    }
}

impl Standby {
    /// Asks for a session. `None` to be sent to the waiting page.
    pub(crate) async fn ask(&self) -> Option<Begun> {
        let until = *lock(&self.closed_until);
        if until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(answer).ok()?;
        let answered = tokio::time::timeout(ANSWER_MAX, answered).await;
        answered.ok()?.ok()
    }

    /// Has nobody ask for a moment, because the answer is known.
    pub(crate) fn close(&self) {
        *lock(&self.closed_until) = Some(Instant::now() + CLOSED_FOR);
    }

    /// The end of the queue where batches are taken, for the one task that does.
    pub(crate) fn queue_end(&self) -> Option<mpsc::Receiver<Waiting>> {
        lock(&self.queue_end).take()
    }
}

/// The fields hold no invariant that a panic could break half-way.
fn lock<T>(field: &Mutex<T>) -> MutexGuard<'_, T> {
    field.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Limits how many confirmations run at the same time.
//!
//! A rush of fans who have paid shares a few connections to the database. A fixed number of
//! confirmations runs at once and the others wait in the order of arrival. One that waits too long
//! is answered with an open outcome, and nothing has been read or written for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::telemetry;

/// The permit to confirm. When the last clone is dropped, the next waiting confirmation gets it.
#[derive(Clone, Debug)]
pub struct ConfirmPermit(#[expect(dead_code, reason = "held")] Arc<OwnedSemaphorePermit>);

/// The result of waiting for a permit.
#[derive(Debug)]
pub enum ConfirmTurn {
    /// The confirmation may begin.
    Granted(ConfirmPermit),
    /// The wait was too long: the outcome stays open, and the customer asks again.
    Later,
    /// Too many confirmations wait already.
    Full,
}

/// The running and the waiting confirmations.
#[derive(Debug)]
pub(crate) struct ConfirmQueue {
    running: Arc<Semaphore>,
    waiting: Semaphore,
    wait_max: Duration,
}

/// Counts one waiting confirmation.
struct Waiting;

impl Waiting {
    fn begin() -> Self {
        metrics::gauge!(telemetry::CONFIRM_QUEUE).increment(1.0);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        metrics::gauge!(telemetry::CONFIRM_QUEUE).decrement(1.0);
    }
}

impl ConfirmQueue {
    pub(crate) fn new(at_once: usize, waiting_max: usize, wait_max: Duration) -> Self {
        Self {
            running: Arc::new(Semaphore::new(at_once)),
            waiting: Semaphore::new(waiting_max),
            wait_max,
        }
    }

    /// Waits for the caller's turn, in the order of arrival.
    pub(crate) async fn turn(&self) -> ConfirmTurn {
        // Fails while others wait, because a freed permit goes to the first of them.
        if let Ok(permit) = Arc::clone(&self.running).try_acquire_owned() {
            return ConfirmTurn::Granted(ConfirmPermit(Arc::new(permit)));
        }
        let Ok(_place) = self.waiting.try_acquire() else {
            metrics::counter!(telemetry::CONFIRMS_PUT_OFF, "answer" => "busy").increment(1);
            return ConfirmTurn::Full;
        };
        let _waiting = Waiting::begin();
        let permit = Arc::clone(&self.running).acquire_owned();
        // The semaphore is never closed, so the wait ends with a permit or at the limit.
        if let Ok(Ok(permit)) = tokio::time::timeout(self.wait_max, permit).await {
            return ConfirmTurn::Granted(ConfirmPermit(Arc::new(permit)));
        }
        metrics::counter!(telemetry::CONFIRMS_PUT_OFF, "answer" => "later").increment(1);
        ConfirmTurn::Later
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use std::task::Poll;

    use super::*;

    fn granted(turn: Poll<ConfirmTurn>) -> ConfirmPermit {
        match turn {
            Poll::Ready(ConfirmTurn::Granted(permit)) => permit,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn turns_come_in_order_and_so_many_wait() {
        let queue = ConfirmQueue::new(1, 2, Duration::from_hours(1));
        let first = granted(poll!(std::pin::pin!(queue.turn())));
        let mut second = Box::pin(queue.turn());
        let mut third = Box::pin(queue.turn());
        assert!(poll!(&mut second).is_pending());
        assert!(poll!(&mut third).is_pending());
        assert!(matches!(queue.turn().await, ConfirmTurn::Full));
        // A clone keeps the permit.
        let kept = first.clone();
        drop(first);
        assert!(poll!(&mut second).is_pending());
        drop(kept);
        assert!(poll!(&mut third).is_pending());
        drop(granted(poll!(&mut second)));
        drop(granted(poll!(&mut third)));
        drop(granted(poll!(std::pin::pin!(queue.turn()))));
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let queue = ConfirmQueue::new(0, 1, Duration::from_millis(1));
        assert!(matches!(queue.turn().await, ConfirmTurn::Later));
        // A caller that gave up has freed its place in the queue.
        assert!(matches!(queue.turn().await, ConfirmTurn::Later));
    }
}

//! A timer whose deadline moves with every request without touching the runtime's timer wheel each
//! time.
//!
//! The timer stays armed for an earlier deadline; when it fires, it is armed for the remaining
//! time.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep};

/// A deadline, and the timer that is armed for it or for an earlier one.
#[derive(Debug, Default)]
pub struct LazyTimer {
    deadline: Option<Instant>,
    armed: Option<Pin<Box<Sleep>>>,
}

impl LazyTimer {
    /// Sets the deadline.
    pub fn set(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
        if let Some(armed) = &mut self.armed
            && deadline < armed.deadline()
        {
            armed.as_mut().reset(deadline);
        }
    }

    /// Removes the deadline.
    pub fn clear(&mut self) {
        self.deadline = None;
    }

    /// The deadline, if there is one.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Ready when the deadline has passed; pending without a deadline. Registers the task to be
    /// woken at the deadline; it may also be woken earlier.
    pub fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        let armed = self
            .armed
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        loop {
            ready!(armed.as_mut().poll(cx));
            if armed.deadline() >= deadline {
                return Poll::Ready(());
            }
            armed.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use futures_util::poll;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moves_away_is_kept() {
        let mut timer = LazyTimer::default();
        let began = Instant::now();
        timer.set(began + SECOND);
        assert!(poll!(poll_fn(|cx| timer.poll_passed(cx))).is_pending());
        timer.set(began + SECOND * 3);
        poll_fn(|cx| timer.poll_passed(cx)).await;
        assert_eq!(began.elapsed(), SECOND * 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_comes_nearer_is_kept() {
        let mut timer = LazyTimer::default();
        let began = Instant::now();
        timer.set(began + SECOND * 3);
        assert!(poll!(poll_fn(|cx| timer.poll_passed(cx))).is_pending());
        timer.set(began + SECOND);
        poll_fn(|cx| timer.poll_passed(cx)).await;
        assert_eq!(began.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_was_taken_back_never_passes() {
        let mut timer = LazyTimer::default();
        timer.set(Instant::now() + SECOND);
        timer.clear();
        let passed = poll_fn(|cx| timer.poll_passed(cx));
        assert!(tokio::time::timeout(SECOND * 9, passed).await.is_err());
    }
}

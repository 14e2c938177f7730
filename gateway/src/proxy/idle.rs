//! An idle timeout for bodies.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// The error type of the proxy's bodies.
pub(super) type BoxError = Box<dyn StdError + Send + Sync>;

/// A body made no progress for longer than the limit.
#[derive(Debug)]
pub(super) struct Stalled(Duration);

/// Fires when there was no progress for a span. No timer exists before the first wait.
#[derive(Debug)]
pub(super) struct IdleTimer {
    span: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    is_armed: bool,
}

impl IdleTimer {
    pub(super) fn new(span: Duration) -> Self {
        Self {
            span,
            sleep: None,
            is_armed: false,
        }
    }

    pub(super) fn progressed(&mut self) {
        self.is_armed = false;
    }

    /// Ready when no progress was made for the span, counted from the first call after the last
    /// progress.
    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Stalled> {
        let deadline = Instant::now() + self.span;
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if !self.is_armed {
            sleep.as_mut().reset(deadline);
            self.is_armed = true;
        }
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Stalled(self.span))
    }
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing arrived for {} ms", self.0.as_millis())
    }
}

impl StdError for Stalled {}

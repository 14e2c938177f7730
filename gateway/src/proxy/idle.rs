//! A limit on how long a body may stand still.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// What the proxy's bodies fail with.
pub(super) type BoxError = Box<dyn StdError + Send + Sync>;

/// A body stood still for longer than allowed.
#[derive(Debug)]
pub(super) struct Stalled(Duration);

/// Fires when nothing has happened for a span. Costs nothing until the first wait.
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

    /// Ready when the wait that began with the first call since the last progress is too long.
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

//! Limits on what a client may send over a live connection. An honest client sends one pong every
//! 30 s and now and then a text.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// The window of the counts; a network may deliver delayed frames of several seconds at once.
const WINDOW: Duration = Duration::from_secs(10);
/// Messages, pings and pongs per window.
const MESSAGES_MAX: u16 = 100;
/// Bytes per window, including those of incomplete messages.
const BYTES_MAX: usize = 16 * 1024;

/// The counts of the current window.
#[derive(Debug, Default)]
struct Intake {
    since: Option<Instant>,
    messages: u16,
    bytes: usize,
}

impl Intake {
    /// Counts received messages and bytes. Returns whether a limit is exceeded.
    fn add(&mut self, messages: u16, bytes: usize, now: Instant) -> bool {
        if self.since.is_none_or(|since| now - since >= WINDOW) {
            *self = Self {
                since: Some(now),
                ..Self::default()
            };
        }
        self.messages = self.messages.saturating_add(messages);
        self.bytes = self.bytes.saturating_add(bytes);
        self.messages > MESSAGES_MAX || self.bytes > BYTES_MAX
    }
}

/// A connection whose reads fail once the client exceeds a limit.
#[derive(Debug)]
pub(super) struct Metered<T> {
    inner: T,
    intake: Intake,
    is_flooded: bool,
}

impl<T> Metered<T> {
    pub(super) fn new(inner: T) -> Self {
        Self {
            inner,
            intake: Intake::default(),
            is_flooded: false,
        }
    }

    /// Counts a received message. Returns whether a limit is exceeded.
    pub(super) fn is_one_too_many(&mut self) -> bool {
        self.is_flooded = self.is_flooded || self.intake.add(1, 0, Instant::now());
        self.is_flooded
    }

    /// Whether the client has exceeded a limit.
    pub(super) fn is_flooded(&self) -> bool {
        self.is_flooded
    }

    /// The inner connection, which can still be read.
    pub(super) fn inner(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(cx, buf);
        let bytes = buf.filled().len() - before;
        if bytes > 0 && this.intake.add(0, bytes, Instant::now()) {
            this.is_flooded = true;
        }
        if this.is_flooded {
            return Poll::Ready(Err(io::Error::other("the client sent too much")));
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Metered<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_bytes_are_counted_apart_and_forgotten_after_a_while() {
        let start = Instant::now();
        let late = start + WINDOW;
        let mut intake = Intake::default();
        assert!(!intake.add(MESSAGES_MAX, BYTES_MAX, start));
        assert!(intake.add(1, 0, start));
        assert!(!intake.add(1, 0, late));
        assert!(!intake.add(0, BYTES_MAX, late));
        assert!(intake.add(0, 1, late + WINDOW / 2));
    }
}

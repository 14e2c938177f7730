//! Closes a connection whose peer has stopped reading.
//!
//! Without this, a peer that never reads keeps the socket, its buffers and the task that writes for
//! as long as it likes: the kernel only gives up on peers that stop acknowledging.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// `inner`, whose writes fail with [`io::ErrorKind::TimedOut`] when the peer takes no bytes for a
/// whole span. Reads are not limited.
#[derive(Debug)]
pub struct WriteStall<T> {
    inner: T,
    span: Duration,
    /// Created at the first write that has to wait.
    waiting: Option<Pin<Box<Sleep>>>,
    is_armed: bool,
}

impl<T> WriteStall<T> {
    /// Limits each wait for the peer to take bytes to `span`.
    pub fn new(inner: T, span: Duration) -> Self {
        Self {
            inner,
            span,
            waiting: None,
            is_armed: false,
        }
    }

    /// The stream whose writes are limited.
    pub(super) fn inner(&mut self) -> &mut T {
        &mut self.inner
    }

    fn limit<R>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if done.is_ready() {
            self.is_armed = false;
            return done;
        }
        let deadline = Instant::now() + self.span;
        let sleep = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if !self.is_armed {
            sleep.as_mut().reset(deadline);
            self.is_armed = true;
        }
        sleep.as_mut().poll(cx).map(|()| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the peer stopped reading",
            ))
        })
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for WriteStall<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for WriteStall<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.limit(cx, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.limit(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.inner).poll_flush(cx);
        self.limit(cx, done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.limit(cx, done)
    }
}

impl<T: Connection> Connection for WriteStall<T> {
    fn connected(&self) -> Connected {
        self.inner.connected()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn gives_up_on_a_peer_that_takes_nothing() {
        let (near, _far) = tokio::io::duplex(4);
        let mut near = WriteStall::new(near, Duration::from_millis(20));
        let error = near.write_all(b"more than four").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn each_wait_has_its_own_limit() {
        let (near, mut far) = tokio::io::duplex(4);
        let mut near = WriteStall::new(near, Duration::from_mins(1));
        near.write_all(b"four").await.unwrap();
        let mut deadlines = Vec::new();
        for _ in 0..2 {
            assert!(poll!(std::pin::pin!(near.write_all(b"more"))).is_pending());
            deadlines.push(near.waiting.as_ref().unwrap().deadline());
            far.read_exact(&mut [0; 4]).await.unwrap();
            near.write_all(b"more").await.unwrap();
            assert!(
                !near.is_armed,
                "the limit runs on although the peer took something"
            );
        }
        assert!(deadlines[1] > deadlines[0]);
    }
}

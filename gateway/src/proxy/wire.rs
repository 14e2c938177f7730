//! The bytes of a connection to an upstream, plain or encrypted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::edge::write_stall::WriteStall;

/// A connection to an upstream.
///
/// An upstream that has answered may close while a body is still on its way to it. The answer is
/// there to be read then, although nothing more can be written. So a failed write is not an error:
/// what follows is thrown away, and reading tells whether there is an answer. In a tunnel there is
/// no answer to wait for, and a failed write ends it.
pub(super) struct Wire {
    stream: Stream,
    is_closed_for_writing: bool,
    is_tunnel: Arc<AtomicBool>,
}

enum Stream {
    Plain(WriteStall<TcpStream>),
    Encrypted(Box<TlsStream<WriteStall<TcpStream>>>),
}

impl Wire {
    pub(super) fn plain(stream: WriteStall<TcpStream>) -> Self {
        Self {
            stream: Stream::Plain(stream),
            is_closed_for_writing: false,
            is_tunnel: Arc::default(),
        }
    }

    pub(super) fn encrypted(stream: TlsStream<WriteStall<TcpStream>>) -> Self {
        Self {
            stream: Stream::Encrypted(Box::new(stream)),
            is_closed_for_writing: false,
            is_tunnel: Arc::default(),
        }
    }

    /// Set when the connection switches protocols.
    pub(super) fn is_tunnel(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_tunnel)
    }

    fn throws_away(&self) -> bool {
        self.is_closed_for_writing && !self.is_tunnel.load(Ordering::Relaxed)
    }

    /// What writing came to, where `all` is what it would have come to if the peer still read.
    fn forgiven<T>(&mut self, done: Poll<io::Result<T>>, all: T) -> Poll<io::Result<T>> {
        match done {
            Poll::Ready(Err(error))
                if is_close(&error) && !self.is_tunnel.load(Ordering::Relaxed) =>
            {
                self.is_closed_for_writing = true;
                Poll::Ready(Ok(all))
            }
            done => done,
        }
    }
}

fn is_close(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Encrypted(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.throws_away() {
            return Poll::Ready(Ok(buf.len()));
        }
        let done = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Encrypted(stream) => Pin::new(stream).poll_write(cx, buf),
        };
        self.forgiven(done, buf.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = || bufs.iter().map(|buf| buf.len()).sum();
        if self.throws_away() {
            return Poll::Ready(Ok(all()));
        }
        let done = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Encrypted(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        };
        if done.is_pending() {
            return done;
        }
        self.forgiven(done, all())
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Encrypted(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.throws_away() {
            return Poll::Ready(Ok(()));
        }
        let done = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Encrypted(stream) => Pin::new(stream).poll_flush(cx),
        };
        self.forgiven(done, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Encrypted(stream) => Pin::new(stream).poll_shutdown(cx),
        };
        self.forgiven(done, ())
    }
}

//! A client's socket, counted and limited.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use metrics::gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connections::ConnectionPlace;
use super::telemetry;
use super::write_stall::WriteStall;

/// A client's socket. It keeps the connection counted for as long as it exists, also after a switch
/// to another protocol, when the server no longer owns it.
pub(super) struct Socket {
    inner: WriteStall<TcpStream>,
    name: &'static str,
    place: ConnectionPlace,
}

impl Socket {
    /// A socket of the listener with this name, whose peer has to read within `write_stall_max`.
    pub(super) fn new(
        stream: TcpStream,
        place: ConnectionPlace,
        name: &'static str,
        write_stall_max: Duration,
    ) -> Self {
        gauge!(telemetry::CONNECTIONS, "listener" => name).increment(1.0);
        Self {
            inner: WriteStall::new(stream, write_stall_max),
            name,
            place,
        }
    }

    /// The stream below, and the place that the connection is counted at.
    pub(super) fn parts(&mut self) -> (&mut TcpStream, &mut ConnectionPlace) {
        (self.inner.inner(), &mut self.place)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        gauge!(telemetry::CONNECTIONS, "listener" => self.name).decrement(1.0);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

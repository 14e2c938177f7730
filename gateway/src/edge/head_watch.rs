//! A wrapper around a client's socket that watches it between requests, for three reasons.
//!
//! A connection may be idle between requests for as long as load balancers keep idle connections,
//! but a head that has begun has to be complete soon; hyper has one timer for both. Hyper answers a
//! head that its parser refuses with an empty body and without a request id; the wrapper replaces
//! that response. And hyper's parser refuses half a preface of HTTP/2; the wrapper gives it the
//! whole.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::lazy_timer::LazyTimer;
use super::preface::Beginning;
use super::refused_head::{self, Kept, Refusal, Refusals, status_of};

/// Longest time that bytes are read and discarded after the response of a closing connection.
const LINGER_MAX: Duration = Duration::from_secs(2);
/// Bytes read at a time while lingering.
const LINGER_BYTES: usize = 8 * 1024;

/// The state of a connection. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct HeadState(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: AtomicU8,
    /// The service has produced a response that hyper may not have written completely.
    is_unwritten: AtomicBool,
    /// The client may still be sending bytes that the service does not read.
    lingers: AtomicBool,
}

/// A head is awaited or incomplete; also the state of a new connection.
const READING: u8 = 0;
/// A request is being answered.
const SERVING: u8 = 1;
/// The last response is complete and the next request has not begun.
const RESTING: u8 = 2;
/// The connection was switched to another protocol.
const SWITCHED: u8 = 3;

impl HeadState {
    /// A head is complete.
    pub(super) fn serving(&self) {
        self.0.is_unwritten.store(true, Ordering::Release);
        self.0.state.store(SERVING, Ordering::Release);
    }

    /// The connection was switched to another protocol.
    pub(super) fn switched(&self) {
        self.0.state.store(SWITCHED, Ordering::Release);
    }

    /// Wraps the body of a response; at its end the connection becomes idle.
    pub(super) fn until_answered(&self, body: Body) -> AnswerBody {
        AnswerBody {
            inner: body,
            state: self.clone(),
        }
    }

    /// The connection closes after the response, while the client may still be sending.
    pub(super) fn linger(&self) {
        self.0.lingers.store(true, Ordering::Release);
    }

    fn is_unwritten(&self) -> bool {
        self.0.is_unwritten.load(Ordering::Acquire)
    }

    fn written(&self) {
        self.0.is_unwritten.store(false, Ordering::Release);
    }

    fn get(&self) -> u8 {
        self.0.state.load(Ordering::Acquire)
    }

    fn change(&self, from: u8, to: u8) -> bool {
        let changed = self
            .0
            .state
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        changed.is_ok()
    }
}

/// See [`HeadState::until_answered`].
pub(super) struct AnswerBody {
    inner: Body,
    state: HeadState,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.state.change(SERVING, RESTING);
    }
}

/// The watched socket.
pub(super) struct HeadWatch<T> {
    inner: T,
    state: HeadState,
    head_max: Duration,
    rest_max: Duration,
    /// Deadline for a complete head, or for the next head to begin. Set at the first wait.
    timer: LazyTimer,
    head: Kept,
    /// What a new connection has sent while it may be half a preface.
    beginning: Beginning,
    refusals: Refusals,
    replacement: Option<Replacement>,
    is_shut: bool,
    lingers_until: Option<Instant>,
}

/// A response that is written in place of hyper's.
struct Replacement {
    bytes: Vec<u8>,
    written: usize,
    /// Bytes of hyper's response that this replaces, reported to hyper as written.
    instead_of: usize,
}

impl<T> HeadWatch<T> {
    /// Watches `inner`. A head has to be complete within `head_max` of its first byte, and the next
    /// head has to begin within `rest_max` of the last response.
    pub(super) fn new(
        inner: T,
        state: HeadState,
        head_max: Duration,
        rest_max: Duration,
        refusals: Refusals,
    ) -> Self {
        Self {
            inner,
            state,
            head_max,
            rest_max,
            timer: LazyTimer::default(),
            head: Kept::default(),
            beginning: Beginning::default(),
            refusals,
            replacement: None,
            is_shut: false,
            lingers_until: None,
        }
    }

    /// Ends the watch.
    pub(super) fn into_inner(self) -> T {
        self.inner
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for HeadWatch<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let filled = buf.filled().len();
        let read = if this.beginning.is_known() {
            Pin::new(&mut this.inner).poll_read(cx, buf)
        } else {
            this.beginning.poll_read(&mut this.inner, cx, buf)
        };
        if buf.filled().len() > filled && this.state.change(RESTING, READING) {
            this.timer.clear();
        }
        let span = match this.state.get() {
            READING => this.head_max,
            RESTING => this.rest_max,
            SWITCHED => {
                this.timer = LazyTimer::default();
                this.head.end();
                return read;
            }
            _ => {
                this.timer.clear();
                this.head.forget();
                return read;
            }
        };
        // The head tells whether a person or a program asks, which matters only if there is a page.
        if this.refusals.page.is_some() {
            this.head.add(&buf.filled()[filled..]);
        }
        if read.is_pending() {
            if this.timer.deadline().is_none() {
                this.timer.set(Instant::now() + span);
            }
            if this.timer.poll_passed(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> HeadWatch<T> {
    /// Whether `bufs` begin a response that hyper produced itself; it is then replaced.
    fn replaces(&mut self, bufs: &[io::IoSlice<'_>]) -> bool {
        if self.replacement.is_some() {
            return true;
        }
        let state = self.state.get();
        // When all responses of the service are written, hyper produced any further response
        // itself.
        if state == SERVING || state == SWITCHED || self.state.is_unwritten() {
            self.head.forget();
            return false;
        }
        let first = bufs.iter().find(|buf| !buf.is_empty());
        let status = first.and_then(|buf| status_of(buf));
        let Some(status) = status else {
            return false;
        };
        self.replacement = Some(Replacement {
            bytes: refused_head::answer(Refusal::of_parser(status), &self.head, &self.refusals),
            written: 0,
            instead_of: bufs.iter().map(|buf| buf.len()).sum(),
        });
        true
    }

    fn poll_replacement(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(replacement) = &mut self.replacement else {
            return Poll::Ready(Ok(0));
        };
        while replacement.written < replacement.bytes.len() {
            let rest = &replacement.bytes[replacement.written..];
            match Pin::new(&mut self.inner).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => replacement.written += written,
                other => return other,
            }
        }
        let instead_of = replacement.instead_of;
        self.replacement = None;
        Poll::Ready(Ok(instead_of))
    }
}

impl<T: AsyncRead + Unpin> HeadWatch<T> {
    /// Discards what the client still sends until it closes too. Closing a socket with unread bytes
    /// would reset the connection and destroy the response in flight (RFC 9112, section 9.6).
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = *self
            .lingers_until
            .get_or_insert_with(|| Instant::now() + LINGER_MAX);
        let mut bytes = [0; LINGER_BYTES];
        loop {
            let mut buf = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() && Instant::now() < until => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        self.timer.set(until);
        self.timer.poll_passed(cx)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for HeadWatch<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.replaces(&[io::IoSlice::new(buf)]) {
            return self.poll_replacement(cx);
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.replaces(bufs) {
            return self.poll_replacement(cx);
        }
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Hyper flushes the socket only once it has written all that it buffers.
        if self.state.get() == RESTING && self.state.is_unwritten() {
            self.state.written();
            // Hyper may not read again before data arrives, so the idle timeout starts here; the
            // timer wakes the connection, which then reads.
            let until = Instant::now() + self.rest_max;
            self.timer.set(until);
            if self.timer.poll_passed(cx).is_ready() {
                // Wakes the connection to read again; that read fails with the timeout.
                cx.waker().wake_by_ref();
            }
        }
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            self.is_shut = true;
        }
        if self.state.0.lingers.load(Ordering::Acquire) {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

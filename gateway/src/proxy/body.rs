//! Bodies that stream through the gateway, each with a limit on how long it may stand still.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

use super::headers;
use super::lane::Attempt;

/// What the proxy's bodies fail with.
pub(super) type BoxError = Box<dyn StdError + Send + Sync>;

/// Resolves when the session of the fan who asked ends.
pub type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A body stood still for longer than allowed.
#[derive(Debug)]
pub(super) struct Stalled(Duration);

/// How far the request body has come, for whoever waits for the answer.
#[derive(Debug, Default)]
pub(super) struct Progress {
    state: AtomicU8,
    settled: Notify,
    settled_at: OnceLock<Instant>,
}

/// Where a request body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Sending {
    /// Still on its way.
    Underway = 0,
    /// All of it has been handed to the upstream's connection.
    Sent = 1,
    /// The client stopped sending in the middle.
    ClientStalled = 2,
    /// The client broke off.
    ClientBroke = 3,
}

/// A request body on its way to the upstream.
#[derive(Debug)]
pub(super) struct RequestBody {
    inner: axum::body::Body,
    idle: IdleTimer,
    progress: Arc<Progress>,
}

/// An answer's body on its way to the client.
pub(super) struct ResponseBody {
    inner: Incoming,
    idle: Option<IdleTimer>,
    attempt: Attempt,
    /// Ends an event stream early; pages have none.
    end: Option<End>,
}

/// Fires when nothing has happened for a span. Costs nothing until the first wait.
#[derive(Debug)]
struct IdleTimer {
    span: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    is_armed: bool,
}

impl IdleTimer {
    fn new(span: Duration) -> Self {
        Self {
            span,
            sleep: None,
            is_armed: false,
        }
    }

    fn progressed(&mut self) {
        self.is_armed = false;
    }

    /// Ready when the wait that began with the first call since the last progress is too long.
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Stalled> {
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

impl Progress {
    /// Where the body stands.
    pub(super) fn get(&self) -> Sending {
        match self.state.load(Ordering::Acquire) {
            0 => Sending::Underway,
            1 => Sending::Sent,
            2 => Sending::ClientStalled,
            _ => Sending::ClientBroke,
        }
    }

    /// Waits until the body is no longer underway.
    pub(super) async fn settled(&self) {
        loop {
            let notified = self.settled.notified();
            if self.get() != Sending::Underway {
                return;
            }
            notified.await;
        }
    }

    /// Since when the upstream has had all it will get, `None` while the body is underway.
    pub(super) fn settled_at(&self) -> Option<Instant> {
        self.settled_at.get().copied()
    }

    /// The first word stands: a body that is dropped after a fault has not been sent.
    fn settle(&self, sending: Sending) {
        let change = self.state.compare_exchange(
            Sending::Underway as u8,
            sending as u8,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        if change.is_ok() {
            self.settled_at.get_or_init(Instant::now);
            self.settled.notify_waiters();
        }
    }
}

impl RequestBody {
    /// `inner`, which may stand still for `idle` at a time.
    pub(super) fn new(inner: axum::body::Body, idle: Duration) -> (Self, Arc<Progress>) {
        let progress = Arc::new(Progress::default());
        if inner.is_end_stream() {
            progress.settle(Sending::Sent);
        }
        let body = Self {
            inner,
            idle: IdleTimer::new(idle),
            progress: Arc::clone(&progress),
        };
        (body, progress)
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Poll::Ready(next) = Pin::new(&mut this.inner).poll_frame(cx) else {
            let stalled = ready!(this.idle.poll_expired(cx));
            this.progress.settle(Sending::ClientStalled);
            return Poll::Ready(Some(Err(stalled.into())));
        };
        this.idle.progressed();
        Poll::Ready(match next {
            Some(Ok(frame)) => {
                if this.inner.is_end_stream() {
                    this.progress.settle(Sending::Sent);
                }
                Some(Ok(clean_frame(frame)))
            }
            Some(Err(error)) => {
                this.progress.settle(Sending::ClientBroke);
                Some(Err(error.into()))
            }
            None => {
                this.progress.settle(Sending::Sent);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for RequestBody {
    /// The connection drops the body when it has sent what it wanted of it.
    fn drop(&mut self) {
        self.progress.settle(Sending::Sent);
    }
}

impl ResponseBody {
    /// `inner`, which may stand still for `idle` at a time. How it ends is told to `attempt`.
    pub(super) fn page(inner: Incoming, idle: Duration, attempt: Attempt) -> Self {
        Self::new(inner, Some(idle), attempt, None)
    }

    /// An event stream, which ends with `end`, or when it stood still for `idle` if that is given.
    pub(super) fn stream(
        inner: Incoming,
        idle: Option<Duration>,
        attempt: Attempt,
        end: End,
    ) -> Self {
        Self::new(inner, idle, attempt, Some(end))
    }

    fn new(
        inner: Incoming,
        idle: Option<Duration>,
        mut attempt: Attempt,
        end: Option<End>,
    ) -> Self {
        if inner.is_end_stream() {
            attempt.body_complete();
        }
        Self {
            inner,
            idle: idle.map(IdleTimer::new),
            attempt,
            end,
        }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(end) = &mut this.end
            && end.as_mut().poll(cx).is_ready()
        {
            this.end = None;
            this.attempt.body_cut_off("session-over");
            return Poll::Ready(None);
        }
        let Poll::Ready(next) = Pin::new(&mut this.inner).poll_frame(cx) else {
            let Some(idle) = &mut this.idle else {
                return Poll::Pending;
            };
            let stalled = ready!(idle.poll_expired(cx));
            if this.end.is_some() {
                // Listeners of event streams come back by themselves.
                this.attempt.body_cut_off("idle");
                return Poll::Ready(None);
            }
            // One slow page is no state of the upstream's.
            this.attempt.body_cut_off("upstream-stalled");
            return Poll::Ready(Some(Err(stalled.into())));
        };
        if let Some(idle) = &mut this.idle {
            idle.progressed();
        }
        Poll::Ready(match next {
            Some(Ok(frame)) => {
                if this.inner.is_end_stream() {
                    this.attempt.body_complete();
                }
                Some(Ok(clean_frame(frame)))
            }
            Some(Err(error)) => {
                this.attempt.body_failed("upstream-broke");
                Some(Err(error.into()))
            }
            None => {
                this.attempt.body_complete();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing arrived for {} ms", self.0.as_millis())
    }
}

impl StdError for Stalled {}

fn clean_frame(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            headers::clean_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

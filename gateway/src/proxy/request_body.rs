//! A request's body on its way to the upstream, with its progress.
//!
//! A client that sent `Expect: 100-continue` keeps its body back until it is asked for it. hyper asks
//! when the body is first read, so the body is not read before the upstream has asked itself.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::headers;
use super::idle::{BoxError, IdleTimer};

/// Longest time that an upstream may take to ask for a body that is held back. One that does not know
/// `Expect` never asks (RFC 9110, section 10.1.1).
const ASKED_FOR_MAX: Duration = Duration::from_secs(1);

/// The progress of a request body, for the code that waits for the response.
#[derive(Clone, Debug)]
pub(super) enum Progress {
    /// No body: the upstream has the whole request at the time it is sent.
    Bodiless(Instant),
    /// A body with bytes.
    Body(Arc<Course>),
}

/// The shared progress of a request body.
#[derive(Debug, Default)]
pub(super) struct Course {
    state: AtomicU8,
    settled: Notify,
    settled_at: OnceLock<Instant>,
    /// The body is held back until it is asked for.
    is_held: AtomicBool,
    /// The messages of a call, which ends with its response.
    is_call: bool,
    /// The response is over, and the body is not.
    is_unwanted: AtomicBool,
    /// Waits to read a body that may become unwanted.
    reader: AtomicWaker,
}

/// The response to a request whose body ends with it: one that is held back and was not asked for,
/// or that of a call. When the response is over, this is dropped, and the body fails: that closes
/// the connections to both sides, or resets the stream of the call.
#[derive(Debug)]
pub(super) struct Unasked(Arc<Course>);

/// The state of a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Sending {
    /// The client is still sending.
    Underway = 0,
    /// The whole body has been handed to the upstream's connection.
    Sent = 1,
    /// The client stopped sending before the end, for longer than the idle timeout.
    ClientStalled = 2,
    /// The client disconnected before the end.
    ClientBroke = 3,
}

/// A request body on its way to the upstream.
#[derive(Debug)]
pub(super) struct RequestBody {
    inner: axum::body::Body,
    /// `None` for a body that may stand still for ever.
    idle: Option<IdleTimer>,
    /// `None` for an empty body.
    course: Option<Arc<Course>>,
}

impl Progress {
    /// The state of the body.
    pub(super) fn get(&self) -> Sending {
        let Self::Body(course) = self else {
            return Sending::Sent;
        };
        match course.state.load(Ordering::Acquire) {
            0 => Sending::Underway,
            1 => Sending::Sent,
            2 => Sending::ClientStalled,
            _ => Sending::ClientBroke,
        }
    }

    /// Waits until the body is no longer underway. Asks for a body that is held back when the
    /// upstream has not done so in time.
    pub(super) async fn settled(&self) {
        let Self::Body(course) = self else {
            return;
        };
        if course.is_held() {
            tokio::time::sleep(ASKED_FOR_MAX).await;
            course.ask_for();
        }
        loop {
            let notified = course.settled.notified();
            if self.get() != Sending::Underway {
                return;
            }
            notified.await;
        }
    }

    /// Of a body that is held back.
    pub(super) fn held(&self) -> Option<Arc<Course>> {
        match self {
            Self::Body(course) if course.is_held() => Some(Arc::clone(course)),
            Self::Body(_) | Self::Bodiless(_) => None,
        }
    }

    /// When the body was complete or given up, `None` while it is underway.
    pub(super) fn settled_at(&self) -> Option<Instant> {
        match self {
            Self::Bodiless(sent_at) => Some(*sent_at),
            Self::Body(course) => course.settled_at.get().copied(),
        }
    }
}

impl Course {
    fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Acquire)
    }

    /// Whether the body ends with the response.
    fn may_be_unwanted(&self) -> bool {
        self.is_call || self.is_held()
    }

    /// Lets the body be read, which asks the client for it.
    pub(super) fn ask_for(&self) {
        self.is_held.store(false, Ordering::Release);
        self.reader.wake();
    }

    /// Sets the final state. Only the first call counts: dropping the body after a fault must not
    /// mark it as sent.
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
    /// Wraps `inner`, which fails when the client sends nothing for `idle`, and which is held back
    /// until it is asked for if the client waits for that.
    pub(super) fn new(inner: axum::body::Body, idle: Duration, is_held: bool) -> (Self, Progress) {
        let course = Course {
            is_held: is_held.into(),
            ..Course::default()
        };
        Self::with(inner, Some(idle), course)
    }

    /// Wraps the messages of a call, which may stand still for `idle`, or for ever.
    pub(super) fn of_call(inner: axum::body::Body, idle: Option<Duration>) -> (Self, Progress) {
        let course = Course {
            is_call: true,
            ..Course::default()
        };
        Self::with(inner, idle, course)
    }

    fn with(inner: axum::body::Body, idle: Option<Duration>, course: Course) -> (Self, Progress) {
        let course = (!inner.is_end_stream()).then(|| Arc::new(course));
        let progress = match &course {
            Some(course) => Progress::Body(Arc::clone(course)),
            None => Progress::Bodiless(Instant::now()),
        };
        let body = Self {
            inner,
            idle: idle.map(IdleTimer::new),
            course,
        };
        (body, progress)
    }

    fn settle(&self, sending: Sending) {
        if let Some(course) = &self.course {
            course.settle(sending);
        }
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
        if let Some(course) = this.course.as_ref().filter(|one| one.may_be_unwanted()) {
            course.reader.register(cx.waker());
            if course.is_unwanted.load(Ordering::Acquire) {
                return Poll::Ready(Some(Err("nobody wants the body".into())));
            }
            if course.is_held() {
                return Poll::Pending;
            }
        }
        let Poll::Ready(next) = Pin::new(&mut this.inner).poll_frame(cx) else {
            let Some(idle) = &mut this.idle else {
                return Poll::Pending;
            };
            let stalled = ready!(idle.poll_expired(cx));
            this.settle(Sending::ClientStalled);
            return Poll::Ready(Some(Err(stalled.into())));
        };
        if let Some(idle) = &mut this.idle {
            idle.progressed();
        }
        Poll::Ready(match next {
            Some(Ok(frame)) => {
                if this.inner.is_end_stream() {
                    this.settle(Sending::Sent);
                }
                Some(Ok(headers::clean_frame(frame)))
            }
            Some(Err(error)) => {
                this.settle(Sending::ClientBroke);
                Some(Err(error.into()))
            }
            None => {
                this.settle(Sending::Sent);
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

impl Unasked {
    /// For a body that ends with the response.
    pub(super) fn of(progress: &Progress) -> Option<Self> {
        match progress {
            Progress::Body(course) if course.may_be_unwanted() => Some(Self(Arc::clone(course))),
            Progress::Body(_) | Progress::Bodiless(_) => None,
        }
    }
}

impl Drop for Unasked {
    fn drop(&mut self) {
        self.0.is_unwanted.store(true, Ordering::Release);
        self.0.reader.wake();
    }
}

impl Drop for RequestBody {
    /// The connection drops the body once it needs no more of it.
    fn drop(&mut self) {
        self.settle(Sending::Sent);
    }
}

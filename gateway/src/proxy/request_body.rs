//! A request's body on its way to the upstream, and how far it has come.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::headers;
use super::idle::{BoxError, IdleTimer};

/// How far the request body has come, for whoever waits for the answer.
#[derive(Clone, Debug)]
pub(super) enum Progress {
    /// There is none: the upstream has the request as soon as it is sent, which is now.
    Bodiless(Instant),
    /// There is one.
    Body(Arc<Course>),
}

/// The course of a request body.
#[derive(Debug, Default)]
pub(super) struct Course {
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
    /// `None` for a body that has no bytes.
    course: Option<Arc<Course>>,
}

impl Progress {
    /// Where the body stands.
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

    /// Waits until the body is no longer underway.
    pub(super) async fn settled(&self) {
        let Self::Body(course) = self else {
            return;
        };
        loop {
            let notified = course.settled.notified();
            if self.get() != Sending::Underway {
                return;
            }
            notified.await;
        }
    }

    /// Since when the upstream has had all it will get, `None` while the body is underway.
    pub(super) fn settled_at(&self) -> Option<Instant> {
        match self {
            Self::Bodiless(sent_at) => Some(*sent_at),
            Self::Body(course) => course.settled_at.get().copied(),
        }
    }
}

impl Course {
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
    pub(super) fn new(inner: axum::body::Body, idle: Duration) -> (Self, Progress) {
        let course = (!inner.is_end_stream()).then(Arc::<Course>::default);
        let progress = match &course {
            Some(course) => Progress::Body(Arc::clone(course)),
            None => Progress::Bodiless(Instant::now()),
        };
        let body = Self {
            inner,
            idle: IdleTimer::new(idle),
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
        let Poll::Ready(next) = Pin::new(&mut this.inner).poll_frame(cx) else {
            let stalled = ready!(this.idle.poll_expired(cx));
            this.settle(Sending::ClientStalled);
            return Poll::Ready(Some(Err(stalled.into())));
        };
        this.idle.progressed();
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

impl Drop for RequestBody {
    /// The connection drops the body when it has sent what it wanted of it.
    fn drop(&mut self) {
        self.settle(Sending::Sent);
    }
}

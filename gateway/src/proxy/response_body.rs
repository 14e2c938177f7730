//! A response's body on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::connection::Connection;
use super::headers;
use super::idle::{BoxError, IdleTimer};
use super::lane::Attempt;
use super::multiplexed::Stream;
use super::pool::Home;
use super::request_body::Unasked;
use crate::edge::grpc;

/// Resolves when the session of the requesting fan ends.
pub type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What carries the body of a response.
pub(super) enum Carrier {
    /// A connection for this response alone.
    Own(Connection),
    /// A place on a connection that others use too.
    Shared { _place: Stream },
}

/// What a response is, for how it ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A page, which ends with an error.
    Page,
    /// An event stream, which ends without one: its client reconnects.
    Events,
    /// The answer to a call of gRPC, which ends with a status.
    Call,
}

/// A response's body on its way to the client.
pub(super) struct ResponseBody {
    inner: Incoming,
    /// What carries the body, until the body has been read.
    carrier: Option<Carrier>,
    kind: Kind,
    home: Home,
    /// The error to return with the next poll.
    broken: Option<hyper::Error>,
    idle: Option<IdleTimer>,
    attempt: Attempt,
    /// Ends an event stream or a call early; `None` for pages.
    end: Option<End>,
    /// Ends the request's body with the response.
    _unasked: Option<Unasked>,
}

impl ResponseBody {
    /// Wraps `inner`, which `carrier` carries and which ends early after `idle` without progress. The
    /// outcome is recorded in `attempt`; a connection that can take another request then returns to
    /// `home`. An event stream or a call ends when `end` resolves.
    pub(super) fn new(
        (inner, carrier): (Incoming, Carrier),
        kind: Kind,
        home: Home,
        idle: Option<Duration>,
        attempt: Attempt,
        end: Option<End>,
        unasked: Option<Unasked>,
    ) -> Self {
        let mut body = Self {
            inner,
            carrier: Some(carrier),
            kind,
            home,
            broken: None,
            idle: idle.map(IdleTimer::new),
            attempt,
            end,
            _unasked: unasked,
        };
        if body.inner.is_end_stream() {
            body.complete();
        }
        body
    }

    fn complete(&mut self) {
        self.attempt.body_complete();
        if let Some(Carrier::Own(connection)) = self.carrier.take() {
            self.home.take_back(connection);
        }
    }

    /// Ends the response before the upstream does, for a reason that is no fault of the upstream's.
    fn cut_off(
        &mut self,
        word: &'static str,
        text: &'static str,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.attempt.body_cut_off(word);
        self.carrier = None;
        self.end = None;
        Poll::Ready(match self.kind {
            Kind::Call => {
                let trailers = grpc::trailers(grpc::Status::Unavailable, text);
                Some(Ok(Frame::trailers(trailers)))
            }
            Kind::Events | Kind::Page => None,
        })
    }

    fn poll_inner(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.carrier {
            Some(Carrier::Own(connection)) => connection.poll_frame(&mut self.inner, cx),
            Some(Carrier::Shared { .. }) => Pin::new(&mut self.inner).poll_frame(cx),
            None => Poll::Ready(None),
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
        if let Some(error) = this.broken.take() {
            return Poll::Ready(Some(Err(error.into())));
        }
        if let Some(end) = &mut this.end
            && end.as_mut().poll(cx).is_ready()
        {
            return this.cut_off("session-over", "The session is over.");
        }
        let Poll::Ready(next) = this.poll_inner(cx) else {
            let Some(idle) = &mut this.idle else {
                return Poll::Pending;
            };
            let stalled = ready!(idle.poll_expired(cx));
            if this.kind != Kind::Page {
                return this.cut_off("idle", "Nothing came for too long.");
            }
            // One slow page says nothing about the upstream's health.
            this.attempt.body_cut_off("upstream-stalled");
            return Poll::Ready(Some(Err(stalled.into())));
        };
        if let Some(idle) = &mut this.idle {
            idle.progressed();
        }
        Poll::Ready(match next {
            Some(Ok(frame)) => {
                if this.inner.is_end_stream() {
                    this.complete();
                }
                Some(Ok(headers::clean_frame(frame)))
            }
            Some(Err(error)) => {
                this.attempt.body_failed("upstream-broke");
                // When a body fails, hyper discards what it has buffered. Returning `Pending` once
                // lets hyper write the earlier frames before it sees the error.
                this.carrier = None;
                this.broken = Some(error);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            None => {
                this.complete();
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

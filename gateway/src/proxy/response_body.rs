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
use super::pool::Home;
use super::request_body::Unasked;

/// Resolves when the session of the requesting fan ends.
pub type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A response's body on its way to the client.
pub(super) struct ResponseBody {
    inner: Incoming,
    /// The connection that carries the body, until the body has been read.
    connection: Option<Connection>,
    home: Home,
    /// The error to return with the next poll.
    broken: Option<hyper::Error>,
    idle: Option<IdleTimer>,
    attempt: Attempt,
    /// Ends an event stream early; `None` for pages.
    end: Option<End>,
    /// The upstream has answered without asking for the request's body.
    _unasked: Option<Unasked>,
}

impl ResponseBody {
    /// Wraps `inner`, which `connection` carries and which fails after `idle` without progress. The
    /// outcome is recorded in `attempt`; a connection that can take another request then returns to
    /// `home`. An event stream ends when `end` resolves.
    pub(super) fn new(
        inner: Incoming,
        connection: Connection,
        home: Home,
        idle: Option<Duration>,
        attempt: Attempt,
        end: Option<End>,
        unasked: Option<Unasked>,
    ) -> Self {
        let mut body = Self {
            inner,
            connection: Some(connection),
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
        if let Some(connection) = self.connection.take() {
            self.home.take_back(connection);
        }
    }

    fn poll_inner(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.connection {
            Some(connection) => connection.poll_frame(&mut self.inner, cx),
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
            this.end = None;
            this.attempt.body_cut_off("session-over");
            return Poll::Ready(None);
        }
        let Poll::Ready(next) = this.poll_inner(cx) else {
            let Some(idle) = &mut this.idle else {
                return Poll::Pending;
            };
            let stalled = ready!(idle.poll_expired(cx));
            if this.end.is_some() {
                // An event stream ends without an error, because its client reconnects.
                this.attempt.body_cut_off("idle");
                return Poll::Ready(None);
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
                this.connection = None;
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

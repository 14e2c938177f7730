//! Handles the unread body of a request that was answered early.
//!
//! A connection with an unread body cannot take another request. Load balancers keep connections
//! and send the next fan's request on them, so a short remaining body is read and discarded before
//! the response; with a longer one the response says that the connection closes (RFC 9112, section
//! 9.6).

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderValue, Request, Response};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

/// Most bytes that are read and discarded.
const REST_BYTES_MAX: u64 = 1024 * 1024;
/// Longest time that a response waits for them.
const REST_MAX: Duration = Duration::from_secs(1);

/// The part of a request's body that the service did not read.
pub(super) struct Rest {
    left: Arc<Left>,
    /// The client waits for `100 Continue` before it sends the body.
    is_held_back: bool,
}

#[derive(Default)]
struct Left {
    body: Mutex<Option<Incoming>>,
    is_read: AtomicBool,
}

/// A body that leaves its unread part in `left` when dropped.
struct Reading {
    /// `None` only while it is dropped.
    inner: Option<Incoming>,
    left: Arc<Left>,
}

/// Wraps a request's body so that its unread part can be read later; `None` when there is no body.
pub(super) fn watch(request: Request<Incoming>) -> (Request<Body>, Option<Rest>) {
    if request.body().is_end_stream() {
        return (request.map(|_| Body::empty()), None);
    }
    let left = Arc::<Left>::default();
    let rest = Rest {
        left: left.clone(),
        is_held_back: request.headers().contains_key(EXPECT),
    };
    let request = request.map(|inner| {
        let inner = Some(inner);
        Body::new(Reading { inner, left })
    });
    (request, Some(rest))
}

impl Rest {
    /// Reads the rest, or adds `Connection: close` to `response`. Returns whether it closes.
    pub(super) async fn settle<B>(self, response: &mut Response<B>) -> bool {
        if self.left.is_read.load(Ordering::Acquire) {
            return false;
        }
        let is_read = match self.left.take() {
            Some(body) if !self.is_held_back => discard(body).await,
            // The body is still in use, as with an upstream that answers early, or the client holds
            // it back.
            _ => false,
        };
        if !is_read {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        !is_read
    }
}

impl Left {
    /// Ignores poisoning: a panic cannot leave the field half changed.
    fn take(&self) -> Option<Incoming> {
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        body.take()
    }

    fn put(&self, inner: Incoming) {
        if inner.is_end_stream() {
            self.is_read.store(true, Ordering::Release);
        } else {
            let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
            *body = Some(inner);
        }
    }
}

/// Reads and discards `body`. Whether it ended within the limits.
async fn discard(mut body: Incoming) -> bool {
    if body.size_hint().lower() > REST_BYTES_MAX {
        return false;
    }
    let read = async {
        let mut bytes = 0;
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let Ok(frame) = frame else {
                return false;
            };
            bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            if bytes > REST_BYTES_MAX {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(REST_MAX, read).await.unwrap_or(false)
}

impl HttpBody for Reading {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(inner).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) {
            self.left.is_read.store(true, Ordering::Release);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            self.left.put(inner);
        }
    }
}

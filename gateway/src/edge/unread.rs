//! What becomes of the body of a request that is answered before the body was read.
//!
//! A connection whose request was not read to its end takes no other request. Balancers keep
//! connections and send the next fan's request into them, so a short rest of the body is read, and
//! thrown away, before the answer; where the rest is longer, the answer says that the connection
//! closes (RFC 9112, section 9.6).

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

/// Most bytes that are read for nothing.
const REST_BYTES_MAX: u64 = 1024 * 1024;
/// Longest an answer waits for them.
const REST_MAX: Duration = Duration::from_secs(1);

/// What is left of a request's body when nobody reads it any more.
pub(super) struct Rest {
    left: Arc<Left>,
    /// The client sends it only once it is told to go on.
    is_held_back: bool,
}

#[derive(Default)]
struct Left {
    body: Mutex<Option<Incoming>>,
    is_read: AtomicBool,
}

/// The body, which leaves behind what is not read of it.
struct Reading {
    /// Taken only when it is dropped.
    inner: Option<Incoming>,
    left: Arc<Left>,
}

/// The request with a body that leaves its rest; no rest when there is no body.
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
    /// Reads the rest, or has `response` say that the connection closes. Whether it does.
    pub(super) async fn settle<B>(self, response: &mut Response<B>) -> bool {
        if self.left.is_read.load(Ordering::Acquire) {
            return false;
        }
        let is_read = match self.left.take() {
            Some(body) if !self.is_held_back => discard(body).await,
            // Somebody may read it still, as an upstream that answers early does.
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
    /// No panic can leave the field half changed.
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

/// Reads `body` and throws it away. Whether it came to its end within the bounds.
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

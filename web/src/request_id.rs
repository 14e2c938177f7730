//! Adds an id to every request and response, and `Retry-After` where the contract promises it. The
//! id is always generated: a client's own `X-Request-Id` is not trusted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use contract::Problem;
use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::error;

/// The header that carries the id.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Default `Retry-After`, in seconds.
const RETRY_AFTER_SECONDS: u64 = 2;

/// The id of a request, in its extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub HeaderValue);

impl RequestId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Generates request ids: a prefix that differs between processes, then a counter.
#[derive(Clone, Debug)]
pub struct RequestIds {
    prefix: u64,
    next: Arc<AtomicU64>,
}

impl RequestIds {
    /// Ids with `prefix`, a random number of this process.
    pub fn new(prefix: u64) -> Self {
        Self {
            prefix,
            next: Arc::new(AtomicU64::new(1)),
        }
    }

    /// The id of the next request.
    pub fn next_id(&self) -> RequestId {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let text = format!("{:016x}-{n:x}", self.prefix);
        // The text has only hexadecimal digits and a hyphen, so it is a valid header value.
        RequestId(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("0")))
    }
}

/// Gives the request an id and writes it into the response, and into a problem document. A request
/// keeps an id that an outer listener gave it. Adds `Retry-After` to a 429 or 503 without it, also
/// of an upstream.
pub async fn middleware(
    State(ids): State<RequestIds>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = match request.extensions().get::<RequestId>() {
        Some(id) => id.clone(),
        None => ids.next_id(),
    };
    request.extensions_mut().insert(id.clone());
    request.headers_mut().insert(X_REQUEST_ID, id.0.clone());
    let mut response = next.run(request).await;
    finish(&mut response, id);
    response
}

/// Writes `id` into `response`, and the default `Retry-After` where one is missing.
pub fn finish(response: &mut Response, id: RequestId) {
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        problem.request_id = Some(id.as_str().to_owned());
        response.headers_mut().remove(CONTENT_LENGTH);
        *response.body_mut() = error::body(&problem);
    }
    let says_later = matches!(
        response.status(),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    let headers = response.headers_mut();
    if says_later && !headers.contains_key(RETRY_AFTER) {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    headers.insert(X_REQUEST_ID, id.0);
}

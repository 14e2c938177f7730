//! What every answer carries: an id for each request, made here, because a client's own
//! `X-Request-Id` is not believed; and `Retry-After` where the contract promises it.

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

/// Seconds after which to try again, when who refused did not say.
const RETRY_AFTER_SECONDS: u64 = 2;

/// The id of the request at hand, in its extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub HeaderValue);

impl RequestId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Makes request ids: a prefix that differs between processes, then a counter.
#[derive(Clone, Debug)]
pub struct RequestIds {
    prefix: u64,
    next: Arc<AtomicU64>,
}

impl RequestIds {
    /// Ids that begin with `prefix`, a random number of this process.
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
        // Hexadecimal digits and a hyphen are valid in a header; the text becomes the value.
        RequestId(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("0")))
    }
}

/// Gives the request its id and writes the id into the answer, and into the problem document
/// if the answer is one. A request that has an id already, from a listener around this one,
/// keeps it. An answer that says "later" says when, also one from somebody else's service.
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

/// Makes `response` the answer to the request with this id.
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

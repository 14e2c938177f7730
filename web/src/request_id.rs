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

/// Sixteen hexadecimal digits and a hyphen.
const PREFIX_BYTES: usize = 17;
/// Hexadecimal digits of the longest counter.
const COUNTER_DIGITS: usize = 16;

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
    /// The prefix in hexadecimal, and a hyphen.
    prefix: [u8; PREFIX_BYTES],
    next: Arc<AtomicU64>,
}

impl RequestIds {
    /// Ids with `prefix`, a random number of this process.
    pub fn new(prefix: u64) -> Self {
        let mut text = [b'-'; PREFIX_BYTES];
        write_hex(prefix, &mut text[..PREFIX_BYTES - 1]);
        Self {
            prefix: text,
            next: Arc::new(AtomicU64::new(1)),
        }
    }

    /// The id of the next request.
    pub fn next_id(&self) -> RequestId {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let digits = (n.checked_ilog2().unwrap_or(0) / 4 + 1) as usize;
        let mut text = [0; PREFIX_BYTES + COUNTER_DIGITS];
        text[..PREFIX_BYTES].copy_from_slice(&self.prefix);
        let text = &mut text[..PREFIX_BYTES + digits];
        write_hex(n, &mut text[PREFIX_BYTES..]);
        // The text has only hexadecimal digits and a hyphen, so it is a valid header value.
        RequestId(HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static("0")))
    }
}

/// Writes the last hexadecimal digits of `number` into `text`, as many as there is room for.
fn write_hex(mut number: u64, text: &mut [u8]) {
    for digit in text.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number % 16) as usize];
        number /= 16;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_prefix_and_a_count() {
        let ids = RequestIds::new(0xab);
        for (next, count) in [
            (1, "1"),
            (15, "f"),
            (16, "10"),
            (u64::MAX, "ffffffffffffffff"),
        ] {
            ids.next.store(next, Ordering::Relaxed);
            assert_eq!(ids.next_id().as_str(), format!("00000000000000ab-{count}"));
        }
        // After the last comes the first.
        assert_eq!(ids.next_id().as_str(), "00000000000000ab-0");
    }
}

//! [`ApiError`]: a problem document as a handler's error.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use contract::problem::PROBLEM_MEDIA_TYPE;
use contract::{Problem, ProblemCode};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

/// The error of handlers that refuse or fail.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError(Box<Problem>);

/// The result of a handler.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// The problem document.
    pub fn problem(&self) -> &Problem {
        &self.0
    }

    /// An internal error: `cause` goes to the log, never to the client.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "request failed");
        Problem::new(ProblemCode::Internal).into()
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<ProblemCode> for ApiError {
    fn from(code: ProblemCode) -> Self {
        Problem::new(code).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        respond(*self.0)
    }
}

/// The response for `problem`. The problem is also attached as an extension, because only the
/// request-id middleware knows the id that belongs into the body.
pub fn respond(problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(body(&problem));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110 requires it with 401; every token of ours may be sent as a bearer token.
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = problem.retry_after_seconds {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response.extensions_mut().insert(problem);
    response
}

pub(crate) fn body(problem: &Problem) -> Body {
    // Serialisation cannot fail: a problem contains only strings, numbers and JSON values.
    Body::from(serde_json::to_vec(problem).unwrap_or_default())
}

//! [`ApiError`]: a problem document on its way to the client.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use contract::problem::PROBLEM_MEDIA_TYPE;
use contract::{Problem, ProblemCode};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

/// What handlers return when they refuse or fail.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError(Box<Problem>);

/// The result of a handler.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// The problem inside.
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

/// The response that carries `problem`. The problem also rides along as an extension, so that
/// the request-id middleware, the only one that knows the id, can write it into the body.
pub fn respond(problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(body(&problem));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110 asks for it; every token of ours may be sent this way.
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = problem.retry_after_seconds {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response.extensions_mut().insert(problem);
    response
}

pub(crate) fn body(problem: &Problem) -> Body {
    // A problem is strings, numbers and JSON values, all of which serialise.
    Body::from(serde_json::to_vec(problem).unwrap_or_default())
}

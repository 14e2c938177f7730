//! What the stand-ins answer alike.

use axum::extract::Json;
use axum::response::{IntoResponse, Response};
use contract::{Clock, Problem, ProblemCode, SystemClock, Timestamp};

pub(crate) fn refusal(code: ProblemCode) -> Response {
    (code.status(), Json(Problem::new(code))).into_response()
}

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

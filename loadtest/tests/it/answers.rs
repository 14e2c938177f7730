//! What the stand-ins answer alike.
#![expect(
    clippy::disallowed_types,
    reason = "a stand-in answers however the framework does"
)]

use axum::extract::Json;
use axum::response::{IntoResponse, Response};
use contract::{Clock, Problem, ProblemCode, SystemClock, Timestamp};

pub(crate) fn refusal(code: ProblemCode) -> Response {
    (code.status(), Json(Problem::new(code))).into_response()
}

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

//! Who may act with a fan's cookies: our own pages, and nobody else's.
//!
//! A browser sends cookies along with what another site's form asks for. Such a form could replace
//! a fan's place with one at the end of the line, which would be a place lost.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use contract::{Problem, ProblemCode};
use http::{HeaderMap, Method};
use web::ApiError;
use web::origin::is_same_origin;

use super::presented::bearer;
use super::state::LineState;

/// Refuses what pages of other sites ask for, unless it only reads.
pub(super) async fn middleware(
    State(state): State<LineState>,
    request: Request,
    next: Next,
) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    match check(&state, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

/// Refuses a request of another site's page. Who sends a bearer token does not rely on cookies,
/// and no page can add one to a form or a WebSocket.
pub(super) fn check(state: &LineState, headers: &HeaderMap) -> Result<(), ApiError> {
    if bearer(headers).is_some() || is_same_origin(headers, &state.public_origin) {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::Forbidden)
        .detail(
            "This is taken from our own pages only. Programs send a bearer token, or no Origin.",
        )
        .into())
}

//! Applies the rate limits by address to joins and to other calls of the line.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use web::ApiResult;

use super::room::Shows;
use super::state::LineState;

/// Counts a join.
pub(super) async fn joins(
    State(state): State<LineState>,
    Shows(visitor): Shows,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    state.limits.check_join(visitor.client)?;
    Ok(next.run(request).await)
}

/// Counts any other call.
pub(super) async fn calls(
    State(state): State<LineState>,
    Shows(visitor): Shows,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    state.limits.check_call(visitor.client)?;
    Ok(next.run(request).await)
}

//! The metrics, for Prometheus.

use axum::extract::State;
use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;

use super::state::OpsState;

/// Read the metrics of the process, for Prometheus
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "health", security(()),
    responses((status = 200, description = "Prometheus' text form", body = String,
        content_type = "text/plain"))
)]
pub(super) async fn render(State(state): State<OpsState>) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        state.metrics.render(|name, value| match name {
            "room" => state.figures.has(value),
            "upstream" => state.figures.has_upstream(value),
            _ => true,
        }),
    )
}

//! Liveness and readiness.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::{Problem, ProblemCode};
use http::header::CACHE_CONTROL;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use web::{ApiError, ApiJson};

use super::readiness::Check;
use super::state::OpsState;

/// Longest the checks may take together.
const CHECKS_MAX: Duration = Duration::from_secs(1);

#[derive(Serialize, ToSchema)]
pub(super) struct Report {
    /// Always `ready`.
    status: &'static str,
    /// What was looked at.
    checks: Vec<Check>,
}

/// Check whether the process runs
///
/// Does not check Redis and PostgreSQL: restarting a gateway would not repair them.
#[utoipa::path(
    get, path = "/livez", operation_id = "livez", tag = "health", security(()),
    responses((status = 200, description = "It runs", body = String, content_type = "text/plain"))
)]
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// Check whether balancers should send fans to this gateway
///
/// Fails as soon as it shuts down, and else not: what all gateways need, such as Redis and
/// PostgreSQL, is no better at another one, and a good part of the service goes on without them.
#[utoipa::path(
    get, path = "/servez", operation_id = "servez", tag = "health", security(()),
    responses(
        (status = 200, description = "They should", body = String, content_type = "text/plain"),
        (status = 503, description = "line-unavailable: it is shutting down", body = Problem)
    )
)]
pub(super) async fn serving(State(state): State<OpsState>) -> Response {
    if state.readiness.is_draining() {
        let problem = Problem::new(ProblemCode::LineUnavailable)
            .detail("This gateway is shutting down.")
            .retry_after(1);
        return ApiError::from(problem).into_response();
    }
    ([(CACHE_CONTROL, "no-store")], "ok\n").into_response()
}

/// Check whether this gateway has everything it needs
///
/// For people, scripts and alerts. Balancers ask `/servez`.
#[utoipa::path(
    get, path = "/readyz", operation_id = "readyz", tag = "health", security(()),
    responses(
        (status = 200, description = "It can", body = Report),
        (status = 503, description = "line-unavailable, database-unavailable: `checks` says what \
            is missing", body = Problem)
    )
)]
pub(super) async fn ready(State(state): State<OpsState>) -> Response {
    let checks = tokio::time::timeout(CHECKS_MAX, state.readiness.checks())
        .await
        .unwrap_or_else(|_| {
            vec![Check {
                name: "checks",
                problem: Some("no answer within a second".to_owned()),
                advice: None,
            }]
        });
    let missing: Vec<_> = checks
        .iter()
        .filter_map(|check| Some(format!("{}: {}", check.name, check.problem.as_ref()?)))
        .collect();
    if missing.is_empty() {
        let report = ApiJson(Report {
            status: "ready",
            checks,
        });
        return ([(CACHE_CONTROL, "no-store")], report).into_response();
    }
    let problem = Problem::new(code_of(&checks))
        .detail(missing.join("; "))
        .with("checks", json!(checks))
        .retry_after(1);
    ApiError::from(problem).into_response()
}

/// The database is what a gateway waits for when it alone is away; all else keeps the line away.
fn code_of(checks: &[Check]) -> ProblemCode {
    let database_only = checks
        .iter()
        .filter(|check| check.problem.is_some())
        .all(|check| check.name == "database");
    if database_only {
        ProblemCode::DatabaseUnavailable
    } else {
        ProblemCode::LineUnavailable
    }
}

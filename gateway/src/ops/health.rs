//! Liveness and readiness.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use http::StatusCode;
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use serde::Serialize;
use web::ApiJson;

use super::OpsState;

/// Longest the checks may take together.
const CHECKS_MAX: Duration = Duration::from_secs(1);

/// One thing that has to be well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Such as `redis`, `database`, `draining`.
    pub name: &'static str,
    /// What is wrong; nothing, when null.
    pub problem: Option<String>,
}

/// Whether this gateway can serve.
pub trait Readiness: Send + Sync + 'static {
    /// The state of everything it needs.
    fn checks(&self) -> BoxFuture<'_, Vec<Check>>;
}

#[derive(Serialize)]
struct Report {
    status: &'static str,
    checks: Vec<Check>,
}

/// The process runs. Says nothing of what it needs: restarting a gateway does not mend Redis.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

pub(super) async fn ready(State(state): State<OpsState>) -> Response {
    let checks = tokio::time::timeout(CHECKS_MAX, state.readiness.checks())
        .await
        .unwrap_or_else(|_| {
            vec![Check {
                name: "checks",
                problem: Some("no answer within a second".to_owned()),
            }]
        });
    let ready = checks.iter().all(|check| check.problem.is_none());
    let report = ApiJson(Report {
        status: if ready { "ready" } else { "unready" },
        checks,
    });
    let uncached = [(CACHE_CONTROL, "no-store")];
    if ready {
        (uncached, report).into_response()
    } else {
        let unready = (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")]);
        (unready.0, unready.1, uncached, report).into_response()
    }
}

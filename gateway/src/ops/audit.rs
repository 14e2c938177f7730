//! The audit log, and recording what other routers change.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use contract::Problem;
use contract::room::AuditList;
use line::records::{Act, AuditEntry, Conclusion};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use web::{ApiJson, ApiQuery, ApiResult, Audited};

use super::auth::{Operator, is_reading};
use super::openapi::OfRecords;
use super::refusals::refused;
use super::state::OpsState;

/// Records in a page when the caller does not say.
const PAGE: u32 = 100;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// Most records wanted; 100, when absent, and never more than 500.
    #[param(format = "uint32", minimum = 0, maximum = 4_294_967_295_i64)]
    limit: Option<u32>,
    /// Only records with a smaller id.
    before: Option<i64>,
}

/// The audit log
#[utoipa::path(
    get, path = "/admin/v1/audit", operation_id = "audit", tag = "records",
    params(Page),
    responses(
        (status = 200, description = "Newest first", body = AuditList),
        OfRecords,
        (status = 422, description = "validation-failed", body = Problem)
    )
)]
pub(super) async fn list(
    State(state): State<OpsState>,
    ApiQuery(page): ApiQuery<Page>,
) -> ApiResult<ApiJson<AuditList>> {
    let records = state
        .audit
        .list(page.limit.unwrap_or(PAGE), page.before)
        .await
        .map_err(refused)?;
    Ok(ApiJson(AuditList { records }))
}

/// Records a change before it is made. Afterwards the record gets what its handler says of it, or
/// why it was refused. A change that cannot be recorded is not made.
pub(super) async fn record_changes(
    State(state): State<OpsState>,
    operator: Operator,
    request: Request,
    next: Next,
) -> Response {
    if is_reading(request.method()) {
        return next.run(request).await;
    }
    let action = format!("http.{}", request.method().as_str().to_ascii_lowercase());
    let entry = AuditEntry::new(action, request.uri().path());
    let act = Act::new(operator.name, state.clock.as_ref());
    let id = match state.audit.record(act, entry).await {
        Ok(id) => id,
        Err(error) => return refused(error).into_response(),
    };
    let response = next.run(request).await;
    if let Err(error) = state.audit.conclude(id, conclusion(&response)).await {
        tracing::error!(%error, id, "the end of an audited change was not recorded");
    }
    response
}

/// What the record of a change says in the end.
fn conclusion(response: &Response) -> Conclusion {
    let status = response.status().as_u16();
    let audited = response.extensions().get::<Audited>().cloned();
    let (action, target, before, after) = match audited {
        Some(it) => (Some(it.action.to_owned()), it.target, it.before, it.after),
        None => (None, None, None, None),
    };
    let after = match response.extensions().get::<Problem>() {
        Some(problem) => json!({"status": status, "problem": problem.code}),
        None => after.unwrap_or_else(|| json!({"status": status})),
    };
    Conclusion {
        action,
        target,
        before,
        after,
    }
}

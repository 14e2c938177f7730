//! The audit log, and recording what other routers change.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use contract::Problem;
use contract::room::AuditList;
use http::Method;
use line::records::{Act, AuditEntry, Conclusion};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use utoipa::openapi::OpenApi;
use web::{ApiError, ApiJson, ApiQuery, ApiResult, Audited};

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

/// Read the audit log
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

/// Records what other routers change.
#[derive(Clone)]
pub(super) struct Recorder {
    state: OpsState,
    /// The names of changes, by method and path as it is routed.
    actions: Arc<HashMap<(Method, String), String>>,
}

impl Recorder {
    /// For the changes in `described`. Each is called after its operation: `show.import` after
    /// `show_import`.
    pub(super) fn new(state: OpsState, described: &OpenApi) -> Self {
        let operations = described.paths.paths.iter().flat_map(|(path, item)| {
            let changes = [
                (Method::POST, &item.post),
                (Method::PUT, &item.put),
                (Method::DELETE, &item.delete),
            ];
            changes.into_iter().filter_map(|(method, operation)| {
                let id = operation.as_ref()?.operation_id.as_ref()?;
                Some(((method, path.clone()), id.replacen('_', ".", 1)))
            })
        });
        Self {
            state,
            actions: Arc::new(operations.collect()),
        }
    }

    fn action_of(&self, request: &Request) -> String {
        let path = request.extensions().get::<MatchedPath>();
        let path = path.map_or(request.uri().path(), MatchedPath::as_str);
        let named = self
            .actions
            .get(&(request.method().clone(), path.to_owned()));
        named.cloned().unwrap_or_else(|| {
            let method = request.method().as_str().to_ascii_lowercase();
            format!("http.{method}")
        })
    }
}

/// Records a change before it is made. Afterwards the record gets what its handler says of it, or
/// why it was refused, also when nobody waits for the answer any more. A change that cannot be
/// recorded is not made.
pub(super) async fn record_changes(
    State(recorder): State<Recorder>,
    operator: Operator,
    request: Request,
    next: Next,
) -> Response {
    if is_reading(request.method()) {
        return next.run(request).await;
    }
    let entry = AuditEntry::new(recorder.action_of(&request), request.uri().path());
    let state = recorder.state;
    let tasks = state.tasks.clone();
    // A task of its own: the caller may go away, also between the record and the change.
    let changing = tasks.spawn(async move {
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
    });
    match changing.await {
        Ok(response) => response,
        Err(error) => ApiError::internal(&error).into_response(),
    }
}

/// What the record of a change says in the end.
fn conclusion(response: &Response) -> Conclusion {
    let status = response.status().as_u16();
    let audited = response.extensions().get::<Audited>().cloned();
    let (target, before, after) = match audited {
        Some(it) => (it.target, it.before, it.after),
        None => (None, None, None),
    };
    let after = match response.extensions().get::<Problem>() {
        Some(problem) => json!({"status": status, "problem": problem.code}),
        None => after.unwrap_or_else(|| json!({"status": status})),
    };
    Conclusion {
        target,
        before,
        after,
    }
}

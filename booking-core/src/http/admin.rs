//! The operators' API for shows. The gateway, which mounts it, authenticates operators and writes
//! the audit log.

use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use contract::booking::{ImportOutcome, Show, ShowFile, ShowImported, ShowList};
use contract::{Problem, ProblemCode, ShowId};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use show_file::Fault;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ApiError, ApiJson, ApiPath, ApiResult, Audited, RawJson};

use super::problems::not_found;
use crate::database::StoreError;
use crate::handle::Booking;
use crate::imports::ImportedShow;
use crate::payments::reconcile_report::ReconcileReport;
use crate::recorded::bounded;
use crate::store::check::CheckReport;

pub(super) fn routes() -> OpenApiRouter<Booking> {
    OpenApiRouter::default()
        .routes(routes!(shows, show_import))
        .layer(DefaultBodyLimit::max(show_file::FILE_BYTES_MAX))
        .routes(routes!(show))
        .routes(routes!(check))
        .routes(routes!(reconcile))
}

/// List the shows
#[utoipa::path(
    get, path = "/admin/v1/shows", operation_id = "shows", tag = "booking",
    responses((status = 200, description = "By starting time", body = ShowList))
)]
async fn shows(State(booking): State<Booking>) -> ApiJson<ShowList> {
    ApiJson(ShowList {
        shows: booking.all_shows(),
    })
}

/// Read a show
#[utoipa::path(
    get, path = "/admin/v1/shows/{showId}", operation_id = "show", tag = "booking",
    params(("showId" = ShowId, Path, description = "The show")),
    responses(
        (status = 200, description = "The show", body = Show),
        (status = 404, description = "not-found", body = Problem)
    )
)]
async fn show(
    State(booking): State<Booking>,
    ApiPath(show): ApiPath<ShowId>,
) -> ApiResult<ApiJson<Show>> {
    booking.show(&show).map(ApiJson).ok_or_else(not_found)
}

/// Import a show
///
/// Importing the same file again changes nothing.
#[utoipa::path(
    post, path = "/admin/v1/shows", operation_id = "show_import", tag = "booking",
    request_body = ShowFile,
    responses(
        (status = 201, description = "The show is new", body = ShowImported),
        (status = 200, description = "The show is as the file says", body = ShowImported),
        (status = 403, description = "forbidden", body = Problem),
        (status = 409, description = "conflict: seats were held or sold", body = Problem),
        (status = 503, description = "database-unavailable: the import may still complete",
            body = Problem)
    )
)]
async fn show_import(State(booking): State<Booking>, sent: ApiResult<RawJson>) -> Response {
    let mut audited = Audited::default();
    if let Ok(sent) = &sent {
        audited.target = sent.peek().map(|Named { show_id }| show_id.to_string());
    }
    match import(&booking, sent, &mut audited).await {
        Ok(response) => audited.on(response),
        Err(refusal) => audited.on(refusal.into_response()),
    }
}

/// The id of the show in a file that may have faults elsewhere.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    show_id: ShowId,
}

async fn import(
    booking: &Booking,
    sent: ApiResult<RawJson>,
    audited: &mut Audited,
) -> ApiResult<Response> {
    let file: ShowFile = sent?.parse()?;
    match booking.show_import(file).await.map_err(import_open)? {
        ImportedShow::Imported(imported, recorded) => {
            let status = match imported.outcome {
                ImportOutcome::Created => StatusCode::CREATED,
                ImportOutcome::Updated | ImportOutcome::Unchanged => StatusCode::OK,
            };
            (audited.before, audited.after) = (recorded.before, recorded.after);
            Ok((status, ApiJson(imported)).into_response())
        }
        ImportedShow::Invalid(faults) => Err(refuse(&faults)),
        ImportedShow::InUse => Err(Problem::new(ProblemCode::Conflict)
            .detail("Seats were held or sold: seats, currency and room must stay as they are.")
            .into()),
        ImportedShow::Moves => Err(Problem::new(ProblemCode::Conflict)
            .detail(
                "It has bookings at another time or venue than the file: to move it and tell its \
                 fans, use `ropeline show move`; else write in the file where and when it is.",
            )
            .into()),
    }
}

/// The response when the outcome of an import is unknown: it took too long and continues, or it may
/// have been committed before the connection broke.
fn import_open(error: StoreError) -> ApiError {
    if !error.is_transient() {
        return error.into();
    }
    tracing::warn!(
        error = &error as &dyn std::error::Error,
        "the outcome of an import is not known"
    );
    Problem::new(ProblemCode::DatabaseUnavailable)
        .detail(
            "The import may still complete. Look at the show, or send the same file again: that \
             changes nothing if it was taken.",
        )
        .into()
}

/// A refusal with all faults; the first is named as in other refusals.
fn refuse(faults: &[Fault]) -> ApiError {
    let told: Vec<String> = faults
        .iter()
        .map(|fault| format!("{}: {}", fault.path, fault.what))
        .collect();
    let listed: Vec<Value> = faults
        .iter()
        .map(|fault| json!({"field": fault.path, "detail": fault.what}))
        .collect();
    let field = faults.first().map_or(".", |fault| fault.path.as_str());
    Problem::new(ProblemCode::ValidationFailed)
        .detail(told.join("\n"))
        .with("field", field)
        .with("faults", listed)
        .into()
}

/// Check the booking invariants and count the breaches
#[utoipa::path(
    get, path = "/admin/v1/check", operation_id = "check", tag = "booking",
    responses(
        (status = 200, description = "Every invariant", body = CheckReport),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn check(State(booking): State<Booking>) -> ApiResult<ApiJson<CheckReport>> {
    Ok(ApiJson(booking.check().await?))
}

/// Compare the payment provider's records of the last day with the stored payments
#[utoipa::path(
    post, path = "/admin/v1/reconcile", operation_id = "payments_reconcile", tag = "booking",
    responses(
        (status = 200, description = "The differences that were found", body = ReconcileReport),
        (status = 403, description = "forbidden", body = Problem),
        (status = 503, description = "payment-unavailable, database-unavailable", body = Problem)
    )
)]
async fn reconcile(State(booking): State<Booking>) -> Response {
    let mut audited = Audited {
        target: Some(booking.provider_names()),
        ..Audited::default()
    };
    match compare(&booking).await {
        Ok(report) => {
            audited.after = serde_json::to_value(&report).ok().map(bounded);
            audited.on(ApiJson(report).into_response())
        }
        Err(refusal) => audited.on(refusal.into_response()),
    }
}

async fn compare(booking: &Booking) -> ApiResult<ReconcileReport> {
    booking.reconcile().await?.map_err(|error| {
        tracing::warn!(%error, "the provider's books could not be compared with ours");
        ProblemCode::PaymentUnavailable.into()
    })
}

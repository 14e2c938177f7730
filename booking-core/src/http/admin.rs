//! What operators do with shows. Who may do it is checked, and noted, by whoever mounts this.

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use contract::booking::{ImportOutcome, Show, ShowFile, ShowList};
use contract::{Problem, ProblemCode, ShowId};
use http::StatusCode;
use web::{ApiJson, ApiPath, ApiResult};

use super::problems::{invalid, not_found};
use crate::app::{Booking, ImportedShow};
use crate::payments::ReconcileReport;
use crate::store::check::CheckReport;

/// Largest show file.
const SHOW_FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(super) fn routes() -> Router<Booking> {
    let import = get(shows)
        .post(show_import)
        .layer(DefaultBodyLimit::max(SHOW_FILE_BYTES_MAX));
    Router::new()
        .route("/admin/v1/shows", import)
        .route("/admin/v1/shows/{showId}", get(show))
        .route("/admin/v1/check", get(check))
        .route("/admin/v1/reconcile", post(reconcile))
}

async fn shows(State(booking): State<Booking>) -> ApiJson<ShowList> {
    ApiJson(ShowList {
        shows: booking.all_shows(),
    })
}

async fn show(
    State(booking): State<Booking>,
    ApiPath(show): ApiPath<ShowId>,
) -> ApiResult<ApiJson<Show>> {
    booking.show(&show).map(ApiJson).ok_or_else(not_found)
}

async fn show_import(
    State(booking): State<Booking>,
    ApiJson(file): ApiJson<ShowFile>,
) -> ApiResult<Response> {
    match booking.show_import(file).await? {
        ImportedShow::Imported(imported) => {
            let status = match imported.outcome {
                ImportOutcome::Created => StatusCode::CREATED,
                ImportOutcome::Updated | ImportOutcome::Unchanged => StatusCode::OK,
            };
            Ok((status, ApiJson(imported)).into_response())
        }
        ImportedShow::Invalid(refused) => Err(invalid(&refused.field, &refused.problem)),
        ImportedShow::InUse => Err(Problem::new(ProblemCode::Conflict)
            .detail("Seats were held or sold: seats, currency and room must stay as they are.")
            .into()),
    }
}

async fn check(State(booking): State<Booking>) -> ApiResult<ApiJson<CheckReport>> {
    Ok(ApiJson(booking.check().await?))
}

async fn reconcile(State(booking): State<Booking>) -> ApiResult<ApiJson<ReconcileReport>> {
    booking.reconcile().await?.map(ApiJson).map_err(|error| {
        tracing::warn!(%error, "the provider's books could not be compared with ours");
        ProblemCode::PaymentUnavailable.into()
    })
}

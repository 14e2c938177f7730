//! The operators' API for scanners and their tokens.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::checkin::{ScannerList, ScannerMade, ScannerRequest};
use contract::{Problem, ScannerId, ShowId};
use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ApiError, ApiJson, ApiPath, ApiQuery, ApiResult, Audited};

use super::problems::not_found;
use crate::checkin::ScannerWish;
use crate::handle::Booking;

pub(super) fn routes() -> OpenApiRouter<Booking> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(revoke))
}

/// Which scanners are listed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[serde(rename_all = "camelCase")]
pub(super) struct Wanted {
    /// Only those of this show.
    show_id: Option<ShowId>,
}

/// List scanners, the newest first
#[utoipa::path(
    get, path = "/admin/v1/scanners", operation_id = "scanners", tag = "checkin",
    params(Wanted),
    responses(
        (status = 200, description = "Never with their tokens", body = ScannerList),
        (status = 422, description = "validation-failed", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn list(
    State(booking): State<Booking>,
    ApiQuery(wanted): ApiQuery<Wanted>,
) -> ApiResult<ApiJson<ScannerList>> {
    let scanners = booking.scanners(wanted.show_id).await?;
    Ok(ApiJson(ScannerList { scanners }))
}

/// Make a scanner, with a token that is shown once
#[utoipa::path(
    post, path = "/admin/v1/scanners", operation_id = "scanner_create", tag = "checkin",
    request_body = ScannerRequest,
    responses(
        (status = 201, description = "The scanner and its token", body = ScannerMade),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found: no such show", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn create(
    State(booking): State<Booking>,
    sent: ApiResult<ApiJson<ScannerRequest>>,
) -> Response {
    let mut audited = Audited::default();
    match make(&booking, sent, &mut audited).await {
        Ok(made) => {
            let id = made.scanner.scanner_id.to_string();
            audited.target = Some(id);
            audited.after = serde_json::to_value(&made.scanner).ok();
            audited.on((StatusCode::CREATED, ApiJson(made)).into_response())
        }
        Err(refusal) => audited.on(refusal.into_response()),
    }
}

async fn make(
    booking: &Booking,
    sent: ApiResult<ApiJson<ScannerRequest>>,
    audited: &mut Audited,
) -> ApiResult<ScannerMade> {
    let ApiJson(request) = sent?;
    audited.target = Some(request.show_id.to_string());
    let wish = ScannerWish {
        show: request.show_id,
        gate: request.gate,
        until: request.until,
    };
    booking.scanner_create(wish).await?.ok_or_else(not_found)
}

/// Revoke the token of a scanner
#[utoipa::path(
    delete, path = "/admin/v1/scanners/{scannerId}", operation_id = "scanner_revoke",
    tag = "checkin", params(("scannerId" = ScannerId, Path, description = "The scanner")),
    responses(
        (status = 204, description = "It is good for nothing"),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn revoke(State(booking): State<Booking>, ApiPath(scanner): ApiPath<ScannerId>) -> Response {
    let audited = Audited {
        target: Some(scanner.to_string()),
        ..Audited::default()
    };
    let revoked = booking.scanner_revoke(scanner).await;
    audited.on(match revoked {
        Ok(true) => StatusCode::NO_CONTENT.into_response(),
        Ok(false) => not_found().into_response(),
        Err(error) => ApiError::from(error).into_response(),
    })
}

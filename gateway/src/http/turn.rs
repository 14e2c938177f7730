//! Telling a fan of the call also while no page is open: asked for here, told by the booking core.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::contact::TurnRequest;
use contract::{Problem, RoomId};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use web::{ApiJson, ApiResult};

use super::openapi::{OfBody, OfPlace, OfRoom};
use super::presented;
use super::room::{Line, RoomPath, Shows, private};

/// What browsers subscribe to.
#[derive(Serialize, ToSchema)]
struct PushKey {
    /// `applicationServerKey`, base64url.
    key: String,
}

/// Read what browsers subscribe to for push messages
#[utoipa::path(
    get, path = "/_line/v1/push-key", operation_id = "push_key", tag = "place",
    responses((status = 200, description = "The key", body = PushKey))
)]
pub async fn push_key(State(state): Line) -> Response {
    let key = state.turns.push_key();
    let public = (
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    );
    ([public], ApiJson(PushKey { key })).into_response()
}

/// Ask to be told of the call, by push message or by mail
///
/// A later request adds to an earlier one of the same place. The fan is told once for each call, if
/// it is not claimed by then.
#[utoipa::path(
    put, path = "/_line/v1/rooms/{room}/place/notice", operation_id = "turn_notice", tag = "place",
    params(("room" = RoomId, Path, description = "The room")),
    security(("place" = []), ("placeCookie" = [])),
    request_body = TurnRequest,
    responses(
        (status = 204, description = "The fan will be told"),
        (status = 403, description = "forbidden: of another site's page", body = Problem),
        (status = 503, description = "booking-busy: too many ask; database-unavailable", body = Problem),
        OfRoom, OfPlace, OfBody
    )
)]
pub async fn notice(
    State(state): Line,
    RoomPath(room): RoomPath,
    Shows(visitor): Shows,
    headers: HeaderMap,
    ApiJson(wanted): ApiJson<TurnRequest>,
) -> ApiResult<Response> {
    let presented = presented::place_required(&room, &visitor)?;
    state.limits.check_poll(presented.token.place)?;
    let (id, place) = (room.id.clone(), presented.token.place);
    state.turns.ask(id, place, wanted, &headers).await?;
    Ok(private(StatusCode::NO_CONTENT.into_response()))
}

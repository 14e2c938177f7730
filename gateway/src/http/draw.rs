//! The draw document, with which anyone can verify the order of the prequeue (DRAW).

use axum::response::{IntoResponse, Response};
use contract::RoomId;
use contract::line::DrawDocument;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use line::policy::order::{DRAW_ALGORITHM, draw as draw_of};
use web::{ApiJson, ApiResult};

use super::openapi::{OfPlaceIfAny, OfRoom};
use super::presented;
use super::room::{RoomPath, Shows, private};

/// Read the draw, so that anyone can verify it
#[utoipa::path(
    get, path = "/_line/v1/rooms/{room}/draw", tag = "room",
    params(("room" = RoomId, Path, description = "The room")),
    security((), ("place" = []), ("placeCookie" = [])),
    responses(
        (
            status = 200,
            description = "The draw, with the seed once the room has opened",
            body = DrawDocument
        ),
        OfRoom, OfPlaceIfAny
    )
)]
pub async fn draw(RoomPath(room): RoomPath, Shows(visitor): Shows) -> ApiResult<Response> {
    let record = room.record();
    let revealed = record.seed_revealed_at.is_some();
    let held = presented::place_if_any(&room, &visitor)?.map(|held| held.token);
    let drawn = held
        .as_ref()
        .map(|token| draw_of(&record.seed, &room.id, &token.nonce));
    let document = DrawDocument {
        room: room.id.clone(),
        algorithm: DRAW_ALGORITHM.to_owned(),
        commitment: record.commitment.clone(),
        seed: revealed.then(|| HEXLOWER.encode(&record.seed)),
        revealed_at: record.seed_revealed_at,
        nonce: held
            .as_ref()
            .map(|token| BASE64URL_NOPAD.encode(&token.nonce)),
        order_key: held
            .filter(|_| revealed)
            .map(|token| room.key_of(&token))
            // A place that joined after the opening is not part of this draw.
            .filter(|key| key.is_live() || Some(*key) == drawn)
            .map(|key| key.get().to_string()),
    };
    Ok(private(ApiJson(document).into_response()))
}

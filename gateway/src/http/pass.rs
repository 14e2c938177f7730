//! Claiming and ending a session; the public keys.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::line::{NotCalled, PassGrant};
use contract::pass::JwkSet;
use contract::{Clock, Problem, ProblemCode, RoomId};
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use line::passes::Minted;
use line::room::Room;
use line::visitor::Claimed;
use web::{ApiJson, ApiResult, NoFields};

use super::openapi::{OfBody, OfCalls, OfGivingUp, OfLine, OfOrigin, OfPlace, OfRoom};
use super::presented;
use super::room::{Line, RoomPath, Shows, private};
use crate::rotation::JWKS_MAX_AGE;

/// Claim a turn
///
/// Repeated claims give the same session.
#[utoipa::path(
    post, path = "/_line/v1/rooms/{room}/pass", tag = "pass",
    params(("room" = RoomId, Path, description = "The room")),
    security(("place" = []), ("placeCookie" = [])),
    request_body(content = Option<NoFields>, description = "An empty body, or `{}`"),
    responses(
        (status = 200, description = "The pass, also as a cookie", body = PassGrant),
        (
            status = 409,
            description = "not-called; `place` has the status of the place",
            body = NotCalled,
            content_type = "application/problem+json"
        ),
        OfRoom, OfLine, OfBody, OfPlace, OfOrigin
    )
)]
pub async fn claim(
    State(state): Line,
    RoomPath(room): RoomPath,
    Shows(visitor): Shows,
    ApiJson(NoFields {}): ApiJson<NoFields>,
) -> ApiResult<Response> {
    let presented = presented::place_required(&room, &visitor)?;
    match room.claim(&presented.token).await? {
        Claimed::Pass(pass) => {
            let cookie = pass_cookie(&state, &room, &pass);
            Ok(private(
                ([(SET_COOKIE, cookie)], ApiJson(pass.grant)).into_response(),
            ))
        }
        Claimed::NotCalled(place) => Ok(not_called(NotCalled {
            problem: Problem::new(ProblemCode::NotCalled)
                .detail("Wait for your turn; `place` says how you stand."),
            place: *place,
        })),
    }
}

/// The pass cookie for `pass`.
pub fn pass_cookie(state: &super::state::LineState, room: &Room, pass: &Minted) -> HeaderValue {
    let now = room.parts.clock.now();
    state
        .cookies
        .pass(&room.id, &pass.grant.access_token, pass.expires_at, now)
}

fn not_called(answer: NotCalled) -> Response {
    let place = serde_json::to_value(&answer.place).unwrap_or_default();
    web::error::respond(answer.problem.with("place", place))
}

/// End a session, identified by its pass or by its place
#[utoipa::path(
    delete, path = "/_line/v1/rooms/{room}/pass", tag = "pass",
    params(("room" = RoomId, Path, description = "The room")),
    security(
        (), ("pass" = []), ("passCookie" = []), ("passHeader" = []), ("place" = []),
        ("placeCookie" = [])
    ),
    responses(
        (status = 204, description = "The session has ended and its slot is free"),
        OfRoom, OfLine, OfGivingUp
    )
)]
pub async fn end(
    State(state): Line,
    RoomPath(room): RoomPath,
    Shows(visitor): Shows,
) -> ApiResult<Response> {
    let now = room.parts.clock.now();
    let by_pass = presented::pass(&room, &visitor, now);
    if let Some((_, own)) = by_pass {
        room.end_session(own.sub, Some(own.queue_position)).await?;
    } else if let Some(held) = presented::place_given_up(&room, &visitor)? {
        room.end_session(held.token.place, None).await?;
    }
    let cleared = [(SET_COOKIE, state.cookies.pass_clear(&room.id))];
    Ok(private((StatusCode::NO_CONTENT, cleared).into_response()))
}

const CACHEABLE: &str = "public, max-age=300";
// A new key signs only when nobody may have a list without it any more.
const _: () = assert!(JWKS_MAX_AGE.as_secs() == 300);

/// Read the keys that verify proofs of requests
///
/// Of `Ropeline-Proof`, which the service behind a room with `signRequests` gets. They are none of
/// those of passes.
#[utoipa::path(
    get, path = "/_line/v1/proof-jwks.json", tag = "pass",
    responses(
        (status = 200, description = "Cacheable for five minutes", body = JwkSet),
        OfCalls
    )
)]
pub async fn proof_jwks(State(state): Line) -> impl IntoResponse {
    let keys: JwkSet = state.rooms.parts().pass_keys.proof_jwks();
    (
        [(CACHE_CONTROL, HeaderValue::from_static(CACHEABLE))],
        ApiJson(keys),
    )
}

/// Read the keys that verify passes
#[utoipa::path(
    get, path = "/_line/v1/jwks.json", tag = "pass",
    responses(
        (status = 200, description = "Cacheable for five minutes", body = JwkSet),
        OfCalls
    )
)]
pub async fn jwks(State(state): Line) -> impl IntoResponse {
    let keys: JwkSet = state.rooms.parts().pass_keys.jwks();
    (
        [(CACHE_CONTROL, HeaderValue::from_static(CACHEABLE))],
        ApiJson(keys),
    )
}

//! Joining, reading the status, leaving.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::cloudflare::{CloudflareStatus, RoomSays};
use contract::line::{JoinRequest, PassGrant, StatusDocument};
use contract::room::QueueingMethod;
use contract::{Clock, Problem, ProblemCode, RoomId};
use data_encoding::BASE64URL_NOPAD;
use http::header::SET_COOKIE;
use http::{HeaderName, HeaderValue, StatusCode};
use line::policy::place::PlaceToken;
use line::room::Room;
use line::store::{Enter, Standing};
use line::visitor::{Joined, Joiner};
use web::{ApiError, ApiJson, ApiResult};

use super::openapi::{OfBody, OfGivingUp, OfJoining, OfLine, OfPlace, OfPlaceIfAny, OfRoom};
use super::presented::{self, PresentedPlace};
use super::room::{Line, RoomPath, Shows, private};
use super::state::LineState;
use crate::edge::presented::Presented;

/// Join the line
///
/// Joining again with the same nonce or with the place token gives the same place.
#[utoipa::path(
    post, path = "/_line/v1/rooms/{room}/places", tag = "place",
    params(("room" = RoomId, Path, description = "The room")),
    security((), ("place" = []), ("placeCookie" = [])),
    request_body(content = Option<JoinRequest>, content_type = "application/json"),
    responses(
        (
            status = 201,
            description = "A new place; `place` is the token to keep",
            body = StatusDocument
        ),
        (
            status = 200,
            description = "The place the caller had, or `admitted` with a `pass` when nobody waits",
            body = StatusDocument
        ),
        OfRoom, OfLine, OfBody, OfJoining
    )
)]
pub async fn join(
    State(state): Line,
    RoomPath(room): RoomPath,
    Shows(visitor): Shows,
    ApiJson(body): ApiJson<JoinRequest>,
) -> ApiResult<Response> {
    join_room(&state, &room, &visitor, body).await
}

/// Joins `room` for `visitor`, as `body` asks.
pub(super) async fn join_room(
    state: &LineState,
    room: &Room,
    visitor: &Presented,
    body: JoinRequest,
) -> ApiResult<Response> {
    let joiner = joiner(room, visitor, body).await?;
    let outcome = room.join(joiner).await?;
    Ok(joined_response(state, room, visitor, outcome))
}

/// The identity to join with, from what the request presents. A browser whose session has ended and
/// that sends a new nonce gets a new place; every other visitor keeps their place.
pub async fn joiner(room: &Room, visitor: &Presented, body: JoinRequest) -> ApiResult<Joiner> {
    let nonce = body.nonce.as_deref().map(nonce).transpose()?;
    let held = presented::place_if_any(room, visitor)?;
    let mut token = held.map(|held| held.token);
    if let (Some(held), Some(nonce)) = (&token, nonce)
        && held.nonce != nonce
        && !room.is_idle()
        && is_over(room.look(held, Enter::Look, false).await?)
    {
        token = None;
    }
    Ok(Joiner {
        token,
        nonce,
        access_code: body.access_code,
    })
}

const fn is_over(standing: Standing) -> bool {
    matches!(standing, Standing::Ended | Standing::Unknown)
}

fn nonce(text: &str) -> ApiResult<[u8; 16]> {
    let bytes = BASE64URL_NOPAD
        .decode(text.trim_end_matches('=').as_bytes())
        .ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| {
            Problem::new(ProblemCode::ValidationFailed)
                .detail("nonce: 16 random bytes as base64url, which is 22 characters")
                .with("field", "nonce")
                .into()
        })
}

fn joined_response(
    state: &LineState,
    room: &Room,
    visitor: &Presented,
    joined: Joined,
) -> Response {
    match joined {
        Joined::Placed {
            token,
            mut status,
            fresh,
        } => {
            let text = room.parts.place_keys.sign(&token);
            let cookie = state.cookies.place(&room.id, &text);
            status.place = Some(text);
            let code = if fresh {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            };
            private((code, [(SET_COOKIE, cookie)], ApiJson(status)).into_response())
        }
        Joined::PassedThrough { mut status, pass } => {
            let now = room.parts.clock.now();
            // An existing pass is kept, because holds and bookings belong to its subject.
            if let Some((text, claims)) = presented::pass(room, visitor, now) {
                status.pass = Some(PassGrant {
                    access_token: text.to_owned(),
                    expires_in: claims.expires_at().since(now).as_secs(),
                    ..pass.grant
                });
                return private(ApiJson(status).into_response());
            }
            let cookie =
                state
                    .cookies
                    .pass(&room.id, &pass.grant.access_token, pass.expires_at, now);
            private((StatusCode::OK, [(SET_COOKIE, cookie)], ApiJson(status)).into_response())
        }
    }
}

/// Read the status of a place
///
/// While the store of the line is unavailable, the answer has the last known numbers; `updatedAt`
/// says when they were taken.
#[utoipa::path(
    get, path = "/_line/v1/rooms/{room}/place", tag = "place",
    params(("room" = RoomId, Path, description = "The room")),
    security(("place" = []), ("placeCookie" = [])),
    responses(
        (status = 200, description = "How the visitor stands", body = StatusDocument),
        OfRoom, OfPlace
    )
)]
pub async fn status(
    State(state): Line,
    RoomPath(room): RoomPath,
    Shows(visitor): Shows,
) -> ApiResult<Response> {
    let presented = presented::place_required(&room, &visitor)?;
    state.limits.check_poll(presented.token.place)?;
    let mut status = look(&room, &presented.token).await?;
    let cookie = renewed_cookie(&state, &room, &presented);
    status.place = presented.renewed;
    Ok(private((cookie, ApiJson(status)).into_response()))
}

/// Read how a visitor stands, in the words of Cloudflare's waiting room
///
/// For clients that were written for that. A visitor without a place does not wait; `POST …/places`
/// gives one. Whoever is called does not wait any more, and enters by `/_line/rooms/{room}/enter`.
#[utoipa::path(
    get, path = "/_line/v1/rooms/{room}/status", operation_id = "cloudflareStatus", tag = "place",
    params(("room" = RoomId, Path, description = "The room")),
    security((), ("place" = []), ("placeCookie" = [])),
    responses(
        (status = 200, description = "How the visitor stands", body = CloudflareStatus),
        OfRoom, OfPlaceIfAny
    )
)]
pub async fn cloudflare_status(
    State(state): Line,
    RoomPath(room): RoomPath,
    Shows(visitor): Shows,
) -> ApiResult<Response> {
    let presented = presented::place_if_any(&room, &visitor)?;
    let place = match &presented {
        Some(presented) => {
            state.limits.check_poll(presented.token.place)?;
            Some(look(&room, &presented.token).await?)
        }
        None => None,
    };
    let cookie = presented
        .as_ref()
        .and_then(|presented| renewed_cookie(&state, &room, presented));
    let document = room.view().document();
    let record = room.record();
    let settings = &record.settings;
    let says = RoomSays {
        phase: document.phase,
        queue_all: settings.queue_all,
        is_random: settings.queueing_method == QueueingMethod::Random,
        draws: settings.prequeue_opens_at.is_some(),
        opens_at: settings.opens_at,
        poll_after_ms: document.poll_policy.floor_ms,
    };
    let status = CloudflareStatus::of(place.as_ref(), says, room.parts.clock.now());
    Ok(private((cookie, ApiJson(status)).into_response()))
}

/// The place cookie of a token that is renewed.
pub(super) fn renewed_cookie(
    state: &LineState,
    room: &Room,
    presented: &PresentedPlace,
) -> Option<[(HeaderName, HeaderValue); 1]> {
    let text = presented.renewed.as_ref()?;
    Some([(SET_COOKIE, state.cookies.place(&room.id, text))])
}

/// The status of the holder of `token`; while the store does not answer, from the last known view.
async fn look(room: &Room, token: &PlaceToken) -> Result<StatusDocument, ApiError> {
    let standing = match room.look(token, Enter::Look, false).await {
        Ok(standing) => standing,
        // The token proves the place. The figures are old, as `updatedAt` shows.
        Err(problem) if problem.code == ProblemCode::LineUnavailable => {
            let waiting = Standing::Waiting {
                key: room.key_of(token),
            };
            room.sockets.standing(&token.place).unwrap_or(waiting)
        }
        Err(problem) => return Err(problem.into()),
    };
    Ok(room.status_of(token, standing, room.parts.clock.now())?)
}

/// Leave the line
#[utoipa::path(
    delete, path = "/_line/v1/rooms/{room}/place", tag = "place",
    params(("room" = RoomId, Path, description = "The room")),
    security((), ("place" = []), ("placeCookie" = [])),
    responses(
        (status = 204, description = "Gone, also when already gone"),
        OfRoom, OfLine, OfGivingUp
    )
)]
pub async fn leave(
    State(state): Line,
    RoomPath(room): RoomPath,
    Shows(visitor): Shows,
) -> ApiResult<Response> {
    let cleared = [(SET_COOKIE, state.cookies.place_clear(&room.id))];
    if let Some(held) = presented::place_given_up(&room, &visitor)? {
        room.leave(held.token.place).await?;
    }
    Ok(private((StatusCode::NO_CONTENT, cleared).into_response()))
}

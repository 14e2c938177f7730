//! Joining, looking, leaving.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::line::{JoinRequest, StatusDocument};
use contract::{Clock, Problem, ProblemCode};
use data_encoding::BASE64URL_NOPAD;
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use web::{ApiError, ApiJson, ApiResult};

use super::LineState;
use super::presented;
use super::room::{Line, RoomPath, private};
use crate::line::room::Room;
use crate::line::visitor::{Joined, Joiner};
use crate::room::place::PlaceToken;
use crate::store::{Enter, Standing};

/// `POST /_line/v1/rooms/{room}/places`
pub async fn join(
    State(state): Line,
    RoomPath(room): RoomPath,
    headers: HeaderMap,
    ApiJson(body): ApiJson<JoinRequest>,
) -> ApiResult<Response> {
    let joiner = joiner(&state, &room, &headers, body).await?;
    Ok(joined_response(&state, &room, room.join(joiner).await?))
}

/// Who wants to join, from what the request presents. A browser whose session is over and that
/// brings a new nonce begins anew; everyone else keeps the place they have.
pub async fn joiner(
    state: &LineState,
    room: &Room,
    headers: &HeaderMap,
    body: JoinRequest,
) -> ApiResult<Joiner> {
    let nonce = body.nonce.as_deref().map(nonce).transpose()?;
    let presented = match presented::place(room, state.cookies, headers) {
        // A browser cannot get rid of a cookie it may not read: an outdated one is no hindrance.
        Err(_) if presented::bearer(headers).is_none() => None,
        other => other?,
    };
    let mut token = presented.map(|presented| presented.token);
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

fn joined_response(state: &LineState, room: &Room, joined: Joined) -> Response {
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
        Joined::PassedThrough { status, pass } => {
            let now = room.parts.clock.now();
            let cookie =
                state
                    .cookies
                    .pass(&room.id, &pass.grant.access_token, pass.expires_at, now);
            private((StatusCode::OK, [(SET_COOKIE, cookie)], ApiJson(status)).into_response())
        }
    }
}

/// `GET /_line/v1/rooms/{room}/place`
pub async fn status(
    State(state): Line,
    RoomPath(room): RoomPath,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let presented = presented::place_required(&room, state.cookies, &headers)?;
    state.limits.check_poll(presented.token.place)?;
    let status = look(&room, &presented.token).await?;
    Ok(private(ApiJson(status).into_response()))
}

/// How the holder of `token` stands; with the store away, what was last known of the line.
async fn look(room: &Room, token: &PlaceToken) -> Result<StatusDocument, ApiError> {
    let standing = match room.look(token, Enter::Look, false).await {
        Ok(standing) => standing,
        // The token proves the place. The numbers are old, and `updatedAt` says so.
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

/// `DELETE /_line/v1/rooms/{room}/place`
pub async fn leave(
    State(state): Line,
    RoomPath(room): RoomPath,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let cleared = [(SET_COOKIE, state.cookies.place_clear(&room.id))];
    if let Some(presented) = presented::place(&room, state.cookies, &headers)? {
        room.leave(presented.token.place).await?;
    }
    Ok(private((StatusCode::NO_CONTENT, cleared).into_response()))
}

//! What a request presents: a place token, as a cookie or as a bearer token.

use std::time::Duration;

use contract::{Problem, ProblemCode, RoomId};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use web::ApiError;

use super::cookies::CookieForm;
use crate::line::room::Room;
use crate::room::place::PlaceToken;

/// How far the clock of a gateway may be behind that of the one that made the room.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(10);

/// A place token that came with a request.
#[derive(Clone, Debug)]
pub struct PresentedPlace {
    /// The token, genuine and of the room asked for.
    pub token: PlaceToken,
}

/// The text of a bearer token.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The place the request presents for `room`, if any. A bearer token goes before a cookie.
pub fn place(
    room: &Room,
    cookies: CookieForm,
    headers: &HeaderMap,
) -> Result<Option<PresentedPlace>, ApiError> {
    let Some(text) = bearer(headers).or_else(|| cookies.place_of(headers, &room.id)) else {
        return Ok(None);
    };
    let token = verified(room, &room.id, text)?;
    Ok(Some(PresentedPlace { token }))
}

/// The place the request presents; 401 when it presents none.
pub fn place_required(
    room: &Room,
    cookies: CookieForm,
    headers: &HeaderMap,
) -> Result<PresentedPlace, ApiError> {
    place(room, cookies, headers)?.ok_or_else(|| {
        Problem::new(ProblemCode::PlaceRequired)
            .detail("Send the place token as a cookie or as `Authorization: Bearer`.")
            .with("joinUrl", format!("/_line/v1/rooms/{}/places", room.id))
            .into()
    })
}

fn verified(room: &Room, id: &RoomId, text: &str) -> Result<PlaceToken, ApiError> {
    let token = room
        .parts
        .place_keys
        .verify(text)
        .map_err(|_| ProblemCode::PlaceInvalid)?;
    if token.room != *id {
        return Err(Problem::new(ProblemCode::PlaceInvalid)
            .detail("This place token is for another room.")
            .into());
    }
    // The room was deleted and made again under the same name.
    let record = room.record();
    let of_another = token.epoch != record.epoch;
    if of_another || token.issued_at.plus(CLOCK_SKEW_MAX) < record.created_at {
        return Err(Problem::new(ProblemCode::PlaceExpired)
            .detail("The room was closed for good after this place was given.")
            .into());
    }
    Ok(token)
}

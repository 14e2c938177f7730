//! What a request presents: a place token, as a cookie or as a bearer token.

use contract::pass::PassClaims;
use contract::{Problem, ProblemCode, RoomId, Timestamp};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use web::ApiError;

use super::cookies::CookieForm;
use crate::gate::passes_presented;
use crate::line::room::Room;
use crate::room::place::PlaceToken;

/// A place token that came with a request.
#[derive(Clone, Debug)]
pub struct PresentedPlace {
    /// The token, genuine and of the room asked for.
    pub token: PlaceToken,
    /// Whether it was a cookie, which we may replace or clear.
    pub is_cookie: bool,
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
    let (text, is_cookie) = match (bearer(headers), cookies.place_of(headers, &room.id)) {
        (Some(text), _) => (text, false),
        (None, Some(text)) => (text, true),
        (None, None) => return Ok(None),
    };
    let token = verified(room, &room.id, text)?;
    Ok(Some(PresentedPlace { token, is_cookie }))
}

/// The place the request presents, where none is needed. A browser cannot get rid of a cookie it
/// may not read, so an outdated one counts as none; a bearer token is refused, as it was sent on
/// purpose.
pub fn place_if_any(
    room: &Room,
    cookies: CookieForm,
    headers: &HeaderMap,
) -> Result<Option<PresentedPlace>, ApiError> {
    match place(room, cookies, headers) {
        Err(_) if bearer(headers).is_none() => Ok(None),
        found => found,
    }
}

/// The place the request gives up, if there is one: a place of a room that was deleted is gone
/// already.
pub fn place_given_up(
    room: &Room,
    cookies: CookieForm,
    headers: &HeaderMap,
) -> Result<Option<PresentedPlace>, ApiError> {
    match place_if_any(room, cookies, headers) {
        Err(error) if error.problem().code == ProblemCode::PlaceExpired => Ok(None),
        found => found,
    }
}

/// The pass of `room` that the request presents, if it is valid now.
pub fn pass<'h>(
    room: &Room,
    cookies: CookieForm,
    headers: &'h HeaderMap,
    now: Timestamp,
) -> Option<(&'h str, PassClaims)> {
    passes_presented(cookies, headers, false).find_map(|text| {
        let claims = room.parts.pass_keys.verify_for(text, &room.id, now).ok()?;
        Some((text, claims))
    })
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
    if token.issued_at < room.record().created_at {
        return Err(Problem::new(ProblemCode::PlaceExpired)
            .detail("The room was closed for good after this place was given.")
            .into());
    }
    Ok(token)
}

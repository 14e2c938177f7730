//! Place tokens and passes that a request presents, verified.

use std::time::Duration;

use contract::pass::PassClaims;
use contract::{Problem, ProblemCode, RoomId, Timestamp};
use line::policy::place::PlaceToken;
use line::room::Room;
use web::ApiError;

use crate::edge::presented::Presented;

/// Texts of one request that are tried as passes. Each may cost a signature check, and no fan has
/// passes for so many rooms at once.
pub const PASSES_MAX: usize = 8;
/// How far the clock of a gateway may be behind that of the gateway that made the room.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(10);

/// A verified place token that came with a request.
#[derive(Clone, Debug)]
pub struct PresentedPlace {
    /// The token, genuine and for the requested room.
    pub token: PlaceToken,
    /// Its text under the key that signs now, if it is of an earlier one: the visitor is to keep
    /// that, because the earlier key will be dropped.
    pub renewed: Option<String>,
}

/// The place that the request presents for `room`, if any. A bearer token takes precedence over a
/// cookie.
pub fn place(room: &Room, presented: &Presented) -> Result<Option<PresentedPlace>, ApiError> {
    let cookie = || presented.place_cookie(room.id.as_str());
    let Some(text) = presented.bearer().or_else(cookie) else {
        return Ok(None);
    };
    let token = verified(room, &room.id, text)?;
    let renewed = room.parts.place_keys.renewed(&token, text);
    Ok(Some(PresentedPlace { token, renewed }))
}

/// Whether the request presents a place token of `room`, valid or not: then the response is
/// specific to one visitor.
pub fn shows_place(room: &Room, presented: &Presented) -> bool {
    presented.bearer().is_some() || presented.place_cookie(room.id.as_str()).is_some()
}

/// The place that the request presents, for calls that need none. An outdated cookie counts as
/// none, because a browser cannot remove a cookie that its scripts cannot read; an outdated bearer
/// token is refused, because it was sent on purpose.
pub fn place_if_any(
    room: &Room,
    presented: &Presented,
) -> Result<Option<PresentedPlace>, ApiError> {
    match place(room, presented) {
        Err(_) if presented.bearer().is_none() => Ok(None),
        found => found,
    }
}

/// The place that the request gives up, if any. A place of a deleted room counts as none, because
/// it is gone already.
pub fn place_given_up(
    room: &Room,
    presented: &Presented,
) -> Result<Option<PresentedPlace>, ApiError> {
    match place_if_any(room, presented) {
        Err(error) if error.problem().code == ProblemCode::PlaceExpired => Ok(None),
        found => found,
    }
}

/// The pass of `room` that the request presents, if it is valid now.
pub fn pass<'h>(
    room: &Room,
    presented: &'h Presented,
    now: Timestamp,
) -> Option<(&'h str, PassClaims)> {
    passes(presented, Shown::To(&room.id)).find_map(|text| {
        let claims = room.parts.pass_keys.verify_for(text, &room.id, now).ok()?;
        Some((text, claims))
    })
}

/// The place the request presents; 401 when it presents none.
pub fn place_required(room: &Room, presented: &Presented) -> Result<PresentedPlace, ApiError> {
    place(room, presented)?.ok_or_else(|| {
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
    // An earlier record of the room was deleted, and another room has the same name now.
    let record = room.record();
    let of_another = token.epoch != record.epoch;
    if of_another || token.issued_at.plus(CLOCK_SKEW_MAX) < record.created_at {
        return Err(Problem::new(ProblemCode::PlaceExpired)
            .detail("The room was closed for good after this place was given.")
            .into());
    }
    Ok(token)
}

/// Where a request is searched for passes.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// For a remote service, which has bearer tokens of its own: the pass header, and the cookie of
    /// the room that protects it.
    ToRemote(&'a RoomId),
    /// For the line, about one room: the pass header, a bearer token, and the cookie of that room.
    To(&'a RoomId),
    /// For the booking core: the pass header, a bearer token, and the cookies of all rooms, first
    /// that of the room that protects the path.
    ToEmbedded(Option<&'a RoomId>),
}

/// The texts that a request presents as passes, at most [`PASSES_MAX`].
pub fn passes<'h>(
    presented: &'h Presented,
    shown: Shown<'_>,
) -> impl Iterator<Item = &'h str> + use<'h> {
    let (room, takes_bearer, others) = match shown {
        Shown::ToRemote(room) => (Some(room), false, false),
        Shown::To(room) => (Some(room), true, false),
        Shown::ToEmbedded(room) => (room, true, true),
    };
    let bearer = presented.bearer().filter(|_| takes_bearer);
    let rooms_own = presented
        .pass_cookies()
        .filter(|(name, _)| room.is_some_and(|room| room.as_str() == *name));
    let texts: Vec<&str> = presented
        .pass_header()
        .into_iter()
        .chain(bearer)
        .chain(rooms_own.map(|(_, text)| text))
        .chain(
            presented
                .pass_cookies()
                .filter(|(name, _)| others && room.is_none_or(|room| room.as_str() != *name))
                .map(|(_, text)| text),
        )
        .take(PASSES_MAX)
        .collect();
    texts.into_iter()
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, COOKIE};
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::edge::client_ip::TrustedProxies;
    use crate::edge::presented::ReadAs;

    #[test]
    fn passes_are_looked_for_where_they_may_be_shown_and_no_more_than_a_few() {
        let room: RoomId = "eras".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("ropeline-pass", "header".parse().unwrap());
        headers.insert(AUTHORIZATION, "Bearer bearer".parse().unwrap());
        let mut cookies: Vec<_> = (0..20)
            .map(|n| format!("ropeline_pass_r{n}=r{n}"))
            .collect();
        cookies.push("ropeline_pass_eras=own; a=b".to_owned());
        let cookies = HeaderValue::from_str(&cookies.join("; ")).unwrap();
        headers.insert(COOKIE, cookies);
        let client = TrustedProxies::default().client_ip([192, 0, 2, 1].into(), &headers);
        let read_as = ReadAs {
            is_secure: false,
            public_origin: "https://line.test",
        };
        let presented = Presented::read(&headers, client, read_as);
        let found = |shown| passes(&presented, shown).collect::<Vec<_>>();
        assert_eq!(found(Shown::ToRemote(&room)), ["header", "own"]);
        assert_eq!(found(Shown::To(&room)), ["header", "bearer", "own"]);
        let all = found(Shown::ToEmbedded(Some(&room)));
        assert_eq!(all[..4], ["header", "bearer", "own", "r0"]);
        assert_eq!(all.len(), PASSES_MAX);
        assert_eq!(
            found(Shown::ToEmbedded(None))[..3],
            ["header", "bearer", "r0"]
        );
    }
}

//! Entering a site with one of Queue-it's connectors (`KnownUser`, version 3): fans are sent there with
//! a token that the connector accepts.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::allowed_target::{AllowedTarget, SiteAddress};
use contract::{PlaceId, Problem, ProblemCode, RoomId, Timestamp};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use http::header::LOCATION;
use line::room::Room;
use serde::Deserialize;
use sha2::Sha256;
use uuid::Uuid;
use web::{ApiError, ApiQuery, ApiResult};

use super::openapi::{OfQuery, OfRoom};
use super::room::{Line, private};
use super::state::LineState;

/// How long a token is good: the redirect that carries it is followed at once.
const TOKEN_SECONDS: i64 = 180;

/// What a token says.
struct Admitted<'a> {
    room: &'a RoomId,
    place: PlaceId,
    /// Whether the connector prolongs the session with each request.
    renews: bool,
    /// When the session ends.
    until: Timestamp,
}

/// What a connector asks for when it sends a fan to the line.
#[derive(Debug, Deserialize)]
pub struct Queue {
    /// The event: the room.
    e: String,
    /// Where the fan wants to go.
    t: Option<String>,
}

/// Send a fan of a site with one of Queue-it's connectors to the waiting page
///
/// Where such a connector sends fans when its queue domain is this site with `/_line/queueit`.
#[utoipa::path(
    get, path = "/_line/queueit/", operation_id = "queueit", tag = "page",
    params(
        ("e" = String, Query, description = "The event: the room's name"),
        ("t" = Option<String>, Query, description = "Where the fan wants to go: an address that the room's `knownUserTargets` allow")
    ),
    responses((status = 303, description = "To the waiting page"), OfRoom, OfQuery)
)]
pub async fn queue(State(state): Line, ApiQuery(query): ApiQuery<Queue>) -> ApiResult<Response> {
    to_page(&state, &query)
}

/// Send a fan whose token a connector refused to the waiting page again
///
/// Where the connector sends fans whose token is expired, changed, or of another event.
#[utoipa::path(
    get, path = "/_line/queueit/error/{reason}/", operation_id = "queueitAgain", tag = "page",
    params(
        ("reason" = String, Path, description = "Why the connector refused the token"),
        ("e" = String, Query, description = "The event: the room's name"),
        ("t" = Option<String>, Query, description = "Where the fan wants to go: an address that the room's `knownUserTargets` allow")
    ),
    responses((status = 303, description = "To the waiting page"), OfRoom, OfQuery)
)]
pub async fn queue_again(
    State(state): Line,
    ApiQuery(query): ApiQuery<Queue>,
) -> ApiResult<Response> {
    to_page(&state, &query)
}

fn to_page(state: &LineState, query: &Queue) -> ApiResult<Response> {
    let id = query.e.parse::<RoomId>().ok();
    let room = id.and_then(|id| state.rooms.get(&id));
    let room = room.ok_or(ProblemCode::RoomNotFound)?;
    let mut page = format!("/_line/rooms/{}", room.id);
    if let Some(target) = &query.t {
        let target = allowed(&room, target).ok_or_else(not_allowed)?;
        page = format!("{page}?to={}", encoded(target.as_str()));
    }
    Ok(private(
        (StatusCode::SEE_OTHER, [(LOCATION, page)]).into_response(),
    ))
}

/// `text` as an address that the room sends fans to.
pub(super) fn allowed(room: &Room, text: &str) -> Option<SiteAddress> {
    let record = room.record();
    let settings = &record.settings;
    settings.known_user_secret.as_ref()?;
    let address = SiteAddress::parse(text)?;
    let mut targets = settings.known_user_targets.iter();
    let is_allowed = targets
        .any(|target| AllowedTarget::parse(target).is_some_and(|allowed| allowed.covers(&address)));
    is_allowed.then_some(address)
}

/// The refusal of an address that the room does not send fans to.
pub(super) fn not_allowed() -> ApiError {
    Problem::new(ProblemCode::ValidationFailed)
        .detail("target: the room sends nobody to this address")
        .with("field", "target")
        .into()
}

/// `address` with a token for the holder of `place`, whose session ends at `until`.
pub(super) fn with_token(
    room: &Room,
    secret: &str,
    address: &SiteAddress,
    place: PlaceId,
    until: Timestamp,
    now: Timestamp,
) -> String {
    let admitted = Admitted {
        room: &room.id,
        place,
        renews: room.record().settings.session_renewal,
        until,
    };
    address.with_token(&token(secret, &admitted, now))
}

fn token(secret: &str, admitted: &Admitted<'_>, now: Timestamp) -> String {
    let now_seconds = now.as_unix_seconds();
    let session_seconds = admitted.until.as_unix_seconds() - now_seconds;
    // As a UUID: an underscore ends a name in the token, and ids of places may have them.
    let place = Uuid::from_bytes(*admitted.place.as_bytes());
    let expires = now_seconds + TOKEN_SECONDS.min(session_seconds);
    let mut text = format!(
        "e_{}~q_{place}~ts_{expires}~ce_{}",
        admitted.room, admitted.renews
    );
    if !admitted.renews {
        // A connector counts in whole minutes.
        let minutes = (session_seconds / 60).max(1);
        text = format!("{text}~cv_{minutes}");
    }
    text.push_str("~rt_queue");
    let hash = signature(secret, &text);
    format!("{text}~h_{hash}")
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
fn signature(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length will do");
    mac.update(text.as_bytes());
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

/// `text` as the value of a query.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&data_encoding::HEXUPPER.encode(&[byte]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_the_published_form() {
        let room: RoomId = "eras".parse().unwrap();
        let now = Timestamp::from_ms(1_790_000_000_000);
        let mut admitted = Admitted {
            room: &room,
            place: PlaceId::from_bytes([7; 16]),
            renews: true,
            until: Timestamp::from_ms(1_790_000_600_000),
        };
        // The hash is that of `printf … | openssl dgst -sha256 -hmac 0123456789abcdef`.
        let text = "e_eras~q_07070707-0707-0707-0707-070707070707~ts_1790000180~ce_true~rt_queue";
        let hash = signature("0123456789abcdef", text);
        assert_eq!(
            token("0123456789abcdef", &admitted, now),
            format!("{text}~h_{hash}")
        );
        assert_eq!(hash, HASH);
        admitted.renews = false;
        let fixed = token("0123456789abcdef", &admitted, now);
        assert!(fixed.contains("~ce_false~cv_10~rt_queue~h_"), "{fixed}");
        admitted.until = Timestamp::from_ms(1_790_000_030_000);
        let short = token("0123456789abcdef", &admitted, now);
        assert!(short.contains("~ts_1790000030~ce_false~cv_1~"), "{short}");
    }

    const HASH: &str = "8d557cbfc7475bc00ae0ad862ddf165b1f117e24f03bd09bd66b43e002e7ec11";
}

//! Headers that tell an upstream which fan a request belongs to.
//!
//! The gateway removes these headers from clients' requests and sets its own. A fan with valid
//! passes of several rooms is described by several headers of each name, in the same order; an
//! upstream behind one room gets one of each.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::clock::Timestamp;
use crate::ids::{PlaceId, RoomId};
use crate::pass::PassClaims;

/// The room of the pass.
pub const ROOM: HeaderName = HeaderName::from_static("ropeline-room");
/// The place of the pass.
pub const SUBJECT: HeaderName = HeaderName::from_static("ropeline-subject");
/// When the pass expires, RFC 3339.
pub const PASS_EXPIRES: HeaderName = HeaderName::from_static("ropeline-pass-expires");
/// Whether the session of the pass is live: [`SESSION_LIVE`] or [`SESSION_OVER`].
pub const SESSION: HeaderName = HeaderName::from_static("ropeline-session");
/// The value of [`SESSION`] for a fan with a live session.
pub const SESSION_LIVE: &str = "live";
/// The value of [`SESSION`] for a fan whose pass does not admit: not yet, or no longer.
pub const SESSION_OVER: &str = "over";
/// The upstream's command for the session, in its response.
pub const COMMAND: HeaderName = HeaderName::from_static("ropeline-command");
/// The value of [`COMMAND`] that ends the session.
pub const COMMAND_END_SESSION: &str = "end-session";
/// A pass presented by a program.
pub const PASS: HeaderName = HeaderName::from_static("ropeline-pass");

/// The signed proof that a request came through the gate, for a remote upstream.
pub const PROOF: HeaderName = HeaderName::from_static("ropeline-proof");

/// Prefix of all header names above; the gateway removes it from clients' requests.
pub const INTERNAL_PREFIX: &str = "ropeline-";

/// One valid pass, as described to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The room that admitted the fan.
    pub room: RoomId,
    /// The fan's place: the same for every request of this fan in this room.
    pub subject: PlaceId,
    /// When the pass expires.
    pub expires_at: Timestamp,
    /// Whether the session is live. If not, the pass only identifies the owner of holds and
    /// bookings; it admits to nothing.
    pub is_live: bool,
}

impl Principal {
    /// The fan of `claims`.
    pub fn of(claims: &PassClaims, is_live: bool) -> Self {
        Self {
            room: claims.aud.clone(),
            subject: claims.sub,
            expires_at: claims.expires_at(),
            is_live,
        }
    }
}

/// Adds to a response the command that ends the session in `room` and in no other room.
pub fn end_session(room: &RoomId, headers: &mut HeaderMap) {
    headers.insert(COMMAND, HeaderValue::from_static(COMMAND_END_SESSION));
    // A slug is printable ASCII, so it is a valid header value.
    if let Ok(room) = HeaderValue::from_str(room.as_str()) {
        headers.insert(ROOM, room);
    }
}

/// Adds the headers that describe `principals`.
pub fn write(principals: &[Principal], headers: &mut HeaderMap) {
    for principal in principals {
        let session = if principal.is_live {
            SESSION_LIVE
        } else {
            SESSION_OVER
        };
        headers.append(SESSION, HeaderValue::from_static(session));
        for (name, value) in [
            (ROOM, principal.room.as_str().as_bytes()),
            (SUBJECT, &principal.subject.to_ascii()),
            (PASS_EXPIRES, &principal.expires_at.to_ascii()),
        ] {
            // Slugs, base64url and RFC 3339 are printable ASCII.
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(name, value);
            }
        }
    }
}

/// Reads the principals from `headers`. Use it only behind the gateway, which guarantees that no
/// client wrote them. Incomplete or malformed ones are skipped.
pub fn read(headers: &HeaderMap) -> Vec<Principal> {
    let texts = |name| {
        headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().unwrap_or(""))
    };
    texts(ROOM)
        .zip(texts(SUBJECT))
        .zip(texts(PASS_EXPIRES))
        .zip(texts(SESSION))
        .filter_map(|(((room, subject), expires), session)| {
            Some(Principal {
                room: room.parse().ok()?,
                subject: subject.parse().ok()?,
                expires_at: Timestamp::parse(expires)?,
                is_live: session == SESSION_LIVE,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_read_back_as_written() {
        let principals: Vec<_> = ["eras", "other"]
            .iter()
            .zip(1u8..)
            .map(|(room, n)| Principal {
                room: room.parse().unwrap(),
                subject: PlaceId::from_bytes([n; 16]),
                expires_at: Timestamp::from_ms(1_790_000_000_000),
                is_live: n == 1,
            })
            .collect();
        let mut headers = HeaderMap::new();
        write(&principals, &mut headers);
        assert_eq!(read(&headers), principals);
    }
}

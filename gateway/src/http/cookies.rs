//! Place and pass cookies: one of each per room, `HttpOnly`, `SameSite=Lax`, and on HTTPS
//! `Secure` with the `__Host-` prefix.

use contract::cookies::{HOST_PREFIX, PASS_PREFIX as PASS, PLACE_PREFIX as PLACE};
use contract::{RoomId, Timestamp};
use http::{HeaderMap, HeaderValue};
use web::cookie::cookies;

/// How long a browser keeps a place: longer than any line.
const PLACE_MAX_AGE_SECONDS: u64 = 7 * 86_400;

/// How cookies are written: plainly on HTTP, with all protection on HTTPS.
#[derive(Clone, Copy, Debug)]
pub struct CookieForm {
    /// Whether fans reach us over HTTPS.
    pub is_secure: bool,
}

impl CookieForm {
    /// Sets the place cookie of `room`.
    pub fn place(self, room: &RoomId, token: &str) -> HeaderValue {
        self.set(PLACE, room, token, PLACE_MAX_AGE_SECONDS)
    }

    /// Sets the pass cookie of `room`, which ends with the pass.
    pub fn pass(
        self,
        room: &RoomId,
        token: &str,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> HeaderValue {
        self.set(PASS, room, token, expires_at.since(now).as_secs())
    }

    /// Removes the place cookie of `room`.
    pub fn place_clear(self, room: &RoomId) -> HeaderValue {
        self.set(PLACE, room, "", 0)
    }

    /// Removes the pass cookie of `room`.
    pub fn pass_clear(self, room: &RoomId) -> HeaderValue {
        self.set(PASS, room, "", 0)
    }

    /// The place token of `room` that the request carries.
    pub fn place_of<'h>(self, headers: &'h HeaderMap, room: &RoomId) -> Option<&'h str> {
        let name = self.name(PLACE, room);
        cookies(headers)
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// All passes the request carries, with the names of their rooms.
    pub fn passes_of(self, headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
        cookies(headers).filter_map(move |(name, value)| {
            let name = if self.is_secure {
                name.strip_prefix(HOST_PREFIX)?
            } else {
                name
            };
            Some((name.strip_prefix(PASS)?, value))
        })
    }

    fn name(self, kind: &str, room: &RoomId) -> String {
        format!(
            "{}{kind}{room}",
            if self.is_secure { HOST_PREFIX } else { "" }
        )
    }

    fn set(self, kind: &str, room: &RoomId, value: &str, max_age: u64) -> HeaderValue {
        let name = self.name(kind, room);
        let secure = if self.is_secure { "; Secure" } else { "" };
        let text =
            format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}");
        // Tokens are base64url with dots, room names are slugs.
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::COOKIE;

    #[test]
    fn cookies_read_back_and_are_protected_on_https() {
        let room: RoomId = "eras".parse().unwrap();
        for is_secure in [false, true] {
            let form = CookieForm { is_secure };
            let set = form.place(&room, "v1.abc");
            let set = set.to_str().unwrap();
            assert!(set.contains("HttpOnly; SameSite=Lax"));
            assert_eq!(
                set.starts_with("__Host-") && set.ends_with("; Secure"),
                is_secure
            );
            let pair = set.split(';').next().unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, format!("a=b; {pair}; c=d").parse().unwrap());
            assert_eq!(form.place_of(&headers, &room), Some("v1.abc"));
            assert_eq!(form.place_of(&headers, &"other".parse().unwrap()), None);
        }
    }

    #[test]
    fn an_odd_cookie_of_the_shop_hides_neither_place_nor_pass() {
        let form = CookieForm { is_secure: false };
        let mut headers = HeaderMap::new();
        let sent = b"name=Zo\xeb; ropeline_place_eras=v1.abc; ropeline_pass_eras=jwt";
        headers.insert(COOKIE, HeaderValue::from_bytes(sent).unwrap());
        let room = "eras".parse().unwrap();
        assert_eq!(form.place_of(&headers, &room), Some("v1.abc"));
        let passes: Vec<_> = form.passes_of(&headers).collect();
        assert_eq!(passes, [("eras", "jwt")]);
    }

    #[test]
    fn a_plain_cookie_is_not_believed_on_https() {
        let form = CookieForm { is_secure: true };
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, "ropeline_pass_eras=x".parse().unwrap());
        assert_eq!(form.passes_of(&headers).count(), 0);
    }
}

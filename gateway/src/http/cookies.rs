//! Place and pass cookies: one of each per room, `HttpOnly`, `SameSite=Lax`, and on HTTPS
//! `Secure` with the `__Host-` prefix.

use contract::cookies::{
    ADDRESS_PREFIX as ADDRESS, HOST_PREFIX, PASS_PREFIX as PASS, PLACE_PREFIX as PLACE,
};
use contract::{RoomId, Timestamp};
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// How long a browser keeps a place: longer than any line.
const PLACE_MAX_AGE_SECONDS: u64 = 7 * 86_400;

/// The form of cookies: plain over HTTP, `Secure` with a prefix over HTTPS.
#[derive(Clone, Copy, Debug)]
pub struct CookieForm {
    /// Whether fans connect over HTTPS.
    pub is_secure: bool,
}

impl CookieForm {
    /// Sets the place cookie of `room`.
    pub fn place(self, room: &RoomId, token: &str) -> HeaderValue {
        self.set(PLACE, room, token, PLACE_MAX_AGE_SECONDS)
    }

    /// Sets the pass cookie of `room`, which expires with the pass.
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

    /// Has a browser remember which address of the upstream of `room` it stays with, until it ends.
    pub fn address(self, room: &RoomId, name: &str) -> HeaderValue {
        self.written(ADDRESS, room, name, "")
    }

    /// The address that a browser stays with, as [`CookieForm::address`] has it remember.
    pub fn address_in(self, headers: &HeaderMap, room: &RoomId) -> Option<String> {
        let own = self.name(ADDRESS, room);
        let texts = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|all| all.to_str().ok());
        let mut pairs = texts.flat_map(|text| text.split(';'));
        pairs.find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == own).then(|| value.to_owned())
        })
    }

    fn name(self, kind: &str, room: &RoomId) -> String {
        format!(
            "{}{kind}{room}",
            if self.is_secure { HOST_PREFIX } else { "" }
        )
    }

    fn set(self, kind: &str, room: &RoomId, value: &str, max_age: u64) -> HeaderValue {
        self.written(kind, room, value, &format!("; Max-Age={max_age}"))
    }

    fn written(self, kind: &str, room: &RoomId, value: &str, lasts: &str) -> HeaderValue {
        let name = self.name(kind, room);
        let secure = if self.is_secure { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/{lasts}; HttpOnly; SameSite=Lax{secure}");
        // Tokens are base64url with dots and room names are slugs, so the header value is always
        // valid.
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_a_browser_stays_with_is_read_back() {
        let room: RoomId = "eras".parse().unwrap();
        let form = CookieForm { is_secure: true };
        let set = form.address(&room, "abc-_1");
        let set = set.to_str().unwrap();
        assert_eq!(
            set,
            "__Host-ropeline_at_eras=abc-_1; Path=/; HttpOnly; SameSite=Lax; Secure"
        );
        let mut headers = HeaderMap::new();
        assert_eq!(form.address_in(&headers, &room), None);
        let cookies = "a=1; ropeline_at_eras=no; __Host-ropeline_at_eras=abc-_1";
        headers.insert(COOKIE, HeaderValue::from_static(cookies));
        assert_eq!(form.address_in(&headers, &room).as_deref(), Some("abc-_1"));
    }

    #[test]
    fn cookies_are_protected_on_https() {
        let room: RoomId = "eras".parse().unwrap();
        for (is_secure, name) in [
            (false, "ropeline_place_eras=v1.abc; "),
            (true, "__Host-ropeline_place_eras=v1.abc; "),
        ] {
            let form = CookieForm { is_secure };
            let set = form.place(&room, "v1.abc");
            let set = set.to_str().unwrap();
            assert!(set.starts_with(name), "{set}");
            assert!(set.contains("HttpOnly; SameSite=Lax"));
            assert_eq!(set.ends_with("; Secure"), is_secure);
        }
    }
}

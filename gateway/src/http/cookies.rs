//! Place and pass cookies: one of each per room, `HttpOnly`, `SameSite=Lax`, and on HTTPS
//! `Secure` with the `__Host-` prefix.

use contract::cookies::{HOST_PREFIX, PASS_PREFIX as PASS, PLACE_PREFIX as PLACE};
use contract::{RoomId, Timestamp};
use http::HeaderValue;

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
        // Tokens are base64url with dots and room names are slugs, so the header value is always
        // valid.
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

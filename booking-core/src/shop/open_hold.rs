//! The hold that a browser made last, kept in a cookie so that every page can lead back to it.
//!
//! The cookie names the hold and when it expires. It proves nothing: the hold's own page asks for
//! the session. So pages show it without asking the database.

use contract::cookies::{HOLD, HOST_PREFIX};
use contract::{HoldId, Timestamp};
use http::{HeaderMap, HeaderValue};
use pages::shop::OpenHold;

/// The hold that `headers` name, if its time is not over at `now`.
pub(super) fn read(headers: &HeaderMap, now: Timestamp) -> Option<OpenHold> {
    web::cookie::cookies(headers)
        .filter(|(name, _)| name.strip_prefix(HOST_PREFIX).unwrap_or(name) == HOLD)
        .find_map(|(_, value)| {
            let (hold, expires_ms) = value.split_once('.')?;
            let hold_id: HoldId = hold.parse().ok()?;
            let expires_at = Timestamp::from_ms(expires_ms.parse().ok()?);
            (expires_at > now).then_some(OpenHold {
                hold_id,
                expires_at,
                now,
            })
        })
}

/// The header that keeps a hold until it expires.
pub(super) fn keep(
    hold_id: HoldId,
    expires_at: Timestamp,
    now: Timestamp,
    secure: bool,
) -> HeaderValue {
    let value = format!("{hold_id}.{}", expires_at.as_ms());
    set(&value, expires_at.since(now).as_secs(), secure)
}

/// The header that forgets it: the hold was given up or bought.
pub(super) fn forget(secure: bool) -> HeaderValue {
    set("", 0, secure)
}

fn set(value: &str, max_age: u64, secure: bool) -> HeaderValue {
    let (prefix, tail) = if secure {
        (HOST_PREFIX, "; Secure")
    } else {
        ("", "")
    };
    let text =
        format!("{prefix}{HOLD}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{tail}");
    // Ids, digits and attribute names are valid in a header.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::COOKIE;

    #[test]
    fn a_hold_reads_back_until_it_expires() {
        let hold: HoldId = "hold_0190163d8694739baea51966c26f8ad9".parse().unwrap();
        let at = |ms: i64| Timestamp::from_ms(1_790_000_000_000 + ms);
        for secure in [false, true] {
            let kept = keep(hold, at(5_000), at(0), secure);
            let pair = kept.to_str().unwrap().split(';').next().unwrap().to_owned();
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, pair.parse().unwrap());
            assert_eq!(read(&headers, at(4_999)).unwrap().hold_id, hold);
            assert!(read(&headers, at(5_000)).is_none());
        }
        let mut headers = HeaderMap::new();
        for odd in [
            "",
            "x",
            "hold_1.2",
            "hold_0190163d8694739baea51966c26f8ad9.x",
        ] {
            headers.insert(COOKIE, format!("{HOLD}={odd}").parse().unwrap());
            assert!(read(&headers, at(0)).is_none(), "{odd}");
        }
    }
}

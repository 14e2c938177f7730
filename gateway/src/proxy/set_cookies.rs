//! Makes an upstream's cookies valid on the site that the fan visits. Pure.
//!
//! A service that knows only its own address sets cookies for that, which browsers refuse, so that a
//! login behind the gateway goes round in circles.

use contract::host::name_of;
use contract::upstream::Upstream;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};

/// Removes `Domain` where it names one of the service's `addresses` and not the host of the fan, and
/// takes the service's path prefix from `Path`.
pub(super) fn rewrite(
    headers: &mut HeaderMap,
    addresses: &[Upstream],
    public: Option<&HeaderValue>,
) {
    if !headers.contains_key(SET_COOKIE) {
        return;
    }
    let prefix = addresses.first().map_or("", Upstream::prefix);
    let public = public.and_then(|host| host.to_str().ok()).map(name_of);
    let is_own = |domain: &str| {
        let mut own = addresses.iter().map(|one| name_of(one.authority()));
        own.any(|own| covers(domain, &own))
            && !public
                .as_deref()
                .is_some_and(|public| covers(domain, public))
    };
    let rewritten: Vec<_> = headers
        .get_all(SET_COOKIE)
        .iter()
        .map(|value| {
            let text = value.to_str().ok();
            let changed = text.and_then(|text| changed(text, &is_own, prefix));
            changed
                .and_then(|text| HeaderValue::try_from(text).ok())
                .unwrap_or_else(|| value.clone())
        })
        .collect();
    headers.remove(SET_COOKIE);
    for value in rewritten {
        headers.append(SET_COOKIE, value);
    }
}

/// A cookie with what has to change; `None` if nothing has.
fn changed(cookie: &str, is_own: &impl Fn(&str) -> bool, prefix: &str) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut is_changed = false;
    for (index, part) in cookie.split(';').enumerate() {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (name.trim(), value.trim());
        if index > 0 && name.eq_ignore_ascii_case("domain") && is_own(value) {
            is_changed = true;
            continue;
        }
        if index > 0
            && !prefix.is_empty()
            && name.eq_ignore_ascii_case("path")
            && let Some(rest) = value.strip_prefix(prefix)
            && (rest.is_empty() || rest.starts_with('/'))
        {
            is_changed = true;
            let path = if rest.is_empty() { "/" } else { rest };
            parts.push(format!(" Path={path}"));
            continue;
        }
        parts.push(part.to_owned());
    }
    is_changed.then(|| parts.join(";"))
}

/// Whether a cookie for `domain` is sent to `host`.
fn covers(domain: &str, host: &str) -> bool {
    let domain = domain.strip_prefix('.').unwrap_or(domain);
    let domain = name_of(domain);
    let rest = host.strip_suffix(&*domain);
    !domain.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(upstream: &str, public: &str, cookie: &str, expected: &str) {
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, HeaderValue::from_str(cookie).unwrap());
        headers.append(SET_COOKIE, HeaderValue::from_static("other=1; Path=/"));
        let public = HeaderValue::from_str(public).unwrap();
        rewrite(&mut headers, &[upstream.parse().unwrap()], Some(&public));
        let found: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(
            found,
            [expected, "other=1; Path=/"],
            "{upstream} {public:?}"
        );
    }

    #[test]
    fn a_cookie_for_the_upstream_becomes_one_of_the_site() {
        let (shop, public) = ("http://shop.internal:9000", "tickets.example:8080");
        for (cookie, expected) in [
            ("sid=1; Domain=shop.internal; Path=/", "sid=1; Path=/"),
            ("sid=1; domain=.Internal; HttpOnly", "sid=1; HttpOnly"),
            (
                "sid=1; Path=/; Domain=tickets.example",
                "sid=1; Path=/; Domain=tickets.example",
            ),
            ("sid=1; Domain=pay.example", "sid=1; Domain=pay.example"),
            ("domain=shop.internal", "domain=shop.internal"),
            ("sid=1; Path=/a", "sid=1; Path=/a"),
        ] {
            check(shop, public, cookie, expected);
        }
        check(
            "http://127.0.0.1:9000",
            public,
            "s=1; Domain=127.0.0.1",
            "s=1",
        );
        // A cookie that both are sent is for both.
        let both = "s=1; Domain=example";
        check("http://shop.example", "tickets.example", both, both);
    }

    #[test]
    fn the_prefix_of_the_upstream_is_none_of_the_sites() {
        let shop = "http://shop.internal:9000/base";
        for (cookie, expected) in [
            ("sid=1; Path=/base/a; Secure", "sid=1; Path=/a; Secure"),
            ("sid=1; path=/base", "sid=1; Path=/"),
            ("sid=1; Path=/based", "sid=1; Path=/based"),
            ("sid=1; Path=/", "sid=1; Path=/"),
        ] {
            check(shop, "tickets.example", cookie, expected);
        }
    }
}

//! Removes an upstream's own address from `Location` headers. Pure.
//!
//! A service behind a proxy often builds absolute redirects from the address at which the proxy
//! reached it. A fan cannot reach that address and must not learn it.

use contract::upstream::Upstream;
use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, HeaderValue};

/// Turns locations at one of the service's `addresses` into paths on the site that the fan visits, and
/// takes the service's path prefix from paths.
pub(super) fn hide(headers: &mut HeaderMap, addresses: &[Upstream]) {
    for name in [LOCATION, CONTENT_LOCATION] {
        let path = headers
            .get(&name)
            .and_then(|value| seen(value.as_bytes(), addresses))
            .and_then(|path| HeaderValue::from_bytes(&path).ok());
        if let Some(path) = path {
            headers.insert(name, path);
        }
    }
}

/// A location as the fan has to see it; `None` if it stays as it is.
fn seen(location: &[u8], addresses: &[Upstream]) -> Option<Vec<u8>> {
    let prefix = addresses.first()?.prefix().as_bytes();
    let mut authorities = addresses.iter().map(Upstream::authority);
    let at_upstream = authorities.find_map(|authority| path_at(location, authority));
    if prefix.is_empty() {
        return at_upstream;
    }
    let path = at_upstream.as_deref().unwrap_or(location);
    let rest = path.strip_prefix(prefix);
    match rest.map(|rest| (rest, rest.first())) {
        Some((rest, Some(b'/'))) => path_only(rest).into(),
        Some((rest, None | Some(b'?' | b'#'))) => Some([b"/", rest].concat()),
        _ => at_upstream,
    }
}

/// The path, query and fragment of a location at `authority`; `None` for any other location.
fn path_at(location: &[u8], authority: &str) -> Option<Vec<u8>> {
    let rest = after_scheme(location)?;
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'\\' | b'?' | b'#'))
        .unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    // User info before the host (`user@host`) is ignored, as browsers do.
    let host = host.rsplit(|byte| *byte == b'@').next()?;
    if !without_port(host).eq_ignore_ascii_case(without_port(authority.as_bytes())) {
        return None;
    }
    Some(path_only(path))
}

/// A path that begins with one slash: with two it would be read as a host; browsers skip tabs.
fn path_only(path: &[u8]) -> Vec<u8> {
    let from = path
        .iter()
        .position(|byte| !matches!(byte, b'/' | b'\\' | b'\t'))
        .unwrap_or(path.len());
    [b"/", &path[from..]].concat()
}

/// The rest of a location after `http://`, `https://` or `//`.
fn after_scheme(location: &[u8]) -> Option<&[u8]> {
    [b"http:".as_slice(), b"https:", b""]
        .iter()
        .find_map(|scheme| {
            let (head, rest) = location.split_at_checked(scheme.len())?;
            let rest = rest.strip_prefix(b"//")?;
            head.eq_ignore_ascii_case(scheme).then_some(rest)
        })
}

/// The host without the default port of HTTP or HTTPS.
fn without_port(host: &[u8]) -> &[u8] {
    let bare = host.strip_suffix(b":80");
    bare.or_else(|| host.strip_suffix(b":443")).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_at_the_upstream_becomes_a_path() {
        for (location, seen) in [
            ("http://shop.internal:3000/a?b=c#d", "/a?b=c#d"),
            ("HTTP://Shop.Internal:3000/a", "/a"),
            ("https://shop.internal:3000/a", "/a"),
            ("//shop.internal:3000/a", "/a"),
            ("http://user:x@shop.internal:3000/a", "/a"),
            ("http://shop.internal:3000", "/"),
            ("http://shop.internal:3000?b=c", "/?b=c"),
            ("http://shop.internal:3000#d", "/#d"),
            // The rest must not be read as a host.
            ("http://shop.internal:3000//evil.test/a", "/evil.test/a"),
            ("http://shop.internal:3000\\\\evil.test", "/evil.test"),
            ("http://shop.internal:3000/\\evil.test", "/evil.test"),
            ("http://shop.internal:3000/\t/evil.test", "/evil.test"),
            // Other locations are unchanged.
            ("/a", "/a"),
            ("a/b", "a/b"),
            ("http://shop.internal:3001/a", "http://shop.internal:3001/a"),
            (
                "http://pay.test/?to=http://shop.internal:3000/",
                "http://pay.test/?to=http://shop.internal:3000/",
            ),
        ] {
            for name in [LOCATION, CONTENT_LOCATION] {
                let mut headers = HeaderMap::new();
                headers.insert(&name, location.parse().unwrap());
                hide(
                    &mut headers,
                    &["http://shop.internal:3000".parse().unwrap()],
                );
                assert_eq!(headers[&name], seen, "{location}");
            }
        }
    }

    #[test]
    fn the_prefix_of_the_upstream_is_taken_away() {
        for (location, expected) in [
            ("http://shop.internal/base/a?b=c", "/a?b=c"),
            ("https://shop.internal:443/base", "/"),
            ("/base?b=c", "/?b=c"),
            ("/base/a", "/a"),
            ("/base//evil.test/a", "/evil.test/a"),
            ("/based", "/based"),
            ("/other", "/other"),
            ("http://shop.internal/other", "/other"),
            ("http://pay.test/base/a", "http://pay.test/base/a"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, location.parse().unwrap());
            hide(
                &mut headers,
                &["https://shop.internal/base".parse().unwrap()],
            );
            assert_eq!(headers[LOCATION], expected, "{location}");
        }
    }

    #[test]
    fn the_port_of_plain_http_need_not_be_said() {
        for authority in ["shop", "shop:80"] {
            for location in ["http://shop/a", "http://shop:80/a"] {
                let path = path_at(location.as_bytes(), authority);
                assert_eq!(path.as_deref(), Some(b"/a".as_slice()), "{location}");
            }
        }
    }

    #[test]
    fn the_path_of_several_addresses_is_taken_off_once() {
        let addresses = ["http://a/shop", "http://b/shop"].map(|text| text.parse().unwrap());
        for location in ["/shop/shop/cart", "http://b/shop/shop/cart"] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_static(location));
            hide(&mut headers, &addresses);
            assert_eq!(headers[LOCATION], "/shop/cart", "{location}");
        }
    }
}

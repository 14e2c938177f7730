//! Where a request was made: by a page of ours, by a page of someone else, or by a program.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// `scheme://host:port` of a URL.
pub fn origin_of(url: &str) -> &str {
    let rest = url.find("://").map_or(0, |at| at + 3);
    let end = url[rest..].find('/').map_or(url.len(), |at| rest + at);
    &url[..end]
}

/// Whether a request was made by a page of ours, or by a program. Browsers name the origin of
/// every post and of every WebSocket; clients that name none are no browsers and carry nobody's
/// cookies by accident.
pub fn is_same_origin(headers: &HeaderMap, public_origin: &str) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match headers.get(ORIGIN) {
        Some(origin) => origin.to_str().is_ok_and(|origin| {
            let host = origin.split_once("://").map(|(_, host)| host);
            origin == public_origin || (host.is_some() && host == text(HOST))
        }),
        None => headers.get(SEC_FETCH_SITE).is_none_or(|site| {
            // `none`: typed into the address bar, or opened from a bookmark.
            matches!(site.as_bytes(), b"same-origin" | b"none")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn check(origin: Option<&str>, site: Option<&str>, same: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("shop.example:8080"));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        if let Some(site) = site {
            headers.insert(SEC_FETCH_SITE, HeaderValue::from_str(site).unwrap());
        }
        let found = is_same_origin(&headers, "https://tickets.example");
        assert_eq!(found, same, "{origin:?} {site:?}");
    }

    #[test]
    fn only_our_own_pages_and_programs_pass() {
        check(Some("https://tickets.example"), None, true);
        check(Some("http://shop.example:8080"), None, true);
        check(Some("https://evil.example"), None, false);
        check(Some("https://tickets.example.evil.example"), None, false);
        check(Some("null"), None, false);
        check(None, None, true);
        check(None, Some("same-origin"), true);
        check(None, Some("same-site"), false);
        check(None, Some("cross-site"), false);
    }

    #[test]
    fn an_origin_ends_before_the_path() {
        assert_eq!(
            origin_of("https://pay.example:444/v1/x"),
            "https://pay.example:444"
        );
        assert_eq!(origin_of("https://pay.example"), "https://pay.example");
    }
}

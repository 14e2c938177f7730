//! Where a request was made: by a page of this site, by a page of another site, or by a program.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origin of a URL as browsers serialise it (RFC 6454 section 6.2): lower-case host, no default
/// port. `None` if `url` is not a web address.
pub fn origin_of(url: &str) -> Option<String> {
    let origin = Url::parse(url).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

/// Whether a request was made by a page of this site, or by a program. Browsers send `Origin` with
/// every POST and every WebSocket; a client that sends none is not a browser, so no page makes it
/// send cookies. `public_origin` is the result of [`origin_of`].
///
/// `Sec-Fetch-Site` takes precedence: the browser compares with the address that it requested,
/// while a proxy may have changed `Host`. No page can set the header.
pub fn is_same_origin(headers: &HeaderMap, public_origin: &str) -> bool {
    // `none` means typed into the address bar, or opened from a bookmark.
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    if matches!(site, Some(b"same-origin" | b"none")) {
        return true;
    }
    match headers.get(ORIGIN) {
        Some(origin) => is_own(origin, headers, public_origin),
        None => site.is_none(),
    }
}

/// Whether `origin` is the public origin, or that of the requested host.
fn is_own(origin: &HeaderValue, headers: &HeaderMap, public_origin: &str) -> bool {
    let Some((scheme, origin)) = origin
        .to_str()
        .ok()
        .and_then(|text| Some((text.split_once("://")?.0, origin_of(text)?)))
    else {
        return false;
    };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let asked = || origin_of(&format!("{scheme}://{}", host?));
    origin == public_origin || asked().is_some_and(|asked| asked == origin)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // Behind a proxy that changes `Host`.
        check(Some("http://front.example"), None, false);
        check(Some("http://front.example"), Some("same-origin"), true);
        check(Some("https://evil.example"), Some("cross-site"), false);
        check(Some("https://evil.example"), Some("same-site"), false);
        check(Some("https://tickets.example"), Some("same-site"), true);
        check(None, Some("same-origin"), true);
        check(None, Some("same-site"), false);
        check(None, Some("cross-site"), false);
    }

    #[test]
    fn an_origin_is_compared_as_browsers_write_it() {
        check(Some("https://Tickets.Example:443"), None, true);
        check(Some("http://SHOP.example:8080"), None, true);
        check(Some("https://tickets.example:444"), None, false);
        check(Some("http://tickets.example"), None, false);
        for (url, origin) in [
            (
                "https://pay.example:444/v1/x",
                Some("https://pay.example:444"),
            ),
            (
                "https://Tickets.Example:443",
                Some("https://tickets.example"),
            ),
            ("http://tickets.example:80/", Some("http://tickets.example")),
            (
                "https://bücher.example",
                Some("https://xn--bcher-kva.example"),
            ),
            ("http://[::1]:8080/x", Some("http://[::1]:8080")),
            ("mailto:me@tickets.example", None),
            ("tickets.example", None),
        ] {
            assert_eq!(origin_of(url).as_deref(), origin, "{url}");
        }
    }
}

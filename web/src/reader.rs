//! Whether a person or a program reads the response, and whether a request is speculative.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderName};

const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");
/// Headers in which browsers announce a prefetch or prerender.
const PURPOSES: [HeaderName; 4] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-purpose"),
    HeaderName::from_static("x-moz"),
];

/// The reader of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A browser shows the response as a page.
    Person,
    /// A script or another program reads it.
    Program,
}

/// Destinations for which a browser shows the response as a page.
const PAGE_DESTINATIONS: [&[u8]; 5] = [b"document", b"iframe", b"frame", b"embed", b"object"];

/// The reader of the response to a request with `headers`.
///
/// Browsers send the purpose of a request in `Sec-Fetch-Mode` and `Sec-Fetch-Dest`, which no script
/// can set, so these decide. Older browsers send neither; then the headers of script libraries
/// decide, and otherwise `Accept`.
pub fn reader(headers: &HeaderMap) -> Reader {
    let of = |is_person| {
        if is_person {
            Reader::Person
        } else {
            Reader::Program
        }
    };
    if let Some(mode) = headers.get(SEC_FETCH_MODE) {
        return of(mode == "navigate");
    }
    if let Some(destination) = headers.get(SEC_FETCH_DEST) {
        return of(PAGE_DESTINATIONS.contains(&destination.as_bytes()));
    }
    let is_named_program =
        headers.contains_key(X_REQUESTED_WITH) || headers.contains_key(HX_REQUEST);
    of(!is_named_program && accepts_html(headers))
}

/// Whether the browser prefetches or prerenders for a user who may never open the page
/// (`Sec-Purpose`, and the older `Purpose` and `X-Moz`). Such a request must have no side effects.
pub fn is_speculative(headers: &HeaderMap) -> bool {
    PURPOSES
        .iter()
        .flat_map(|name| headers.get_all(name))
        .any(|value| {
            let value = value.as_bytes().to_ascii_lowercase();
            [&b"prefetch"[..], b"prerender", b"preview"]
                .iter()
                .any(|word| value.windows(word.len()).any(|part| part == *word))
        })
}

/// Whether `Accept` names `text/html` and does not refuse it (`q=0`).
fn accepts_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|accept| accept.to_str().ok())
        .flat_map(|accept| accept.split(','))
        .any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_html = parts
                .next()
                .is_some_and(|range| range.eq_ignore_ascii_case("text/html"));
            let is_refused = parts.any(|parameter| {
                let weight = parameter
                    .strip_prefix("q=")
                    .or_else(|| parameter.strip_prefix("Q="));
                weight.and_then(|weight| weight.parse::<f32>().ok()) == Some(0.0)
            });
            is_html && !is_refused
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const HTML: (&str, &str) = ("accept", "text/html, */*; q=0.01");

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    fn check(fields: &[(&'static str, &'static str)], expected: Reader) {
        assert_eq!(reader(&headers(fields)), expected, "{fields:?}");
    }

    #[test]
    fn what_the_browser_says_goes_before_libraries_and_media_types() {
        use Reader::{Person, Program};
        check(&[("sec-fetch-mode", "navigate")], Person);
        check(&[("sec-fetch-mode", "cors"), HTML], Program);
        check(&[("sec-fetch-dest", "empty"), HTML], Program);
        check(&[("sec-fetch-dest", "iframe")], Person);
        check(
            &[
                ("sec-fetch-mode", "navigate"),
                ("x-requested-with", "XMLHttpRequest"),
            ],
            Person,
        );
        check(&[("x-requested-with", "XMLHttpRequest"), HTML], Program);
        check(&[("hx-request", "true"), HTML], Program);
        check(&[HTML], Person);
        check(
            &[("accept", "application/xhtml+xml,Text/HTML;q=0.9")],
            Person,
        );
        check(&[("accept", "text/html;q=0, application/json")], Program);
        check(&[("accept", "text/htmlx")], Program);
        check(&[("accept", "*/*")], Program);
        check(&[], Program);
    }

    #[test]
    fn looking_ahead_is_recognised_in_every_spelling() {
        for (name, value) in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "Prefetch;anonymous-client-ip"),
            ("purpose", "prefetch"),
            ("x-purpose", "preview"),
            ("x-moz", "prefetch"),
        ] {
            assert!(
                is_speculative(&headers(&[(name, value)])),
                "{name}: {value}"
            );
        }
        assert!(!is_speculative(&headers(&[("purpose", "shopping"), HTML])));
    }
}

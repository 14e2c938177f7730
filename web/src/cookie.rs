//! Reading the cookies of a request.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use memchr::memchr;

/// Cookies of one request that are read. Browsers send fewer than 200.
pub const COOKIES_MAX: usize = 256;

/// The cookies in one `Cookie` header, each as it was sent, with the space before its name.
pub fn pairs(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value.as_bytes());
    std::iter::from_fn(move || {
        let bytes = rest?;
        let end = memchr(b';', bytes);
        rest = end.map(|end| &bytes[end + 1..]);
        Some(end.map_or(bytes, |end| &bytes[..end]))
    })
}

/// The cookies of a request, as names and values.
///
/// Skips a cookie that is not text and keeps the others: other parts of a site may set cookies with
/// arbitrary bytes.
pub fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(pairs)
        .take(COOKIES_MAX)
        .filter_map(|pair| std::str::from_utf8(pair).ok()?.trim().split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_split_at_each_semicolon() {
        let split = |text| {
            pairs(&HeaderValue::from_static(text))
                .map(<[u8]>::to_vec)
                .collect::<Vec<_>>()
        };
        assert_eq!(split(""), [b""]);
        assert_eq!(split("a=1"), [b"a=1"]);
        assert_eq!(split("a=1; b=2;;"), [&b"a=1"[..], b" b=2", b"", b""]);
    }

    #[test]
    fn a_cookie_that_is_no_text_hides_no_other() {
        let mut headers = HeaderMap::new();
        for value in [&b"a=1; name=Zo\xeb; b=2"[..], b"city=K\xc3\xb6ln;c=3; odd"] {
            headers.append(COOKIE, HeaderValue::from_bytes(value).unwrap());
        }
        let found: Vec<_> = cookies(&headers).collect();
        assert_eq!(
            found,
            [("a", "1"), ("b", "2"), ("city", "Köln"), ("c", "3")]
        );
    }
}

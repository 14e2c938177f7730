//! Reading the cookies of a request.

use http::HeaderMap;
use http::header::COOKIE;

/// Cookies of one request that are read. Browsers send fewer than 200.
pub const COOKIES_MAX: usize = 256;

/// The cookies of a request, as names and values.
///
/// Skips a cookie that is not text and keeps the others: other parts of a site may set cookies with
/// arbitrary bytes.
pub fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .take(COOKIES_MAX)
        .filter_map(|pair| std::str::from_utf8(pair).ok()?.trim().split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

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

//! Where a fan goes after the line: the `to=` parameter, which anyone may put into a link.

use std::fmt;

use http::{HeaderName, HeaderValue, Uri};

use contract::path::{PathPrefix, SafePath};

/// Longest return target, in bytes, with escapes.
pub const RETURN_TARGET_BYTES_MAX: usize = 2048;

/// Where to wait, for programs that read headers.
pub const JOIN_URL: HeaderName = HeaderName::from_static("ropeline-join-url");

/// Prefix of the gateway's own pages; returning to one of them could loop.
const OWN_PREFIX: &str = "/_line";

/// A path and query on the same site, safe in a `Location` header.
///
/// Any other value becomes `/`: a link of an attacker must not send a fan to another site, and a
/// fan with a damaged link should still arrive. A target that the gateway would refuse as ambiguous
/// (`/%2f%2fevil`, `/a/../b`) counts as damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTarget(String);

impl ReturnTarget {
    /// Reads the value of `to`, percent-decoded once as query values are.
    pub fn parse(to: Option<&str>) -> Self {
        to.and_then(checked).map_or_else(Self::default, Self)
    }

    /// The target for `uri` itself.
    pub fn of(uri: &Uri) -> Self {
        Self::parse(uri.path_and_query().map(http::uri::PathAndQuery::as_str))
    }

    /// The path and query.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path and query, percent-encoded for use as a query value.
    pub fn to_query_value(&self) -> String {
        let mut encoded = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                push_encoded(&mut encoded, byte);
            }
        }
        encoded
    }

    /// The target as the value of a `Location` header.
    pub fn to_location(&self) -> HeaderValue {
        // `checked` lets only printable ASCII through.
        HeaderValue::from_str(&self.0).unwrap_or_else(|_| HeaderValue::from_static("/"))
    }
}

impl Default for ReturnTarget {
    /// The front page.
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl fmt::Display for ReturnTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn checked(to: &str) -> Option<String> {
    let is_bounded = to.len() <= RETURN_TARGET_BYTES_MAX;
    // Browsers drop tabs and newlines and read a backslash as a slash before they parse the host,
    // so none of these may occur anywhere.
    let is_clean = !to.contains(|c: char| c.is_control() || c == '\\');
    if !is_bounded || !is_clean {
        return None;
    }
    let escaped = escape(to);
    // Escapes are three times as long, and whoever reads them back holds them against the limit.
    if escaped.len() > RETURN_TARGET_BYTES_MAX {
        return None;
    }
    let path = escaped.split(['?', '#']).next()?;
    // The path check does not know hosts: it sees `//host` as an empty segment.
    let safe = SafePath::parse(path).ok()?;
    let own: PathPrefix = OWN_PREFIX.parse().ok()?;
    (!safe.is_within(&own)).then_some(escaped)
}

/// Percent-encodes the bytes that a header or URL may not contain.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>`{}|^".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            push_encoded(&mut escaped, byte);
        }
    }
    escaped
}

fn push_encoded(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 15)]));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(to: &str) -> String {
        ReturnTarget::parse(Some(to)).0
    }

    #[test]
    fn a_target_is_read_again_as_itself_however_long_its_escapes_are() {
        for count in [300, 341, 342, 700] {
            let kept = target(&format!("/{}", "\u{e9}".repeat(count)));
            assert!(kept.len() <= RETURN_TARGET_BYTES_MAX);
            assert_eq!(target(&kept), kept);
            // Two bytes of three characters each, after the slash.
            assert_eq!(kept == "/", 1 + 6 * count > RETURN_TARGET_BYTES_MAX);
        }
    }

    #[test]
    fn a_path_on_this_site_is_kept() {
        for to in [
            "/",
            "/shows/1",
            "/shows/1?seat=A10&x=%2F",
            "/a#seats",
            "/a?next=//b",
            "/a/",
        ] {
            assert_eq!(target(to), to);
        }
        assert_eq!(target("/café a"), "/caf%C3%A9%20a");
        assert_eq!(
            ReturnTarget::of(&"http://x/a?b=c".parse().unwrap()).as_str(),
            "/a?b=c"
        );
        assert_eq!(ReturnTarget::parse(None).as_str(), "/");
    }

    #[test]
    fn anything_else_leads_to_the_front_page() {
        for to in [
            "",
            "shows/1",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            " //evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/%2f%2fevil.example",
            "/%5cevil.example",
            "/a/../..//evil.example",
            "/.//evil.example",
            "/%09/evil.example",
            "/a\r\nSet-Cookie: x=1",
            "/a\0",
            "?to=/a",
            "#a",
            "/_line/rooms/eras/enter?to=/a",
            "/_LINE/rooms/eras",
        ] {
            assert_eq!(target(to), "/", "{to:?}");
        }
        assert_eq!(
            target(&format!("/{}", "a".repeat(RETURN_TARGET_BYTES_MAX))),
            "/"
        );
    }

    #[test]
    fn a_query_value_reads_back() {
        let to = ReturnTarget::parse(Some("/shows/1?a=b&c=d%20e#f"));
        assert_eq!(to.to_query_value(), "/shows/1%3Fa%3Db%26c%3Dd%2520e%23f");
    }

    proptest! {
        #[test]
        fn no_text_leads_to_another_site(to in "[/\\\\.%25cfF:@?#a-c\t\n ;]{0,24}") {
            let target = ReturnTarget::parse(Some(&to));
            let base = reqwest::Url::parse("https://tickets.example/_line/rooms/eras").unwrap();
            let landed = base.join(target.as_str()).unwrap();
            prop_assert_eq!(landed.host_str(), Some("tickets.example"));
            prop_assert_eq!(landed.scheme(), "https");
            let location = target.to_location();
            prop_assert_eq!(location.to_str().unwrap(), target.as_str());
        }
    }
}

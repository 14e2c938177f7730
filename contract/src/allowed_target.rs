//! Addresses of other sites that a room may send its fans to.

use std::fmt;

use http::Uri;
use http::uri::Authority;

use crate::path::SafePath;

/// Longest address, in bytes.
const BYTES_MAX: usize = 2048;
/// The parameter that carries the token.
const TOKEN: &str = "queueittoken";

/// An address of another site: scheme, host, path and query. It has one reading: no user, no
/// fragment, no control character, no backslash, no ambiguous path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteAddress {
    text: String,
    scheme: String,
    host: String,
    port: u16,
    path: String,
}

/// A site, or a part of one, that fans may be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedTarget(SiteAddress);

impl SiteAddress {
    /// Reads an absolute `http` or `https` address.
    pub fn parse(text: &str) -> Option<Self> {
        // Browsers read a backslash as a slash, drop control characters, and read what is before an
        // `@` as a user.
        let is_clean = text.len() <= BYTES_MAX
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"\\#\"<>`{}|^".contains(&byte));
        if !is_clean {
            return None;
        }
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let usual = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let authority = uri.authority()?;
        let (host, port) = host_of(authority)?;
        SafePath::parse(uri.path()).ok()?;
        Some(Self {
            text: text.to_owned(),
            scheme,
            host,
            port: port.unwrap_or(usual),
            path: uri.path().to_owned(),
        })
    }

    /// The address as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address with `token` in its query, in place of one that it has.
    pub fn with_token(&self, token: &str) -> String {
        let (path, query) = self.text.split_once('?').unwrap_or((&self.text, ""));
        let is_other = |pair: &&str| {
            let name = pair.split('=').next().unwrap_or_default();
            !pair.is_empty() && !name.eq_ignore_ascii_case(TOKEN)
        };
        let token = format!("{TOKEN}={token}");
        let pairs: Vec<&str> = query.split('&').filter(is_other).chain([&*token]).collect();
        format!("{path}?{}", pairs.join("&"))
    }
}

impl fmt::Display for SiteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl AllowedTarget {
    /// Reads a site as `https://shop.example.org`, or a part of one as
    /// `https://shop.example.org/checkout`.
    pub fn parse(text: &str) -> Option<Self> {
        let address = SiteAddress::parse(text)?;
        let is_bare = !text.contains(['?', '%', ';', '*']);
        is_bare.then_some(Self(address))
    }

    /// Whether fans may be sent to `address`.
    pub fn covers(&self, address: &SiteAddress) -> bool {
        let Self(allowed) = self;
        let part = allowed.path.trim_end_matches('/');
        let below = address.path.strip_prefix(part);
        allowed.scheme == address.scheme
            && allowed.host == address.host
            && allowed.port == address.port
            && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

fn host_of(authority: &Authority) -> Option<(String, Option<u16>)> {
    if authority.as_str().contains('@') {
        return None;
    }
    let host = authority.host().to_ascii_lowercase();
    let after = authority.as_str().get(host.len()..)?;
    let port = match after.strip_prefix(':') {
        Some(digits) => Some(digits.parse().ok()?),
        None if after.is_empty() => None,
        None => return None,
    };
    let is_name = !host.is_empty()
        && (host.starts_with('[')
            || host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)));
    is_name.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covers(allowed: &str, address: &str) -> bool {
        let address = SiteAddress::parse(address);
        let allowed = AllowedTarget::parse(allowed).unwrap();
        address.is_some_and(|address| allowed.covers(&address))
    }

    #[test]
    fn only_the_allowed_part_of_the_allowed_site_is_covered() {
        for (allowed, address, expected) in [
            ("https://shop.example", "https://shop.example/a?b=c", true),
            ("https://shop.example", "https://shop.example", true),
            ("https://shop.example/", "HTTPS://Shop.Example:443/a", true),
            ("https://shop.example", "http://shop.example/a", false),
            ("https://shop.example", "https://shop.example:444/a", false),
            (
                "https://shop.example",
                "https://shop.example.evil.test/",
                false,
            ),
            (
                "https://shop.example",
                "https://evil.test/https://shop.example",
                false,
            ),
            (
                "https://shop.example",
                "https://shop.example@evil.test/",
                false,
            ),
            (
                "https://shop.example",
                "https://evil.test\\@shop.example/",
                false,
            ),
            (
                "https://shop.example",
                "https://evil.test#shop.example",
                false,
            ),
            ("https://shop.example", "//shop.example/", false),
            (
                "https://shop.example",
                "javascript://shop.example/%0aalert(1)",
                false,
            ),
            ("https://shop.example", "https:/shop.example/", false),
            ("https://shop.example", "https:shop.example", false),
            ("https://shop.example", " https://shop.example/", false),
            ("https://shop.example", "https://shop.example/a\tb", false),
            ("https://shop.example", "https://shop.ex\u{e4}mple/", false),
            ("https://shop.example/in", "https://shop.example/in", true),
            ("https://shop.example/in", "https://shop.example/in/a", true),
            (
                "https://shop.example/in",
                "https://shop.example/inside",
                false,
            ),
            (
                "https://shop.example/in",
                "https://shop.example/in/../a",
                false,
            ),
            (
                "https://shop.example/in",
                "https://shop.example/in/%2e%2e/a",
                false,
            ),
            ("https://shop.example/in", "https://shop.example/", false),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000/a", true),
            ("http://[::1]:3000", "http://[::1]:3000/a", true),
        ] {
            assert_eq!(covers(allowed, address), expected, "{allowed} {address}");
        }
        for bad in [
            "shop.example",
            "https://a/?b",
            "ftp://a",
            "https://*.a",
            "https://",
        ] {
            assert_eq!(AllowedTarget::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_token_takes_the_place_of_one_that_is_there() {
        for (address, expected) in [
            ("https://a/b", "https://a/b?queueittoken=t"),
            ("https://a", "https://a?queueittoken=t"),
            ("https://a/b?", "https://a/b?queueittoken=t"),
            ("https://a/b?c=d", "https://a/b?c=d&queueittoken=t"),
            (
                "https://a/b?queueittoken=x&c=d&QueueItToken=y",
                "https://a/b?c=d&queueittoken=t",
            ),
        ] {
            let address = SiteAddress::parse(address).unwrap();
            assert_eq!(address.with_token("t"), expected);
        }
    }

    proptest! {
        /// As browsers read addresses: with the parser of the WHATWG's standard.
        #[test]
        fn what_is_covered_has_the_allowed_host(text in "(https?:)?[/\\\\]{0,3}[a-z@:./\\\\#?%0-9 \t-]{0,40}(shop\\.example)?[a-z@:./\\\\#?-]{0,20}") {
            if covers("https://shop.example", &text) {
                let rest = text.to_ascii_lowercase();
                let rest = rest.strip_prefix("https://shop.example").unwrap().to_owned();
                let is_end = rest.is_empty() || rest.starts_with('/') || rest.starts_with('?') || rest.starts_with(":443");
                prop_assert!(is_end, "{}", text);
            }
        }
    }
}

//! What of a room's protected paths needs no pass.
//!
//! A prefix that protects covers every spelling that some server reads as the same path. An exempt
//! prefix is the reverse: it covers only what every server reads as a path below it. So it is compared
//! letter by letter, without path parameters.

use std::fmt;
use std::str::FromStr;

use http::Method;

use crate::path::SafePath;

/// Methods that may be exempt.
pub(crate) const METHODS: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// Requests that need no pass: of a method, below a path, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemption {
    method: Option<Method>,
    /// Without a slash at the end; empty for every path.
    prefix: Option<String>,
}

/// The exemptions of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exemptions(Vec<Exemption>);

/// A text is neither a method nor a path nor both.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is neither a path such as /checkout/assets, nor a method such as HEAD, nor both as `POST /hook`"
)]
pub struct ExemptionError;

impl FromStr for Exemption {
    type Err = ExemptionError;

    fn from_str(text: &str) -> Result<Self, ExemptionError> {
        let (method, prefix) = match text.split_once(' ') {
            Some((method, prefix)) => (Some(method), Some(prefix)),
            None if text.starts_with('/') => (None, Some(text)),
            None => (Some(text), None),
        };
        let method = method.map(|method| {
            let is_known = METHODS.contains(&method);
            let method = is_known.then(|| method.parse().ok()).flatten();
            method.ok_or(ExemptionError)
        });
        if prefix.is_some_and(|prefix| !prefix.starts_with('/')) {
            return Err(ExemptionError);
        }
        Ok(Self {
            method: method.transpose()?,
            prefix: prefix.map(|prefix| prefix.trim_end_matches('/').to_owned()),
        })
    }
}

impl fmt::Display for Exemption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.method, &self.prefix) {
            (Some(method), Some(prefix)) => write!(f, "{method} {prefix}"),
            (Some(method), None) => write!(f, "{method}"),
            (None, prefix) => f.write_str(prefix.as_deref().unwrap_or_default()),
        }
    }
}

impl Exemption {
    /// The path, as it was written but for a slash at the end.
    pub fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }

    fn covers(&self, method: Option<&Method>, path: &SafePath<'_>) -> bool {
        self.method.as_ref().is_none_or(|own| Some(own) == method)
            && self.prefix.as_deref().is_none_or(|prefix| {
                let rest = path.as_str().strip_prefix(prefix);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }
}

impl Exemptions {
    /// Those of a room's settings; what cannot be read is left out, because the settings are checked
    /// before they are stored.
    pub fn read(texts: &[String]) -> Self {
        Self(texts.iter().filter_map(|text| text.parse().ok()).collect())
    }

    /// Whether a request for a protected path needs no pass. Without a method, when it is not certain
    /// which one the service reads, no exemption that names one counts.
    pub fn cover(&self, method: Option<&Method>, path: &SafePath<'_>) -> bool {
        self.0.iter().any(|one| one.covers(method, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(exempt: &[&str], method: &Method, path: &str, expected: bool) {
        let texts: Vec<_> = exempt.iter().map(|&text| text.to_owned()).collect();
        let path = SafePath::parse(path).unwrap();
        let covered = Exemptions::read(&texts).cover(Some(method), &path);
        assert_eq!(covered, expected, "{exempt:?} {method} {path:?}");
    }

    #[test]
    fn paths_methods_or_both_are_exempt() {
        let (get, post) = (Method::GET, Method::POST);
        let all = &["/shop/assets/", "HEAD", "POST /shop/hook"];
        for (method, path, expected) in [
            (&get, "/shop/assets", true),
            (&get, "/shop/assets/a.css", true),
            (&post, "/shop/assets/a.css", true),
            (&get, "/shop/assets-of-others", false),
            (&get, "/shop", false),
            (&Method::HEAD, "/shop", true),
            (&post, "/shop/hook/7", true),
            (&get, "/shop/hook/7", false),
            (&post, "/shop/hooks", false),
        ] {
            check(all, method, path, expected);
        }
        let exempt = |text: &str, path: &str| {
            let path = SafePath::parse(path).unwrap();
            Exemptions::read(&[text.to_owned()]).cover(None, &path)
        };
        assert!(exempt("/shop/assets", "/shop/assets/a.css"));
        assert!(!exempt("HEAD", "/shop"));
        assert!(!exempt("POST /shop/hook", "/shop/hook"));
        check(&["/"], &get, "/anything", true);
        check(&["/"], &get, "/", true);
        check(&[], &get, "/", false);
    }

    #[test]
    fn a_spelling_that_only_some_servers_read_as_exempt_is_not() {
        for (path, expected) in [
            ("/shop/%61ssets/x", true),
            ("/shop/assets/x;v=1", true),
            ("/shop/ASSETS/x", false),
            ("/Shop/assets/x", false),
            ("/shop/assets;v=1/x", false),
            ("/shop/assets./x", false),
            ("/shop/assets%20/x", false),
        ] {
            check(&["/shop/assets"], &Method::GET, path, expected);
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "", "get", "TRACE", "CONNECT", "shop", "GET shop", "GET", "POST /a",
        ] {
            let is_good = matches!(text, "GET" | "POST /a");
            assert_eq!(text.parse::<Exemption>().is_ok(), is_good, "{text}");
        }
    }
}

//! The request that another proxy asks about: its method, host and target, as headers name them.
//!
//! A proxy names them in one of several families of headers. Only the configured family is read,
//! because a client can send the headers of every family that its proxy does not overwrite. Headers
//! of another family may be there only if they say the same.

use contract::{Problem, ProblemCode};
use http::header::HOST;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use web::ApiError;

const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const X_ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");

/// The headers that name the request a proxy asks about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderFamily {
    /// `X-Forwarded-Method`, `X-Forwarded-Proto`, `X-Forwarded-Host` and `X-Forwarded-Uri`.
    #[default]
    Forwarded,
    /// `X-Original-URL` with scheme and host, and `X-Original-Method` or `X-Forwarded-Method`.
    Original,
    /// None: the question has the request's own method and host, and its target after a prefix.
    Prefix,
}

/// What one family names.
#[derive(Debug, Default)]
struct Named {
    method: Option<Method>,
    scheme: Option<Scheme>,
    host: Option<Authority>,
    target: Option<PathAndQuery>,
}

/// The head of the request that is asked about by `question`, whose own target goes on with `rest`
/// after the path of questions.
pub fn asked_about(
    family: HeaderFamily,
    mut question: Parts,
    rest: Option<&str>,
) -> Result<Parts, ApiError> {
    let headers = &question.headers;
    let forwarded = Named::forwarded(headers)?;
    let original = Named::original(headers)?;
    let prefixed = match (family, rest) {
        (HeaderFamily::Prefix, Some(rest)) => Named::prefixed(&question, rest)?,
        (HeaderFamily::Prefix, None) | (_, Some(_)) => {
            return Err(refused(
                "The path of the question is not the configured one.",
            ));
        }
        _ => Named::default(),
    };
    let [mut named, others @ ..] = match family {
        HeaderFamily::Forwarded => [forwarded, original, prefixed],
        HeaderFamily::Original => [original, forwarded, prefixed],
        HeaderFamily::Prefix => [prefixed, forwarded, original],
    };
    if !others.iter().all(|other| named.agrees(other)) {
        return Err(refused("The headers name different requests."));
    }
    if family == HeaderFamily::Original && named.method.is_none() {
        let [forwarded, _] = others;
        named.method = forwarded.method;
    }
    let (Some(method), Some(host), Some(target)) = (named.method, named.host, named.target) else {
        return Err(refused("The headers name no method, no host or no target."));
    };
    let host =
        HeaderValue::from_str(host.as_str()).map_err(|_| refused("The host cannot be read."))?;
    question.headers.insert(HOST, host);
    question.method = method;
    question.uri = Uri::from(target);
    Ok(question)
}

impl Named {
    fn forwarded(headers: &HeaderMap) -> Result<Self, ApiError> {
        Ok(Self {
            method: once(headers, &X_FORWARDED_METHOD)?
                .map(method)
                .transpose()?,
            scheme: once(headers, &X_FORWARDED_PROTO)?.map(scheme).transpose()?,
            host: once(headers, &X_FORWARDED_HOST)?.map(host).transpose()?,
            target: once(headers, &X_FORWARDED_URI)?.map(target).transpose()?,
        })
    }

    fn original(headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut named = Self {
            method: once(headers, &X_ORIGINAL_METHOD)?.map(method).transpose()?,
            target: once(headers, &X_ORIGINAL_URI)?.map(target).transpose()?,
            ..Self::default()
        };
        if let Some(url) = once(headers, &X_ORIGINAL_URL)? {
            let (begin, rest) = url
                .split_once("://")
                .ok_or_else(|| refused("X-Original-URL names no scheme."))?;
            named.scheme = Some(scheme(begin)?);
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (named_host, path) = rest.split_at(end);
            named.host = Some(host(named_host)?);
            let path = target(if path.is_empty() { "/" } else { path })?;
            if named.target.is_some_and(|uri| uri != path) {
                return Err(refused("The headers name different requests."));
            }
            named.target = Some(path);
        }
        Ok(named)
    }

    fn prefixed(question: &Parts, rest: &str) -> Result<Self, ApiError> {
        Ok(Self {
            method: Some(question.method.clone()),
            scheme: None,
            host: once(&question.headers, &HOST)?.map(host).transpose()?,
            target: Some(target(rest)?),
        })
    }

    fn agrees(&self, other: &Self) -> bool {
        fn same<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
            one.zip(other).is_none_or(|(one, other)| one == other)
        }
        same(self.method.as_ref(), other.method.as_ref())
            && same(self.scheme.as_ref(), other.scheme.as_ref())
            && same(self.host.as_ref(), other.host.as_ref())
            && same(self.target.as_ref(), other.target.as_ref())
    }
}

fn refused(detail: &str) -> ApiError {
    Problem::new(ProblemCode::BadRequest).detail(detail).into()
}

/// The text of a header that may occur once.
fn once<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(refused(&format!("`{name}` occurs more than once.")));
    }
    let text = value.to_str().ok();
    let text = text.ok_or_else(|| refused(&format!("`{name}` is not text.")))?;
    Ok(Some(text))
}

fn method(text: &str) -> Result<Method, ApiError> {
    text.parse()
        .map_err(|_| refused("The method cannot be read."))
}

fn scheme(text: &str) -> Result<Scheme, ApiError> {
    match text {
        "http" => Ok(Scheme::HTTP),
        "https" => Ok(Scheme::HTTPS),
        _ => Err(refused("The scheme is neither http nor https.")),
    }
}

fn host(text: &str) -> Result<Authority, ApiError> {
    let host = text.parse::<Authority>().ok();
    host.filter(|host| !host.as_str().contains('@'))
        .ok_or_else(|| refused("The host cannot be read."))
}

/// A path with a query. A fragment would be cut off here and could be read by a server.
fn target(text: &str) -> Result<PathAndQuery, ApiError> {
    let is_path = text.starts_with('/') && !text.contains('#');
    let target = is_path.then(|| text.parse().ok()).flatten();
    target.ok_or_else(|| refused("The target cannot be read."))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const FORWARDED: [(&str, &str); 4] = [
        ("x-forwarded-method", "POST"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-uri", "/checkout?a=1"),
    ];
    const ORIGINAL: [(&str, &str); 2] = [
        ("x-original-method", "POST"),
        ("x-original-url", "https://shop.example/checkout?a=1"),
    ];

    /// Method, host and target of the request that a question with these `headers` is about, or
    /// the status of the refusal.
    fn about(
        family: HeaderFamily,
        rest: Option<&str>,
        headers: &[(&str, &str)],
    ) -> Result<String, u16> {
        let mut question = Request::get("/_line/v1/auth").header("host", "line.internal");
        for (name, value) in headers {
            question = question.header(*name, *value);
        }
        let (head, ()) = question.body(()).unwrap().into_parts();
        let head = asked_about(family, head, rest).map_err(|error| error.problem().status)?;
        let host = head.headers[HOST].to_str().unwrap();
        Ok(format!("{} {host} {}", head.method, head.uri))
    }

    fn without<'a>(all: &[(&'a str, &'a str)], name: &str) -> Vec<(&'a str, &'a str)> {
        let kept = all.iter().filter(|(known, _)| *known != name);
        kept.copied().collect()
    }

    #[test]
    fn each_family_names_a_request() {
        let expected = Ok("POST shop.example /checkout?a=1".to_owned());
        assert_eq!(about(HeaderFamily::Forwarded, None, &FORWARDED), expected);
        assert_eq!(about(HeaderFamily::Original, None, &ORIGINAL), expected);
        let mixed = [ORIGINAL[1], FORWARDED[0]];
        assert_eq!(about(HeaderFamily::Original, None, &mixed), expected);
        let own = about(HeaderFamily::Prefix, Some("/checkout?a=1"), &[]);
        assert_eq!(own, Ok("GET line.internal /checkout?a=1".to_owned()));
        let both = [&FORWARDED[..], &ORIGINAL].concat();
        assert_eq!(about(HeaderFamily::Forwarded, None, &both), expected);
        assert_eq!(about(HeaderFamily::Original, None, &both), expected);
    }

    #[test]
    fn what_is_missing_repeated_or_contradicted_is_refused() {
        use HeaderFamily::{Forwarded, Original, Prefix};
        for missing in ["x-forwarded-method", "x-forwarded-host", "x-forwarded-uri"] {
            let headers = without(&FORWARDED, missing);
            assert_eq!(about(Forwarded, None, &headers), Err(400), "{missing}");
        }
        // The family that is not configured names nothing by itself.
        assert_eq!(about(Forwarded, None, &ORIGINAL), Err(400));
        assert_eq!(about(Original, None, &FORWARDED), Err(400));
        assert_eq!(about(Original, None, &ORIGINAL[1..]), Err(400), "no method");
        assert_eq!(
            about(Original, None, &ORIGINAL[..1]),
            Err(400),
            "no address"
        );
        assert_eq!(about(Prefix, None, &FORWARDED), Err(400));
        assert_eq!(about(Forwarded, Some("/x"), &FORWARDED), Err(400));
        for (name, value) in FORWARDED {
            let twice = [&FORWARDED[..], &[(name, value)]].concat();
            assert_eq!(about(Forwarded, None, &twice), Err(400), "{name} twice");
        }
        for other in [
            ("x-original-method", "GET"),
            ("x-original-url", "https://shop.example/"),
            ("x-original-url", "http://shop.example/checkout?a=1"),
            ("x-original-url", "https://other.example/checkout?a=1"),
            ("x-original-uri", "/"),
        ] {
            let headers = [&FORWARDED[..], &[other]].concat();
            assert_eq!(about(Forwarded, None, &headers), Err(400), "{other:?}");
        }
        for other in [
            ("x-forwarded-method", "GET"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "other.example"),
            ("x-forwarded-uri", "/"),
            ("x-original-uri", "/"),
        ] {
            let headers = [&ORIGINAL[..], &[other]].concat();
            assert_eq!(about(Original, None, &headers), Err(400), "{other:?}");
            let own = about(Prefix, Some("/checkout?a=1"), &[other]);
            let is_told = other.0 != "x-forwarded-proto" && other.1 != "GET";
            assert_eq!(own.is_err(), is_told, "{other:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (name, value) in [
            ("x-forwarded-method", "GET, POST"),
            ("x-forwarded-proto", "ws"),
            ("x-forwarded-host", "a.example, b.example"),
            ("x-forwarded-host", "user@shop.example"),
            ("x-forwarded-host", ""),
            ("x-forwarded-uri", "checkout"),
            ("x-forwarded-uri", "https://shop.example/checkout"),
            ("x-forwarded-uri", "/checkout#x"),
            ("x-forwarded-uri", ""),
            ("x-original-url", "/checkout"),
        ] {
            let mut headers = without(&FORWARDED, name);
            headers.push((name, value));
            let found = about(HeaderFamily::Forwarded, None, &headers);
            assert_eq!(found, Err(400), "{name}: {value}");
        }
    }
}

//! Heads of requests and answers on their way through the gate: whatever a client or a service sends,
//! nothing crosses that only the gate or one connection may say, and cleaning twice is cleaning once.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use gateway::edge::client_ip::TrustedProxies;
use gateway::edge::presented::{Presented, ReadAs};
use gateway::edge::return_target::ReturnTarget;
use gateway::edge::{grpc, head};
use gateway::proxy::headers::{clean_request, clean_response, clean_trailers, describe};
use gateway::proxy::{Forwarded, UpstreamKind, names_another_method};
use http::header::{CONNECTION, COOKIE, HOST, SET_COOKIE, TE, UPGRADE};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use libfuzzer_sys::fuzz_target;

/// Names that servers which map them to variables read alike are written alike here.
fn folded(name: &HeaderName) -> String {
    let fold = |byte: char| {
        if byte.is_ascii_alphanumeric() {
            byte
        } else {
            '-'
        }
    };
    name.as_str().chars().map(fold).collect()
}

/// What only the gate may say to a service.
fn is_gates(name: &str) -> bool {
    name.starts_with("ropeline-")
        || name.starts_with("x-forwarded-")
        || [
            "forwarded",
            "proxy",
            "x-original-uri",
            "x-original-url",
            "x-real-ip",
            "x-request-id",
            "x-rewrite-url",
        ]
        .contains(&name)
}

/// What concerns one connection.
fn is_of_connection(name: &str) -> bool {
    [
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "http2-settings",
        "proxy-authorization",
    ]
    .contains(&name)
}

fn is_ours(cookie: &[u8]) -> bool {
    let text = String::from_utf8_lossy(cookie).trim().to_ascii_lowercase();
    let bare = text
        .strip_prefix("__host-")
        .or(text.strip_prefix("__secure-"))
        .unwrap_or(&text);
    [
        "ropeline_place_",
        "ropeline_pass_",
        "ropeline_at_",
        "ropeline_session=",
    ]
    .iter()
    .any(|one| bare.starts_with(one))
}

fuzz_target!(|bytes: &[u8]| {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let target = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let mut headers = HeaderMap::new();
    for line in lines.take(120) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
            continue;
        };
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    request(&headers);
    answer(&headers);
    trailers(&headers);
    presented(&headers);
    settled(&target, headers);
});

fn request(headers: &HeaderMap) {
    for kind in [UpstreamKind::Remote, UpstreamKind::Embedded] {
        let mut cleaned = headers.clone();
        let upgrade = clean_request(&mut cleaned, kind);
        for (name, value) in &cleaned {
            let name = folded(name);
            assert!(!is_gates(&name) && !is_of_connection(&name), "{name}");
            assert!(name != "te" || value == "trailers", "{value:?}");
            assert!(
                name != "connection" || value == "te" || value == "upgrade",
                "{value:?}"
            );
        }
        assert_eq!(cleaned.contains_key(UPGRADE), upgrade.is_some());
        assert!(
            cleaned.get_all(UPGRADE).iter().count() <= 1 && cleaned.get_all(TE).iter().count() <= 1
        );
        if kind == UpstreamKind::Remote {
            let mut cookies = cleaned.get_all(COOKIE).iter().flat_map(web::cookie::pairs);
            assert!(!cookies.any(is_ours), "{cleaned:?}");
        }
        let mut twice = cleaned.clone();
        assert_eq!(clean_request(&mut twice, kind), upgrade);
        assert_eq!(twice, cleaned);
        let told = Forwarded {
            client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            scheme: Scheme::HTTPS,
            host: headers.get(HOST).cloned(),
            request_id: HeaderValue::from_static("id"),
            principals: Vec::new(),
        };
        describe(&mut cleaned, &told);
        assert_eq!(
            cleaned
                .get_all("x-forwarded-for")
                .iter()
                .collect::<Vec<_>>(),
            ["127.0.0.1"]
        );
        assert_eq!(
            cleaned.get_all("x-request-id").iter().collect::<Vec<_>>(),
            ["id"]
        );
    }
}

fn answer(headers: &HeaderMap) {
    let mut cleaned = headers.clone();
    clean_response(StatusCode::OK, &mut cleaned, UpstreamKind::Remote);
    for name in cleaned.keys() {
        let name = folded(name);
        assert!(
            !is_of_connection(&name) && !name.starts_with("ropeline-"),
            "{name}"
        );
    }
    assert!(!cleaned.contains_key(CONNECTION) && !cleaned.contains_key(UPGRADE));
    let ours = |value: &HeaderValue| is_ours(value.as_bytes());
    assert!(!cleaned.get_all(SET_COOKIE).iter().any(ours), "{cleaned:?}");
    let mut twice = cleaned.clone();
    assert_eq!(
        clean_response(StatusCode::OK, &mut twice, UpstreamKind::Remote),
        None
    );
    assert_eq!(twice, cleaned);
}

fn trailers(headers: &HeaderMap) {
    let mut cleaned = headers.clone();
    clean_trailers(&mut cleaned);
    for name in cleaned.keys() {
        let name = folded(name);
        assert!(!is_gates(&name) && !is_of_connection(&name), "{name}");
        assert!(
            ![
                "content-length",
                "host",
                "cookie",
                "set-cookie",
                "authorization"
            ]
            .contains(&&*name),
            "{name}"
        );
    }
    let mut twice = cleaned.clone();
    clean_trailers(&mut twice);
    assert_eq!(twice, cleaned);
}

/// Every token that a request presents is text of the request.
fn presented(headers: &HeaderMap) {
    let client = TrustedProxies::default().client_ip(Ipv4Addr::LOCALHOST.into(), headers);
    for is_secure in [false, true] {
        let read_as = ReadAs {
            is_secure,
            public_origin: "https://line.test",
        };
        let found = Presented::read(headers, client, read_as);
        let tokens = found.pass_cookies().map(|(_, token)| token);
        for token in tokens
            .chain(found.bearer())
            .chain(found.place_cookie("eras"))
        {
            let mut values = headers.values().map(HeaderValue::as_bytes);
            let is_there = |value: &[u8]| {
                token.is_empty()
                    || value
                        .windows(token.len())
                        .any(|part| part == token.as_bytes())
            };
            assert!(values.any(is_there), "{token:?}");
        }
    }
}

/// A head that is taken names one host and a path.
fn settled(target: &str, headers: HeaderMap) {
    let Ok(request) = Request::builder().uri(target).body(()) else {
        return;
    };
    let (mut parts, ()) = request.into_parts();
    parts.headers = headers;
    let _is_call = grpc::is_call(&parts);
    let _other = names_another_method(&parts);
    if head::settle(&mut parts).is_ok() {
        assert!(parts.headers.get_all(HOST).iter().count() <= 1);
        assert!(parts.uri.authority().is_none(), "{}", parts.uri);
        let to = ReturnTarget::of(&parts.uri);
        let path = to.as_str();
        assert!(
            path.starts_with('/') && !path.starts_with("//") && !path.starts_with("/\\"),
            "{path}"
        );
        assert_eq!(ReturnTarget::parse(Some(path)), to);
    }
}

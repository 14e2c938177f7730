//! Which header fields may cross the gateway, as pure functions.
//!
//! The same rules serve a remote and the embedded upstream. From requests, hop-by-hop fields (RFC
//! 9110 §7.6.1) are removed, and every field that an upstream trusts because only the gateway sets
//! it, in every spelling that a server maps to the same name. From responses, hop-by-hop fields and
//! the upstream's commands to the gateway are removed.

use std::net::IpAddr;

use bytes::Bytes;
use contract::cookies;
use contract::principal::{self, Principal};
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, SET_COOKIE, TE, UPGRADE,
};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::body::Frame;
use web::cookie::pairs;

/// Fields that concern one connection only.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Request fields that an upstream trusts because only the gateway sets them, or that make some
/// frameworks serve a path other than the one that the gate checked.
const GATEWAY_ONLY: &[&str] = &[
    "forwarded",
    "proxy",
    "x-original-uri",
    "x-original-url",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
];

/// Prefixes of further [`GATEWAY_ONLY`] fields.
const GATEWAY_ONLY_PREFIXES: &[&str] = &[principal::INTERNAL_PREFIX, "x-forwarded-"];

/// Prefixes of the names of cookies that only the gateway reads.
const OWN_COOKIE_PREFIXES: &[&str] = &[
    cookies::PLACE_PREFIX,
    cookies::PASS_PREFIX,
    cookies::ADDRESS_PREFIX,
];
/// Cookie name prefixes that browsers enforce.
const COOKIE_NAME_PREFIXES: &[&str] = &[cookies::HOST_PREFIX, "__Secure-"];

/// Cloudflare's spelling of the command that ends a session.
const CLOUDFLARE_COMMAND: HeaderName = HeaderName::from_static("cf-waiting-room-command");
/// The value of [`CLOUDFLARE_COMMAND`] that ends a session.
const CLOUDFLARE_REVOKE: &[u8] = b"revoke";

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Who runs an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamKind {
    /// The booking core in this process, which shares the names of our cookies.
    Embedded,
    /// A service of the operator's.
    Remote,
}

/// What the gateway tells an upstream about a request.
#[derive(Clone, Debug)]
pub struct Forwarded {
    /// The fan's address, after trusted proxies.
    pub client_ip: IpAddr,
    /// How the fan reached us.
    pub scheme: Scheme,
    /// The host the fan asked for.
    pub host: Option<HeaderValue>,
    /// The request id, the same in the gateway's logs and in the response.
    pub request_id: HeaderValue,
    /// The valid passes that came with the request.
    pub principals: Vec<Principal>,
}

/// A command of the upstream's in its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The purchase is done: end the session and free its slot.
    EndSession,
}

/// Removes from a request what must not reach an upstream.
///
/// Returns the protocol of a permitted upgrade request; `Upgrade` and `Connection` are then kept in
/// a normal form.
pub fn clean_request(headers: &mut HeaderMap, kind: UpstreamKind) -> Option<HeaderValue> {
    let upgrade = requested_upgrade(headers);
    let accepts_trailers = lists_token(headers, &TE, "trailers");
    remove_where(headers, |name| {
        // `Expect` is removed because hyper answers `100-continue` when the body is first read.
        is_hop_by_hop(name) || is_gateway_only(name) || name == EXPECT
    });
    remove_own_cookies(headers, kind);
    if accepts_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.append(CONNECTION, HeaderValue::from_static("te"));
    }
    if let Some(protocol) = &upgrade {
        headers.append(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
    upgrade
}

/// Removes from a response what must not reach a client, and returns the upstream's command.
pub fn clean_response(
    status: StatusCode,
    headers: &mut HeaderMap,
    kind: UpstreamKind,
) -> Option<Command> {
    let command = read_command(headers);
    let switched = (status == StatusCode::SWITCHING_PROTOCOLS)
        .then(|| headers.remove(UPGRADE))
        .flatten();
    remove_where(headers, |name| {
        is_hop_by_hop(name)
            || begins_like(name, principal::INTERNAL_PREFIX)
            || spelled_like(name, CLOUDFLARE_COMMAND.as_str())
    });
    remove_own_set_cookies(headers, kind);
    if let Some(protocol) = switched {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    command
}

/// Removes from trailers what [`clean_request`] and [`clean_response`] remove from headers.
///
/// Some servers merge trailers into headers, so a trailer may not say what a header may not.
pub fn clean_trailers(trailers: &mut HeaderMap) {
    remove_where(trailers, |name| {
        is_hop_by_hop(name)
            || is_gateway_only(name)
            || [&CONTENT_LENGTH, &HOST, &COOKIE, &SET_COOKIE]
                .iter()
                .any(|other| spelled_like(name, other.as_str()))
            || spelled_like(name, "authorization")
            || spelled_like(name, CLOUDFLARE_COMMAND.as_str())
    });
}

/// `frame` with its trailers cleaned; data frames are returned unchanged.
pub(super) fn clean_frame(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            clean_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

/// Removes the upgrade request that [`clean_request`] kept.
pub(super) fn keep_protocol(headers: &mut HeaderMap) {
    headers.remove(UPGRADE);
    headers.remove(CONNECTION);
    if headers.contains_key(TE) {
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
}

/// Adds the fields that the gateway vouches for. Call it after [`clean_request`].
pub fn describe(headers: &mut HeaderMap, forwarded: &Forwarded) {
    // Reserved up front, so that the map grows once.
    headers.reserve(4 + 4 * forwarded.principals.len());
    if let Ok(address) = HeaderValue::try_from(forwarded.client_ip.to_string()) {
        headers.insert(X_FORWARDED_FOR, address);
    }
    let scheme = if forwarded.scheme == Scheme::HTTPS {
        "https"
    } else {
        "http"
    };
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    headers.insert(X_REQUEST_ID, forwarded.request_id.clone());
    if let Some(host) = &forwarded.host {
        headers.insert(X_FORWARDED_HOST, host.clone());
    }
    principal::write(&forwarded.principals, headers);
}

/// The protocol that the client asks to switch to, if it is permitted.
///
/// A protocol that carries further HTTP requests, such as h2c, is refused: they would bypass the
/// gate.
fn requested_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    if !lists_token(headers, &CONNECTION, "upgrade") {
        return None;
    }
    let mut values = headers.get_all(UPGRADE).iter();
    let protocol = values.next()?;
    if values.next().is_some() {
        return None;
    }
    let text = protocol.to_str().ok()?;
    let carries_http = text.split(',').any(|one| {
        let name = one.trim().split('/').next().unwrap_or("").trim();
        ["h2", "h2c", "h3", "http", "tls"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
    });
    (!carries_http && !text.trim().is_empty()).then(|| protocol.clone())
}

fn read_command(headers: &HeaderMap) -> Option<Command> {
    let says = |name: &HeaderName, word: &[u8]| {
        headers
            .get_all(name)
            .iter()
            .any(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(word))
    };
    let ends = says(
        &principal::COMMAND,
        principal::COMMAND_END_SESSION.as_bytes(),
    ) || says(&CLOUDFLARE_COMMAND, CLOUDFLARE_REVOKE);
    ends.then_some(Command::EndSession)
}

/// Removes the fields that are `unwanted` and those that `Connection` lists.
fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let listed = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        // A client must not use `Connection` to remove a message's length or host.
        .filter(|name| name != CONTENT_LENGTH && name != HOST);
    // Most messages have no unwanted field; then this checks each name once and allocates nothing.
    let unwanted = headers.keys().filter(|name| unwanted(name)).cloned();
    let names: Vec<HeaderName> = unwanted.chain(listed).collect();
    for name in names {
        headers.remove(name);
    }
}

/// Whether a field concerns one connection only, or is another spelling of `Content-Length`.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.iter().any(|known| spelled_like(name, known))
        || (name != CONTENT_LENGTH && spelled_like(name, CONTENT_LENGTH.as_str()))
}

fn is_gateway_only(name: &HeaderName) -> bool {
    debug_assert!(GATEWAY_ONLY.contains(&FORWARDED.as_str()));
    GATEWAY_ONLY.iter().any(|known| spelled_like(name, known))
        || GATEWAY_ONLY_PREFIXES
            .iter()
            .any(|prefix| begins_like(name, prefix))
}

/// Whether a server that maps header names to variable names (as CGI does) would read `name` as
/// `known`: such servers replace each character other than a letter or digit by one character.
pub(super) fn spelled_like(name: &HeaderName, known: &str) -> bool {
    name.as_str().len() == known.len() && begins_like(name, known)
}

fn begins_like(name: &HeaderName, prefix: &str) -> bool {
    let fold = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            byte
        } else {
            b'-'
        }
    };
    let name = name.as_str().as_bytes();
    // Compares the first byte first, which rules out nearly all names.
    name.first() == prefix.as_bytes().first()
        && name.len() >= prefix.len()
        && name
            .iter()
            .zip(prefix.as_bytes())
            .all(|(a, b)| fold(*a) == *b)
}

fn lists_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|one| {
            let word = one.split(|byte| *byte == b';').next().unwrap_or_default();
            word.trim_ascii().eq_ignore_ascii_case(token.as_bytes())
        })
}

/// Whether a cookie of this name may not cross the gateway. Ignores case, because servers differ on
/// whether cookie names are case-sensitive.
fn is_own_cookie(name: &[u8], kind: UpstreamKind) -> bool {
    let name = name.trim_ascii();
    let bare = COOKIE_NAME_PREFIXES
        .iter()
        .find_map(|prefix| strip_prefix_any_case(name, prefix))
        .unwrap_or(name);
    let is_gateways = OWN_COOKIE_PREFIXES
        .iter()
        .any(|prefix| strip_prefix_any_case(bare, prefix).is_some());
    let is_shops = bare.eq_ignore_ascii_case(cookies::SESSION.as_bytes());
    is_gateways || (kind == UpstreamKind::Remote && is_shops)
}

fn strip_prefix_any_case<'a>(text: &'a [u8], prefix: &str) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix.as_bytes()).then_some(rest)
}

fn cookie_name(pair: &[u8]) -> &[u8] {
    pair.split(|byte| *byte == b'=').next().unwrap_or_default()
}

fn remove_own_cookies(headers: &mut HeaderMap, kind: UpstreamKind) {
    let is_own = |pair: &[u8]| is_own_cookie(cookie_name(pair), kind);
    let mut all = headers.get_all(COOKIE).iter();
    if !all.any(|value| pairs(value).any(is_own)) {
        return;
    }
    let without_own = |value: &HeaderValue| {
        let mut kept = Vec::with_capacity(value.len());
        for pair in pairs(value).filter(|pair| !is_own(pair)) {
            let pair = pair.trim_ascii();
            if !kept.is_empty() && !pair.is_empty() {
                kept.extend_from_slice(b"; ");
            }
            kept.extend_from_slice(pair);
        }
        (!kept.is_empty()).then(|| HeaderValue::try_from(kept).ok())?
    };
    let kept: Vec<HeaderValue> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(without_own)
        .collect();
    headers.remove(COOKIE);
    for value in kept {
        headers.append(COOKIE, value);
    }
}

/// Removes cookies with which an upstream would overwrite a fan's place or pass.
fn remove_own_set_cookies(headers: &mut HeaderMap, kind: UpstreamKind) {
    let is_own = |value: &HeaderValue| is_own_cookie(cookie_name(value.as_bytes()), kind);
    if !headers.get_all(SET_COOKIE).iter().any(is_own) {
        return;
    }
    let kept: Vec<HeaderValue> = headers
        .get_all(SET_COOKIE)
        .iter()
        .filter(|value| !is_own(value))
        .cloned()
        .collect();
    headers.remove(SET_COOKIE);
    for value in kept {
        headers.append(SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use contract::{PlaceId, Timestamp};

    use super::*;

    const REMOTE: UpstreamKind = UpstreamKind::Remote;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().unwrap();
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    fn texts(headers: &HeaderMap, name: &str) -> Vec<String> {
        headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn hop_by_hop_fields_end_here_in_both_directions() {
        let lines = [
            ("connection", "keep-alive, X-Private, host"),
            ("connection", "x-other"),
            ("keep-alive", "timeout=5"),
            ("x-private", "1"),
            ("x-other", "2"),
            ("proxy-connection", "close"),
            ("transfer-encoding", "chunked"),
            ("transfer_encoding", "chunked"),
            ("te", "gzip"),
            ("upgrade", "websocket"),
            ("host", "shop"),
            ("accept", "text/html"),
        ];
        let mut request = headers(&lines);
        assert_eq!(clean_request(&mut request, REMOTE), None);
        let mut response = headers(&lines);
        clean_response(StatusCode::OK, &mut response, REMOTE);
        for cleaned in [request, response] {
            let mut names: Vec<_> = cleaned.keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, ["accept", "host"]);
        }
    }

    #[test]
    fn a_client_cannot_speak_as_the_gateway_in_any_spelling() {
        for name in [
            "ropeline-room",
            "ropeline_room",
            "Ropeline-Subject",
            "ropeline.subject",
            "ropeline-session",
            "Ropeline_Session",
            "ropeline-anything",
            "x-forwarded-for",
            "x_forwarded_for",
            "X-Forwarded-Proto",
            "x-forwarded_host",
            "forwarded",
            "x-real-ip",
            "x_real_ip",
            "x-request-id",
            "x-original-url",
            "x-rewrite-url",
            "proxy",
        ] {
            let mut request = headers(&[(name, "spoofed"), ("accept", "*/*")]);
            clean_request(&mut request, REMOTE);
            assert_eq!(request.len(), 1, "{name}");
            let mut trailers = headers(&[(name, "spoofed"), ("x-checksum", "1")]);
            clean_trailers(&mut trailers);
            assert_eq!(trailers.len(), 1, "{name}");
        }
    }

    #[test]
    fn own_cookies_stay_with_the_gateway() {
        let lines = [
            (
                "cookie",
                "a=1; ropeline_pass_eras=x;__Host-ropeline_place_eras=y; b=2;ROPELINE_PASS_Z=1",
            ),
            ("cookie", "__Secure-ropeline_place_q=z"),
            ("cookie", "ropeline_session=mine; ropeline_sessions=1"),
            ("cookie", "__Host-Ropeline_Session=mine"),
        ];
        for (kind, kept) in [
            (
                UpstreamKind::Embedded,
                &[
                    "a=1; b=2",
                    "ropeline_session=mine; ropeline_sessions=1",
                    "__Host-Ropeline_Session=mine",
                ][..],
            ),
            (
                UpstreamKind::Remote,
                &["a=1; b=2", "ropeline_sessions=1"][..],
            ),
        ] {
            let mut request = headers(&lines);
            clean_request(&mut request, kind);
            assert_eq!(texts(&request, "cookie"), kept);
        }

        let lines = [
            ("set-cookie", "cart=1; Path=/"),
            ("set-cookie", "__Host-ropeline_pass_eras=forged; Path=/"),
            ("set-cookie", "ropeline_session=forged; Path=/"),
        ];
        for (kind, kept) in [(UpstreamKind::Embedded, 2), (UpstreamKind::Remote, 1)] {
            let mut response = headers(&lines);
            clean_response(StatusCode::OK, &mut response, kind);
            assert_eq!(texts(&response, "set-cookie").len(), kept);
        }
    }

    #[test]
    fn an_upgrade_passes_unless_it_carries_http() {
        let asked = |protocol: &str| {
            let mut request = headers(&[("connection", "Upgrade"), ("upgrade", protocol)]);
            let upgrade = clean_request(&mut request, REMOTE);
            assert_eq!(upgrade.is_some(), request.contains_key("upgrade"));
            assert_eq!(upgrade.is_some(), request.contains_key("connection"));
            upgrade.is_some()
        };
        assert!(asked("websocket"));
        assert!(asked("Chat/2.0"));
        assert!(!asked("h2c"));
        assert!(!asked("H2C"));
        assert!(!asked("websocket, h2c"));
        assert!(!asked("HTTP/2.0"));
        assert!(!asked("TLS/1.2"));
        assert!(!asked(" "));
    }

    #[test]
    fn only_trailers_survive_of_te() {
        let mut request = headers(&[("te", "gzip, Trailers;q=1")]);
        clean_request(&mut request, REMOTE);
        assert_eq!(texts(&request, "te"), ["trailers"]);
        assert_eq!(texts(&request, "connection"), ["te"]);
    }

    #[test]
    fn a_command_is_read_and_not_passed_on() {
        for (name, value, expected) in [
            ("ropeline-command", "end-session", Some(Command::EndSession)),
            ("ropeline-command", "End-Session", Some(Command::EndSession)),
            (
                "cf-waiting-room-command",
                "revoke",
                Some(Command::EndSession),
            ),
            ("cf-waiting-room-command", "keep", None),
            ("ropeline-command", "dance", None),
            ("ropeline-room", "eras", None),
        ] {
            let mut response = headers(&[(name, value)]);
            assert_eq!(
                clean_response(StatusCode::OK, &mut response, REMOTE),
                expected,
                "{name}: {value}"
            );
            assert!(response.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_switch_of_protocols_keeps_its_fields() {
        let mut response = headers(&[("connection", "upgrade"), ("upgrade", "websocket")]);
        clean_response(StatusCode::SWITCHING_PROTOCOLS, &mut response, REMOTE);
        assert_eq!(texts(&response, "upgrade"), ["websocket"]);
        assert_eq!(texts(&response, "connection"), ["upgrade"]);
    }

    #[test]
    fn the_gateway_says_who_asks() {
        let forwarded = Forwarded {
            client_ip: "192.0.2.7".parse().unwrap(),
            scheme: Scheme::HTTPS,
            host: Some(HeaderValue::from_static("tickets.example")),
            request_id: HeaderValue::from_static("r-1"),
            principals: vec![Principal {
                room: "eras".parse().unwrap(),
                subject: PlaceId::from_bytes([7; 16]),
                expires_at: Timestamp::EPOCH,
                is_live: true,
            }],
        };
        let mut request = headers(&[
            ("ropeline-room", "spoofed"),
            ("x-forwarded-for", "10.0.0.1"),
        ]);
        clean_request(&mut request, REMOTE);
        describe(&mut request, &forwarded);
        assert_eq!(texts(&request, "x-forwarded-for"), ["192.0.2.7"]);
        assert_eq!(texts(&request, "x-forwarded-proto"), ["https"]);
        assert_eq!(texts(&request, "x-forwarded-host"), ["tickets.example"]);
        assert_eq!(texts(&request, "x-request-id"), ["r-1"]);
        assert_eq!(principal::read(&request), forwarded.principals);
    }
}

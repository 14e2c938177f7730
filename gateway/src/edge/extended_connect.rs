//! WebSockets over HTTP/2 (RFC 8441), shown to what is behind the listener as those over HTTP/1.
//!
//! An extended `CONNECT` becomes the `GET` of a handshake, with a key of the gateway's own; the 101
//! that answers it becomes the 200 that opens the stream.

use axum::body::Body;
use axum::response::IntoResponse;
use contract::{Problem, ProblemCode};
use data_encoding::BASE64;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, Version};
use hyper::ext::Protocol;
use sha2::{Digest, Sha256};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use web::{ApiError, RequestIds};

/// The only protocol that streams are opened for.
const WEBSOCKET: &str = "websocket";
/// Bytes of `Sec-WebSocket-Key`.
const KEY_BYTES: usize = 16;

/// A stream that is being opened.
pub(super) struct Opening {
    /// What the handshake is to be accepted with.
    accept: String,
}

/// Makes a handshake of an extended `CONNECT`. Refuses a `CONNECT` that asks for a tunnel to some
/// host, or for another protocol.
pub(super) fn open(head: &mut Parts, ids: &RequestIds) -> Result<Opening, Box<Response<Body>>> {
    let protocol = head.extensions.remove::<Protocol>();
    let refused = |code: ProblemCode, detail: &str| {
        let problem = Problem::new(code).detail(detail);
        Box::new(told(problem, ids))
    };
    let Some(protocol) = protocol else {
        return Err(refused(
            ProblemCode::MethodNotAllowed,
            "No tunnels are opened here.",
        ));
    };
    if !protocol.as_str().eq_ignore_ascii_case(WEBSOCKET) {
        return Err(refused(
            ProblemCode::BadRequest,
            "Streams are opened for WebSockets only.",
        ));
    }
    // Each request has an id of its own, so each handshake has a key of its own.
    let key = Sha256::digest(ids.next_id().as_str());
    let key = BASE64.encode(&key[..KEY_BYTES]);
    let accept = derive_accept_key(key.as_bytes());
    head.method = Method::GET;
    head.version = Version::HTTP_11;
    let headers = &mut head.headers;
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
    headers
        .entry(SEC_WEBSOCKET_VERSION)
        .or_insert(HeaderValue::from_static("13"));
    if let Ok(key) = HeaderValue::try_from(key) {
        headers.insert(SEC_WEBSOCKET_KEY, key);
    }
    Ok(Opening { accept })
}

impl Opening {
    /// The answer to the `CONNECT`, of the one to the handshake.
    pub(super) fn finish(self, mut response: Response<Body>, ids: &RequestIds) -> Response<Body> {
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            let accept = response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
            if accept.is_some_and(|accept| accept == self.accept) {
                *response.status_mut() = StatusCode::OK;
                return response;
            }
        } else if !status.is_success() && !status.is_informational() {
            return response;
        }
        // Any success would open the stream.
        let problem = Problem::new(ProblemCode::UpstreamFailed)
            .detail("What was asked for a WebSocket did not open one.");
        told(problem, ids)
    }

    /// The answer to a request that opens no stream.
    pub(super) fn none(response: Response<Body>, ids: &RequestIds) -> Response<Body> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return response;
        }
        // HTTP/2 has no such status.
        told(Problem::new(ProblemCode::UpstreamFailed), ids)
    }
}

fn told(problem: Problem, ids: &RequestIds) -> Response<Body> {
    let mut response = ApiError::from(problem).into_response();
    web::request_id::finish(&mut response, ids.next_id());
    response
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn connect(protocol: Option<&'static str>) -> Parts {
        let request = Request::builder().method(Method::CONNECT).uri("/live");
        let (mut head, ()) = request
            .version(Version::HTTP_2)
            .body(())
            .unwrap()
            .into_parts();
        if let Some(protocol) = protocol {
            head.extensions.insert(Protocol::from_static(protocol));
        }
        head
    }

    fn ids() -> RequestIds {
        RequestIds::new(7)
    }

    fn switching(accept: &str) -> Response<Body> {
        Response::builder()
            .status(101)
            .header(SEC_WEBSOCKET_ACCEPT, accept)
            .header("sec-websocket-protocol", "line")
            .body(Body::empty())
            .unwrap()
    }

    #[test]
    fn a_stream_is_opened_by_the_answer_to_its_own_key_only() {
        let ids = ids();
        let mut keys = Vec::new();
        for is_own in [true, false] {
            let mut head = connect(Some("websocket"));
            let opening = open(&mut head, &ids).unwrap_or_else(|_| panic!("refused"));
            assert_eq!(
                (&head.method, head.version),
                (&Method::GET, Version::HTTP_11)
            );
            assert_eq!(head.headers[UPGRADE], "websocket");
            let key = head.headers[SEC_WEBSOCKET_KEY].clone();
            assert_eq!(BASE64.decode(key.as_bytes()).unwrap().len(), KEY_BYTES);
            let accept = if is_own {
                derive_accept_key(key.as_bytes())
            } else {
                "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned()
            };
            keys.push(key);
            let answer = opening.finish(switching(&accept), &ids);
            if is_own {
                assert_eq!(answer.status(), 200);
                assert_eq!(answer.headers()["sec-websocket-protocol"], "line");
                assert!(!answer.headers().contains_key(SEC_WEBSOCKET_ACCEPT));
            } else {
                assert_eq!(answer.status(), 502);
            }
        }
        assert_ne!(keys[0], keys[1]);
    }

    #[test]
    fn a_page_instead_of_a_socket_opens_no_stream_and_a_refusal_passes() {
        for (status, expected) in [(200, 502), (204, 502), (302, 302), (403, 403), (503, 503)] {
            let opening = open(&mut connect(Some("WebSocket")), &ids());
            let opening = opening.unwrap_or_else(|_| panic!("refused"));
            let response = Response::builder().status(status);
            let response = response.body(Body::empty()).unwrap();
            assert_eq!(opening.finish(response, &ids()).status(), expected);
        }
        assert_eq!(Opening::none(switching("x"), &ids()).status(), 502);
    }

    #[test]
    fn tunnels_and_other_protocols_are_refused() {
        for (protocol, expected) in [(None, 405), (Some("connect-udp"), 400)] {
            let Err(refused) = open(&mut connect(protocol), &ids()) else {
                panic!("{protocol:?} was opened")
            };
            assert_eq!(refused.status(), expected);
            assert!(refused.headers().contains_key("x-request-id"));
        }
    }
}

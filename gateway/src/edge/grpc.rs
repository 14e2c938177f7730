//! gRPC over HTTP/2: which requests are calls, and how the gateway's own problems are told to their
//! clients, who read a status in headers and no document.

use axum::body::Body;
use axum::response::Response;
use contract::{Problem, ProblemCode};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

use super::return_target::JOIN_URL;

/// The media type of calls, which may be followed by `+proto` and the like. `application/grpc-web`
/// is another one: it is made for HTTP/1.1.
const MEDIA_TYPE: &str = "application/grpc";

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// The code of a problem document.
const PROBLEM: HeaderName = HeaderName::from_static("ropeline-problem");

/// A status of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing more is known.
    Unknown = 2,
    /// The request makes no sense.
    InvalidArgument = 3,
    /// It took too long.
    DeadlineExceeded = 4,
    /// The caller may not do this.
    PermissionDenied = 7,
    /// There is too much of something.
    ResourceExhausted = 8,
    /// Something has to be done first.
    FailedPrecondition = 9,
    /// There is no such method.
    Unimplemented = 12,
    /// A fault of ours.
    Internal = 13,
    /// Trying again later helps.
    Unavailable = 14,
    /// The caller has to show who they are: here, a pass.
    Unauthenticated = 16,
}

/// Whether a request is a call: of gRPC, over HTTP/2.
pub fn is_call(head: &Parts) -> bool {
    head.version == Version::HTTP_2 && head.headers.get(CONTENT_TYPE).is_some_and(is_media_type)
}

fn is_media_type(value: &HeaderValue) -> bool {
    let value = value.as_bytes();
    let Some((kind, rest)) = value.split_at_checked(MEDIA_TYPE.len()) else {
        return false;
    };
    let ends = matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'));
    ends && kind.eq_ignore_ascii_case(MEDIA_TYPE.as_bytes())
}

/// Replaces a problem in the response to a call by a status, in a head without a body.
pub fn show(response: &mut Response) {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return;
    };
    *response.status_mut() = StatusCode::OK;
    *response.body_mut() = Body::empty();
    let headers = response.headers_mut();
    for name in [CONTENT_LENGTH, WWW_AUTHENTICATE] {
        headers.remove(name);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PROBLEM, HeaderValue::from_static(problem.code.as_str()));
    if let Some(seconds) = problem.retry_after_seconds {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    let join_url = problem.extra.get("joinUrl").and_then(|url| url.as_str());
    if let Some(join_url) = join_url.and_then(|url| HeaderValue::from_str(url).ok()) {
        headers.insert(JOIN_URL, join_url);
    }
    let text = problem.detail.as_deref().unwrap_or(&problem.title);
    say(headers, status_of(&problem), text);
}

/// The end of a call that the gateway ends.
pub fn trailers(status: Status, text: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    say(&mut trailers, status, text);
    trailers
}

/// What the status in the head of an answer means in HTTP, where it says that the service has had
/// enough or is not there.
pub fn status_meant(status: StatusCode, headers: &HeaderMap) -> StatusCode {
    match headers.get(GRPC_STATUS).map(HeaderValue::as_bytes) {
        Some(b"8") => StatusCode::TOO_MANY_REQUESTS,
        Some(b"14") => StatusCode::SERVICE_UNAVAILABLE,
        _ => status,
    }
}

fn say(headers: &mut HeaderMap, status: Status, text: &str) {
    headers.insert(GRPC_STATUS, HeaderValue::from(status as u16));
    if let Ok(text) = HeaderValue::from_str(&escaped(text)) {
        headers.insert(GRPC_MESSAGE, text);
    }
}

/// A message as gRPC writes it: visible ASCII and spaces, the rest as escapes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            escaped.push(char::from(byte));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            let digit = |four: u8| char::from(HEX[usize::from(four)]);
            escaped.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    escaped
}

fn status_of(problem: &Problem) -> Status {
    match (problem.code, problem.status) {
        (ProblemCode::PassRequired, _) | (_, 401) => Status::Unauthenticated,
        (_, 403) => Status::PermissionDenied,
        (_, 400 | 414 | 422 | 431) => Status::InvalidArgument,
        (_, 404 | 405 | 501) => Status::Unimplemented,
        (_, 408 | 504) => Status::DeadlineExceeded,
        (_, 413 | 429) => Status::ResourceExhausted,
        (_, 502 | 503) => Status::Unavailable,
        (_, 409 | 410 | 412) => Status::FailedPrecondition,
        (_, 500) => Status::Internal,
        _ => Status::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http::Request;
    use hyper::body::Body as _;
    use web::ApiError;

    use super::*;

    fn call(version: Version, kind: &str) -> bool {
        let request = Request::builder().version(version);
        let request = request.header(CONTENT_TYPE, kind).body(()).unwrap();
        is_call(&request.into_parts().0)
    }

    #[test]
    fn a_call_is_grpc_over_http_2() {
        for kind in [
            "application/grpc",
            "Application/gRPC+proto",
            "application/grpc;a=b",
        ] {
            assert!(call(Version::HTTP_2, kind), "{kind}");
            assert!(!call(Version::HTTP_11, kind), "{kind}");
        }
        for kind in [
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/grpcs",
            "application/json",
            "",
        ] {
            assert!(!call(Version::HTTP_2, kind), "{kind}");
        }
    }

    #[test]
    fn a_problem_is_a_status_in_a_head_without_a_body() {
        let of = |problem: Problem| {
            let mut response = ApiError::from(problem).into_response();
            show(&mut response);
            assert_eq!(response.status(), StatusCode::OK);
            assert!(response.body().is_end_stream());
            assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc");
            response
        };
        let refused = of(Problem::new(ProblemCode::PassRequired)
            .detail("100 % für dich")
            .with("joinUrl", "/_line/rooms/eras?to=%2F"));
        let headers = refused.headers();
        assert_eq!(headers[GRPC_STATUS], "16");
        assert_eq!(headers[GRPC_MESSAGE], "100 %25 f%C3%BCr dich");
        assert_eq!(headers[JOIN_URL], "/_line/rooms/eras?to=%2F");
        assert_eq!(headers[PROBLEM], "pass-required");
        for (code, status) in [
            (ProblemCode::BadRequest, "3"),
            (ProblemCode::UpstreamTimeout, "4"),
            (ProblemCode::RateLimited, "8"),
            (ProblemCode::MethodNotAllowed, "12"),
            (ProblemCode::Internal, "13"),
            (ProblemCode::UpstreamFailed, "14"),
            (ProblemCode::UpstreamUnavailable, "14"),
            (ProblemCode::LineUnavailable, "14"),
        ] {
            let refused = of(Problem::new(code).retry_after(7));
            assert_eq!(refused.headers()[GRPC_STATUS], status, "{code:?}");
            assert_eq!(refused.headers()[RETRY_AFTER], "7");
        }
    }

    #[test]
    fn the_answer_of_a_service_is_left_alone() {
        let mut response = Response::new(Body::from("message"));
        response
            .headers_mut()
            .insert(GRPC_STATUS, "5".parse().unwrap());
        show(&mut response);
        assert_eq!(response.headers()[GRPC_STATUS], "5");
        assert!(!response.body().is_end_stream());
    }

    #[test]
    fn a_service_says_in_its_status_that_it_has_had_enough() {
        for (status, meant) in [
            (None, 200),
            (Some("5"), 200),
            (Some("8"), 429),
            (Some("14"), 503),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(status) = status {
                headers.insert(GRPC_STATUS, status.parse().unwrap());
            }
            assert_eq!(status_meant(StatusCode::OK, &headers), meant);
        }
    }
}

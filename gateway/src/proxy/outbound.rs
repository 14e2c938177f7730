//! A request as the upstream gets it. Pure.

use axum::body::Body;
use contract::upstream::Upstream;
use contract::{Problem, ProblemCode};
use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Version};
use hyper::body::Body as _;
use hyper::upgrade::OnUpgrade;
use web::ApiError;

use super::headers::{self, Forwarded, UpstreamKind};
use super::sender::Manner;
use super::told::Told;
use crate::edge::grpc;

/// What a client expects that holds its body back until it is asked for it.
const CONTINUE: &str = "100-continue";

/// A request prepared for the upstream.
pub(super) struct Outbound {
    pub(super) head: Parts,
    pub(super) body: Body,
    pub(super) upgrade: Option<OnUpgrade>,
    /// It is a call of gRPC.
    pub(super) is_call: bool,
    /// Its `Host` is the upstream's own name.
    pub(super) names_upstream: bool,
    /// The client holds its body back until it is asked for it.
    pub(super) is_held: bool,
}

impl Outbound {
    /// How it is sent.
    pub(super) fn manner(&self) -> Manner {
        if self.is_call {
            Manner::Call
        } else if self.upgrade.is_some() {
            Manner::Switching
        } else if self.is_held {
            Manner::Held
        } else {
            Manner::Usual
        }
    }
}

/// Prepares a request for the upstream.
pub(super) fn prepare(
    upstream: &Upstream,
    mut request: Request<Body>,
    forwarded: &Forwarded,
    preserves_host: bool,
) -> Result<Outbound, ApiError> {
    // CONNECT would open a tunnel to anywhere; TRACE would show the client our headers.
    if request.method() == Method::CONNECT || request.method() == Method::TRACE {
        return Err(ProblemCode::MethodNotAllowed.into());
    }
    let path = origin_path(&request)?;
    let path = upstream.path_of(path).map_err(|_| unreadable_path())?;
    let has_body = !request.body().is_end_stream();
    let is_held = has_body && waits_to_be_asked(&request);
    let asked = headers::clean_request(request.headers_mut(), UpstreamKind::Remote);
    // With a body before the switch, the gateway and the upstream could disagree on where the body
    // ends, which allows request smuggling.
    let upgrade = if asked.is_some() && !has_body {
        Some(hyper::upgrade::on(&mut request))
    } else {
        headers::keep_protocol(request.headers_mut());
        None
    };

    let (mut parts, body) = request.into_parts();
    let is_call = grpc::is_call(&parts);
    let told = parts.extensions.remove::<Told>();
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = parts.method;
    head.uri = path.into();
    head.version = Version::HTTP_11;
    head.headers = parts.headers;
    if has_body && !head.headers.contains_key(CONTENT_LENGTH) {
        head.headers
            .insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let asked_for = forwarded.host.as_ref().filter(|_| preserves_host);
    let host = asked_for.cloned().unwrap_or_else(|| upstream.host());
    head.headers.insert(HOST, host);
    if is_held {
        let asks = HeaderValue::from_static(CONTINUE);
        head.headers.insert(EXPECT, asks);
    }
    headers::describe(&mut head.headers, forwarded);
    if let Some(Told(told)) = told {
        head.headers.extend(told);
    }
    Ok(Outbound {
        head,
        body,
        upgrade,
        is_call,
        names_upstream: asked_for.is_none(),
        is_held,
    })
}

/// Whether the client holds its body back until it is asked for it.
fn waits_to_be_asked(request: &Request<Body>) -> bool {
    let expected = request.headers().get(EXPECT);
    request.version() > Version::HTTP_10
        && expected.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(CONTINUE.as_bytes()))
}

/// The path and query for the upstream, from an origin-form or an absolute request target.
fn origin_path(request: &Request<Body>) -> Result<PathAndQuery, ApiError> {
    let path = request.uri().path_and_query().cloned();
    path.filter(|path| path.as_str().starts_with('/'))
        .ok_or_else(unreadable_path)
}

fn unreadable_path() -> ApiError {
    Problem::new(ProblemCode::BadRequest)
        .detail("The request names no path.")
        .into()
}

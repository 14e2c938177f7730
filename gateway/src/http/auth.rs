//! What another proxy asks about each request that it gets, before it sends it to the shop: nginx's
//! `auth_request`, Caddy's `forward_auth`, Traefik's `ForwardAuth`, Envoy's `ext_authz` over HTTP.

use axum::Extension;
use axum::extract::{FromRequestParts, Request};
use axum::response::Response;
use contract::{Problem, ProblemCode};
use http::request::Parts;
use web::{ApiError, ApiResult, RequestId};

use super::openapi::OfQuestions;
use super::room::Shows;
use crate::edge::asked_about::{HeaderFamily, asked_about};
use crate::gate::{Gate, RefusalForm};

/// The path of questions.
const PATH: &str = "/_line/v1/auth";

/// How proxies ask, and how they are answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Questions {
    /// The headers that name the request.
    pub family: HeaderFamily,
    /// How a refusal is told.
    pub form: RefusalForm,
}

/// Answers questions.
#[derive(Clone)]
pub struct Door {
    /// Decides.
    pub gate: Gate,
    /// How proxies ask.
    pub questions: Questions,
}

/// The connection's peer is a trusted proxy.
#[derive(Clone, Copy, Debug)]
pub struct FromProxy(pub bool);

/// A question of a trusted proxy; 403 if anyone else asks.
pub(super) struct Asked;

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        let is_trusted = parts.extensions.get::<FromProxy>();
        if is_trusted.is_some_and(|from| from.0) {
            return Ok(Self);
        }
        Err(Problem::new(ProblemCode::Forbidden)
            .detail("Only proxies that ROPELINE_TRUSTED_PROXIES names may ask.")
            .into())
    }
}

/// Ask whether a request may go through
///
/// For proxies that send requests to the shop by themselves. The headers that name the request are
/// configured by `ROPELINE_AUTH_HEADERS`; those described here are the default. The request's own
/// headers, such as `Cookie` and `Accept`, come along.
#[utoipa::path(
    get, path = "/_line/v1/auth", operation_id = "auth", tag = "gate",
    params(
        ("X-Forwarded-Method" = Option<String>, Header, description = "The request's method"),
        ("X-Forwarded-Proto" = Option<String>, Header, description = "`http` or `https`"),
        ("X-Forwarded-Host" = Option<String>, Header, description = "The host it names"),
        ("X-Forwarded-Uri" = Option<String>, Header, description = "Its path and query"),
        ("X-Original-Method" = Option<String>, Header, description = "Its method, with `X-Original-URL`"),
        ("X-Original-URL" = Option<String>, Header, description = "Its address, where that is configured")
    ),
    security((), ("passCookie" = []), ("passHeader" = [])),
    responses(
        (
            status = 200,
            description = "It may. Pass the `Ropeline-*` headers on to the shop, and `Set-Cookie` to the fan"
        ),
        (
            status = 401,
            description = "It may not. `Location` and `Ropeline-Join-Url` name the waiting page; `Ropeline-Reader` \
                says whether a `person` is to be sent there, or a `program` to be told",
            body = Problem, content_type = "application/problem+json"
        ),
        OfQuestions
    )
)]
pub(super) async fn ask(
    _: Asked,
    Extension(door): Extension<Door>,
    Shows(visitor): Shows,
    Extension(id): Extension<RequestId>,
    question: Request,
) -> ApiResult<Response> {
    let (head, _) = question.into_parts();
    let questions = door.questions;
    let head = asked_about(questions.family, head, None)?;
    Ok(door.gate.tell(head, (&visitor, &id), questions.form).await)
}

/// Ask whether a request may go through, with its path after a prefix
///
/// As Envoy's `ext_authz` asks over HTTP: with the request's own method and host. Answered where
/// `ROPELINE_AUTH_HEADERS` is `prefix`.
#[utoipa::path(
    method(get, head, post, put, patch, delete, options), path = "/_line/v1/auth/{*path}",
    operation_id = "authByPrefix", tag = "gate",
    params(("path" = String, Path, description = "The path of the request that is asked about")),
    security((), ("passCookie" = []), ("passHeader" = [])),
    responses(
        (status = 200, description = "It may"),
        (
            status = 401, description = "It may not",
            body = Problem, content_type = "application/problem+json"
        ),
        OfQuestions
    )
)]
pub(super) async fn ask_by_prefix(
    _: Asked,
    Extension(door): Extension<Door>,
    Shows(visitor): Shows,
    Extension(id): Extension<RequestId>,
    question: Request,
) -> ApiResult<Response> {
    let (head, _) = question.into_parts();
    let uri = head
        .uri
        .path_and_query()
        .map(|target| target.as_str().to_owned());
    let rest = uri.as_deref().and_then(|uri| uri.strip_prefix(PATH));
    let questions = door.questions;
    let head = asked_about(questions.family, head, rest)?;
    Ok(door.gate.tell(head, (&visitor, &id), questions.form).await)
}

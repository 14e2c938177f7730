//! The OpenAPI 3.1 document of the paths below `/_line/`: the parts that the handlers' descriptions
//! have in common.

use axum::Extension;
use axum::response::Response;
use contract::line::{HeartbeatFrame, NotCalled, ReconnectFrame};
use contract::{Problem, ProblemCode};
use http::HeaderMap;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use web::openapi::Served;

/// The document, as state of its handler.
#[derive(Clone)]
pub(super) struct Description(Served);

/// This document.
#[utoipa::path(
    get, path = "/_line/openapi.json", operation_id = "openapi", tag = "room",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json"))
)]
pub(super) async fn document(
    Extension(Description(document)): Extension<Description>,
    headers: HeaderMap,
) -> Response {
    document.answer(&headers)
}

/// The base document, to which the handlers' descriptions are added.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ropeline: the line",
        description = "Joining, waiting, claiming. Times are RFC 3339 UTC. Errors are RFC 9457 \
            problem documents with a stable `code`."
    ),
    components(schemas(HeartbeatFrame, NotCalled, Problem, ProblemCode, ReconnectFrame)),
    modifiers(&Tokens)
)]
pub(super) struct Api;

/// Completes `described`, whose paths are spelled as in the router.
pub(super) fn description(mut described: Document) -> Description {
    let paths = std::mem::take(&mut described.paths.paths);
    // OpenAPI has no syntax for a parameter that takes the rest of the path.
    let spelled = paths
        .into_iter()
        .map(|(path, item)| (path.replace("{*", "{"), item));
    described.paths.paths = spelled.collect();
    name_apart(&mut described);
    web::openapi::complete(&mut described);
    Description(web::openapi::served(&described))
}

/// Gives the operations of a path that is served with every method names of their own.
fn name_apart(described: &mut Document) {
    for item in described.paths.paths.values_mut() {
        for (operation, method) in [
            (&mut item.delete, "Delete"),
            (&mut item.head, "Head"),
            (&mut item.options, "Options"),
            (&mut item.patch, "Patch"),
            (&mut item.post, "Post"),
            (&mut item.put, "Put"),
        ] {
            let shared = item.get.as_ref().and_then(|get| get.operation_id.clone());
            if let Some(operation) = operation
                && operation.operation_id.is_some()
                && operation.operation_id == shared
            {
                operation.operation_id = shared.map(|name| format!("{name}{method}"));
            }
        }
    }
}

struct Tokens;

impl utoipa::Modify for Tokens {
    fn modify(&self, openapi: &mut Document) {
        let components = openapi.components.get_or_insert_default();
        let bearer = |description| {
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
            SecurityScheme::Http(scheme.description(Some(description)).build())
        };
        let cookie = |name, description| {
            let value = ApiKeyValue::with_description(name, description);
            SecurityScheme::ApiKey(ApiKey::Cookie(value))
        };
        let header = ApiKeyValue::with_description("Ropeline-Pass", "The pass in a header.");
        for (name, scheme) in [
            ("place", bearer("The place token from the join answer.")),
            (
                "placeCookie",
                cookie(
                    "ropeline_place_{room}",
                    "The same token as a cookie; `__Host-` goes before its name on HTTPS.",
                ),
            ),
            ("pass", bearer("The pass from the claim.")),
            (
                "passCookie",
                cookie(
                    "ropeline_pass_{room}",
                    "The same pass as a cookie; `__Host-` goes before its name on HTTPS.",
                ),
            ),
            ("passHeader", SecurityScheme::ApiKey(ApiKey::Header(header))),
        ] {
            components.add_security_scheme(name, scheme);
        }
    }
}

web::problems! {
    /// Refusals of calls that name a room.
    pub(super) OfRoom: RoomNotFound, RateLimited;
    /// Refusals of calls that need the store.
    pub(super) OfLine: LineUnavailable;
    /// Refusals of calls that read a body.
    pub(super) OfBody: BadRequest, RequestTimeout, PayloadTooLarge, UnsupportedMediaType, ValidationFailed;
    /// Refusals of pages that read a query.
    pub(super) OfQuery: ValidationFailed;
    /// Refusals of forms that read a body and a query.
    pub(super) OfForm: RequestTimeout, PayloadTooLarge, ValidationFailed;
    /// Refusals of calls that other sites' pages may not make.
    pub(super) OfOrigin: Forbidden;
    /// Refusals of calls that need a place.
    pub(super) OfPlace: PlaceRequired, PlaceInvalid, PlaceExpired;
    /// Refusals of calls that take an optional place.
    pub(super) OfPlaceIfAny: PlaceInvalid, PlaceExpired;
    /// Refusals of leaving and of ending a session.
    pub(super) OfGivingUp: PlaceInvalid, Forbidden;
    /// Refusals of questions of other proxies.
    pub(super) OfQuestions: AmbiguousPath, BadRequest, Forbidden, LineUnavailable, PassRequired, RateLimited,
        UpstreamFailed;
    /// Refusals of joining.
    pub(super) OfJoining: PlaceInvalid, ChallengeRequired, Forbidden, RoomClosed, PlaceExpired;
    /// Refusals of live connections.
    pub(super) OfLive: BadRequest, Forbidden, UpgradeRequired;
    /// Refusals of limited calls that name no room.
    pub(super) OfCalls: RateLimited;
    /// Refusals of static files.
    pub(super) OfFiles: NotFound;
}

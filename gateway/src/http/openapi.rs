//! The OpenAPI 3.1 document of the paths below `/_line/`. Each handler describes itself; here is
//! what they have in common.

use axum::Extension;
use axum::response::Response;
use contract::line::{HeartbeatFrame, NotCalled, ReconnectFrame};
use contract::{Problem, ProblemCode};
use http::HeaderMap;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use web::openapi::Served;

/// The document, for its handler.
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

/// What the handlers' descriptions are added to.
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

/// The document of `described`, whose paths are as the router spells them.
pub(super) fn description(mut described: Document) -> Description {
    let paths = std::mem::take(&mut described.paths.paths);
    // What OpenAPI has no word for: a parameter that takes the rest of the path.
    let spelled = paths
        .into_iter()
        .map(|(path, item)| (path.replace("{*", "{"), item));
    described.paths.paths = spelled.collect();
    web::openapi::complete(&mut described);
    Description(web::openapi::served(&described))
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
    /// Of every call that names a room.
    pub(super) OfRoom: RoomNotFound, RateLimited;
    /// Of calls that the live line has to answer.
    pub(super) OfLine: LineUnavailable;
    /// Of calls that read a body.
    pub(super) OfBody: BadRequest, RequestTimeout, PayloadTooLarge, UnsupportedMediaType, ValidationFailed;
    /// Of pages, which read a query.
    pub(super) OfQuery: ValidationFailed;
    /// Of forms, which read both.
    pub(super) OfForm: RequestTimeout, PayloadTooLarge, ValidationFailed;
    /// Of calls that other sites' pages may not make.
    pub(super) OfOrigin: Forbidden;
    /// Of calls that need a place.
    pub(super) OfPlace: PlaceRequired, PlaceInvalid, PlaceExpired;
    /// Of calls that take a place, and do without.
    pub(super) OfPlaceIfAny: PlaceInvalid, PlaceExpired;
    /// Of calls that give something up.
    pub(super) OfGivingUp: PlaceInvalid, Forbidden;
    /// Of joining.
    pub(super) OfJoining: PlaceInvalid, ChallengeRequired, Forbidden, RoomClosed, PlaceExpired;
    /// Of a live connection.
    pub(super) OfLive: BadRequest, Forbidden, UpgradeRequired;
    /// Of what is limited and names no room.
    pub(super) OfCalls: RateLimited;
    /// Of files.
    pub(super) OfFiles: NotFound;
}

//! The OpenAPI 3.1 document of the paths below `/_line/`. Each handler describes itself; here is
//! what they have in common.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use contract::line::{HeartbeatFrame, NotCalled, ReconnectFrame};
use contract::problem::PROBLEM_MEDIA_TYPE;
use contract::{Problem, ProblemCode};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Content, Header, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder,
};
use utoipa::{IntoResponses, OpenApi};
use web::ApiJson;

/// The document, for its handler.
#[derive(Clone)]
pub(super) struct Description(Arc<Document>);

/// This document.
#[utoipa::path(
    get, path = "/_line/openapi.json", operation_id = "openapi", tag = "room",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json"))
)]
pub(super) async fn document(Extension(description): Extension<Description>) -> ApiJson<Document> {
    ApiJson(Document::clone(&description.0))
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
    Description(Arc::new(described))
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

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident: $($code:ident),+;)+) => {
        $($(#[$doc])*
        pub(super) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                described(&[$(ProblemCode::$code),+])
            }
        })+
    };
}

problems! {
    /// Of every call that names a room.
    OfRoom: RoomNotFound, RateLimited;
    /// Of calls that the live line has to answer.
    OfLine: LineUnavailable;
    /// Of calls that read a body.
    OfBody: BadRequest, RequestTimeout, PayloadTooLarge, UnsupportedMediaType, ValidationFailed;
    /// Of pages, which read a query.
    OfQuery: ValidationFailed;
    /// Of forms, which read both.
    OfForm: RequestTimeout, PayloadTooLarge, ValidationFailed;
    /// Of calls that other sites' pages may not make.
    OfOrigin: Forbidden;
    /// Of calls that need a place.
    OfPlace: PlaceRequired, PlaceInvalid, PlaceExpired;
    /// Of calls that take a place, and do without.
    OfPlaceIfAny: PlaceInvalid, PlaceExpired;
    /// Of calls that give something up.
    OfGivingUp: PlaceInvalid, Forbidden;
    /// Of joining.
    OfJoining: PlaceInvalid, ChallengeRequired, Forbidden, RoomClosed, PlaceExpired;
    /// Of a live connection.
    OfLive: BadRequest, Forbidden, UpgradeRequired;
    /// Of what is limited and names no room.
    OfCalls: RateLimited;
    /// Of files.
    OfFiles: NotFound;
}

/// A response for each status among `codes`.
fn described(codes: &[ProblemCode]) -> BTreeMap<String, RefOr<Response>> {
    let mut statuses = BTreeMap::<u16, Vec<&str>>::new();
    for code in codes {
        let named = statuses.entry(code.status().as_u16()).or_default();
        named.push(code.as_str());
    }
    let describe = |(status, codes): (u16, Vec<&str>)| {
        let problem = Content::new(Some(Ref::from_schema_name("Problem")));
        let response = ResponseBuilder::new()
            .description(codes.join(", "))
            .content(PROBLEM_MEDIA_TYPE, problem);
        let response = if matches!(status, 429 | 503) {
            response.header("Retry-After", Header::default())
        } else {
            response
        };
        (status.to_string(), RefOr::T(response.build()))
    };
    statuses.into_iter().map(describe).collect()
}

//! The OpenAPI 3.1 document of the paths below `/_line/`.

use axum::response::IntoResponse;
use contract::line::{
    DrawDocument, JoinRequest, PassGrant, ReconnectFrame, RoomDocument, StatusDocument,
};
use contract::pass::JwkSet;
use contract::{Problem, RoomId};
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use web::ApiJson;

/// `GET /_line/openapi.json`
pub(super) async fn document() -> impl IntoResponse {
    ApiJson(Api::openapi())
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Ropeline: the line", description = "Joining, waiting, claiming. Times are RFC 3339 UTC."),
    paths(room, join, status, leave, live, claim, end, draw, jwks),
    components(schemas(ReconnectFrame)),
    modifiers(&Tokens)
)]
struct Api;

struct Tokens;

impl utoipa::Modify for Tokens {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The place token from the join answer."))
            .build();
        components.add_security_scheme("place", SecurityScheme::Http(bearer));
        let cookie = ApiKeyValue::with_description(
            "ropeline_place_{room}",
            "The same token as a cookie; `__Host-` goes before its name on HTTPS.",
        );
        components.add_security_scheme(
            "placeCookie",
            SecurityScheme::ApiKey(ApiKey::Cookie(cookie)),
        );
    }
}

macro_rules! operation {
    ($name:ident, $($attribute:tt)+) => {
        #[utoipa::path($($attribute)+)]
        #[expect(dead_code, reason = "describes an operation; the handler stands elsewhere")]
        fn $name() {}
    };
}

operation!(
    room,
    get,
    path = "/_line/v1/rooms/{room}",
    tag = "room",
    params(("room" = RoomId, Path, description = "The room")),
    responses(
        (
            status = 200,
            description = "The room, the same for everyone, cacheable for a second",
            body = RoomDocument
        ),
        (
            status = 304,
            description = "Not changed since the ETag in If-None-Match"
        ),
        (
            status = 404,
            description = "room-not-found",
            body = Problem,
            content_type = "application/problem+json"
        )
    )
);
operation!(join, post, path = "/_line/v1/rooms/{room}/places", tag = "place",
    params(("room" = RoomId, Path, description = "The room")),
    request_body(content = Option<JoinRequest>, content_type = "application/json"),
    responses(
        (status = 201, description = "A new place; `place` is the token to keep", body = StatusDocument),
        (status = 200, description = "The place the caller had, or `admitted` with a pass when nobody waits", body = StatusDocument),
        (status = 403, description = "challenge-required, forbidden", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "room-not-found", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "room-closed", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "validation-failed", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate-limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "line-unavailable", body = Problem, content_type = "application/problem+json")));
operation!(
    status,
    get,
    path = "/_line/v1/rooms/{room}/place",
    tag = "place",
    params(("room" = RoomId, Path, description = "The room")),
    security(("place" = []), ("placeCookie" = [])),
    responses(
        (
            status = 200,
            description = "How the visitor stands",
            body = StatusDocument
        ),
        (
            status = 401,
            description = "place-required, place-invalid",
            body = Problem,
            content_type = "application/problem+json"
        ),
        (
            status = 410,
            description = "place-expired",
            body = Problem,
            content_type = "application/problem+json"
        )
    )
);
operation!(
    leave,
    delete,
    path = "/_line/v1/rooms/{room}/place",
    tag = "place",
    params(("room" = RoomId, Path, description = "The room")),
    security(("place" = []), ("placeCookie" = [])),
    responses((status = 204, description = "Gone, also when already gone"))
);
operation!(
    live,
    get,
    path = "/_line/v1/rooms/{room}/place/live",
    tag = "place",
    params(("room" = RoomId, Path, description = "The room")),
    security(("place" = []), ("placeCookie" = [])),
    responses(
        (
            status = 101,
            description = "A WebSocket of StatusDocument and ReconnectFrame"
        ),
        (
            status = 200,
            description = "The same as server-sent events, when asked for",
            body = StatusDocument,
            content_type = "text/event-stream"
        )
    )
);
operation!(
    claim,
    post,
    path = "/_line/v1/rooms/{room}/pass",
    tag = "pass",
    params(("room" = RoomId, Path, description = "The room")),
    security(("place" = []), ("placeCookie" = [])),
    responses(
        (
            status = 200,
            description = "The pass; the same session however often it is claimed",
            body = PassGrant
        ),
        (
            status = 409,
            description = "not-called; `place` says how the visitor stands",
            body = Problem,
            content_type = "application/problem+json"
        )
    )
);
operation!(
    end,
    delete,
    path = "/_line/v1/rooms/{room}/pass",
    tag = "pass",
    params(("room" = RoomId, Path, description = "The room")),
    security(("place" = []), ("placeCookie" = [])),
    responses((
        status = 204,
        description = "The session is over and its slot free"
    ))
);
operation!(
    draw,
    get,
    path = "/_line/v1/rooms/{room}/draw",
    tag = "room",
    params(("room" = RoomId, Path, description = "The room")),
    responses((
        status = 200,
        description = "The draw, with the seed once the room has opened",
        body = DrawDocument
    ))
);
operation!(
    jwks,
    get,
    path = "/_line/v1/jwks.json",
    tag = "pass",
    responses((
        status = 200,
        description = "Keys that verify passes",
        body = JwkSet
    ))
);

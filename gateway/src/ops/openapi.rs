//! The OpenAPI 3.1 document of the operators' listener.

use axum::extract::State;
use axum::response::Response;
use axum::{Router, routing};
use contract::{Problem, ProblemCode};
use http::HeaderMap;
use serde_json::{Value, json};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, OpenApi};
use web::openapi::{Responses, Served, complete, header, operations, or_problem};

/// Where the document is served, without a token: it says nothing that the program does not.
const PATH: &str = "/admin/v1/openapi.json";
/// The one way to prove who one is.
const TOKEN: &str = "token";

/// What the handlers' descriptions are added to.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ropeline: operators",
        description = "Rooms, commands, records, shows, health. Times are RFC 3339 UTC. Errors \
            are RFC 9457 problem documents with a stable `code`. Every change is written to the \
            audit log."
    ),
    components(schemas(Problem, ProblemCode))
)]
struct Api;

web::problems! {
    /// Of every call that reads or writes the records.
    pub(super) OfRecords: DatabaseUnavailable;
    /// Of every call that names a room, which the records have.
    pub(super) OfRoom: RoomNotFound, DatabaseUnavailable;
    /// Of calls that not every operator may make.
    pub(super) OfChange: Forbidden;
}

/// The answer of calls that read or change one room.
pub(super) struct RoomAsItIs;

impl IntoResponses for RoomAsItIs {
    fn responses() -> Responses {
        let view = ContentBuilder::new().schema(Some(Ref::from_schema_name("RoomView")));
        let response = ResponseBuilder::new()
            .description("The room as it is now")
            .content("application/json", view.build());
        let mut response = RefOr::T(response.build());
        header(&mut response, "ETag", "The version, for `If-Match`");
        Responses::from([("200".to_owned(), response)])
    }
}

/// The whole document: what operators need a token for, and what is open.
pub(super) fn document(admin: Document, open: Document, extra: Document) -> Value {
    let mut document = Api::openapi();
    document.merge(admin);
    document.merge(extra);
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            let none: [&str; 0] = [];
            operation.security = Some(vec![SecurityRequirement::new(TOKEN, none)]);
            or_problem(operation, &[ProblemCode::Unauthorized]);
        }
    }
    document.merge(open);
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The admin token, by default in the data directory."));
    document
        .components
        .get_or_insert_default()
        .add_security_scheme(TOKEN, SecurityScheme::Http(bearer.build()));
    complete(&mut document);
    let mut document = json!(document);
    if let Some(schemas) = document.pointer_mut("/components/schemas") {
        show_file::limit_components(schemas);
    }
    document
}

/// Serves `document`.
pub(super) fn router(document: &Value) -> Router {
    let answer = async |State(document): State<Served>, headers: HeaderMap| -> Response {
        document.answer(&headers)
    };
    Router::new()
        .route(PATH, routing::get(answer))
        .with_state(web::openapi::served(document))
}

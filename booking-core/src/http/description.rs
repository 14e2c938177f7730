//! The served description of the public API: what the handlers declare themselves, and what holds
//! for many of them.

use contract::problem::PROBLEM_MEDIA_TYPE;
use contract::{Problem, ProblemCode, booking as wire};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ContentBuilder, PathItem, Ref, RefOr, Response, ResponseBuilder, Schema, Type,
};
use utoipa::{Modify, OpenApi};

const JSON: &str = "application/json";
const PROBLEM_SCHEMA: &str = "#/components/schemas/Problem";
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// Where the description begins.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ropeline booking API",
        description = "Browse shows, hold seats, pay, get tickets. Errors are RFC 9457 problem \
            documents with a stable `code`. Every POST of a customer takes `Idempotency-Key`; the \
            payment provider's webhook names its events itself."
    ),
    components(schemas(Problem, ProblemCode, wire::SeatChanges))
)]
pub(super) struct Api;

/// What no handler says, because it holds for many: answers of the extractors, headers, and who
/// may ask.
pub(super) struct InCommon;

impl Modify for InCommon {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        security_schemes(api);
        for (path, item) in &mut api.paths.paths {
            for operation in operations(item) {
                or_problem(operation, "500", "internal: our log has the request's id");
                body_refusals(operation);
                idempotency(operation);
                ownership(path, operation);
                specials(operation);
                for response in operation.responses.responses.values_mut() {
                    if let RefOr::T(response) = response {
                        problems_as_sent(response);
                    }
                }
                waits(operation);
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.delete]
        .into_iter()
        .filter_map(Option::as_mut)
}

fn is_named(operation: &Operation, name: &str) -> bool {
    operation.operation_id.as_deref() == Some(name)
}

/// Whoever reads a body may refuse it.
fn body_refusals(operation: &mut Operation) {
    if operation.request_body.is_none() {
        return;
    }
    or_problem(operation, "400", "bad-request: the body is not valid JSON");
    or_problem(
        operation,
        "408",
        "request-timeout: the body came too slowly",
    );
    or_problem(operation, "413", "payload-too-large");
    // A webhook is verified as bytes, whatever it says that it is.
    if !is_named(operation, "webhook") {
        or_problem(operation, "415", "unsupported-media-type: send JSON");
    }
}

fn idempotency(operation: &mut Operation) {
    let keyed = operation.parameters.iter().flatten().any(|parameter| {
        matches!(parameter, RefOr::T(Parameter { name, .. }) if name == IDEMPOTENCY_KEY)
    });
    if !keyed {
        return;
    }
    or_problem(operation, "409", "request-in-progress");
    or_problem(
        operation,
        "422",
        "validation-failed, idempotency-key-reused",
    );
    for (status, response) in &mut operation.responses.responses {
        // Refusals that are meant to be tried again are not kept.
        if matches!(status.as_str(), "200" | "201" | "402" | "404" | "410") {
            let replayed = "`true` when this is the stored answer of an earlier request";
            header(response, "Idempotent-Replayed", replayed);
        }
    }
}

/// Holds and what comes of them belong to someone and are read from the database.
fn ownership(path: &str, operation: &mut Operation) {
    if !path.contains("/holds") && !path.contains("/bookings") {
        return;
    }
    or_problem(operation, "503", "database-unavailable");
    let none: [&str; 0] = [];
    let mut who: Vec<SecurityRequirement> = ["session", "passCookie", "passHeader", "passBearer"]
        .map(|scheme| SecurityRequirement::new(scheme, none))
        .into();
    if is_named(operation, "hold_place") {
        // A show without a waiting room asks for nothing, and gives a session.
        who.insert(0, SecurityRequirement::default());
    }
    operation.security = Some(who);
}

fn specials(operation: &mut Operation) {
    if is_named(operation, "hold_place")
        && let Some(created) = operation.responses.responses.get_mut("201")
    {
        header(created, "Location", "The hold");
        header(
            created,
            "Set-Cookie",
            "A session, for a customer who had none",
        );
    }
    if is_named(operation, "confirm")
        && let Some(booked) = operation.responses.responses.get_mut("200")
    {
        let command = "`end-session`: the purchase is complete, for the gateway";
        header(booked, "Ropeline-Command", command);
    }
}

/// Answers that say when to come again.
fn waits(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if matches!(status.as_str(), "202" | "409" | "503") {
            header(
                response,
                "Retry-After",
                "Seconds to wait, where waiting helps",
            );
        }
    }
}

/// Adds a refusal that is not declared yet; one that is gets the words it lacks.
fn or_problem(operation: &mut Operation, status: &str, description: &str) {
    let declared = operation.responses.responses.get_mut(status);
    if let Some(RefOr::T(response)) = declared {
        let (code, _) = description.split_once(':').unwrap_or((description, ""));
        if response.description.is_empty() {
            description.clone_into(&mut response.description);
        } else if !response.description.contains(code) {
            response.description = format!("{}, {description}", response.description);
        }
        return;
    }
    let problem = ContentBuilder::new().schema(Some(Ref::new(PROBLEM_SCHEMA)));
    let response = ResponseBuilder::new()
        .description(description)
        .content(PROBLEM_MEDIA_TYPE, problem.build())
        .build();
    let responses = &mut operation.responses.responses;
    responses.insert(status.to_owned(), response.into());
}

fn header(response: &mut RefOr<Response>, name: &str, description: &str) {
    let RefOr::T(response) = response else { return };
    let text = utoipa::openapi::ObjectBuilder::new().schema_type(Type::String);
    let header = HeaderBuilder::new()
        .schema(Some(Schema::from(text)))
        .description(Some(description));
    response
        .headers
        .entry(name.to_owned())
        .or_insert_with(|| header.build().into());
}

/// Handlers declare `body = Problem`; problems are sent under their own media type.
fn problems_as_sent(response: &mut Response) {
    let is_problem = |content: &RefOr<utoipa::openapi::Content>| {
        matches!(content, RefOr::T(content) if matches!(
            &content.schema,
            Some(RefOr::Ref(schema)) if schema.ref_location == PROBLEM_SCHEMA
        ))
    };
    response.content = std::mem::take(&mut response.content)
        .into_iter()
        .map(|(media_type, content)| {
            if media_type == JSON && is_problem(&content) {
                (PROBLEM_MEDIA_TYPE.to_owned(), content)
            } else {
                (media_type, content)
            }
        })
        .collect();
}

fn security_schemes(api: &mut utoipa::openapi::OpenApi) {
    let cookie = |name: &str, what: &str| {
        let value = ApiKeyValue::with_description(name, what);
        SecurityScheme::ApiKey(ApiKey::Cookie(value))
    };
    let components = api.components.get_or_insert_default();
    components.add_security_scheme(
        "session",
        cookie(
            "ropeline_session",
            "Who holds and booked; `__Host-` goes before its name on HTTPS.",
        ),
    );
    components.add_security_scheme(
        "passCookie",
        cookie(
            "ropeline_pass_{room}",
            "A pass of the show's room; `__Host-` goes before its name on HTTPS.",
        ),
    );
    let header = ApiKeyValue::with_description("Ropeline-Pass", "A pass, for programs.");
    components.add_security_scheme("passHeader", SecurityScheme::ApiKey(ApiKey::Header(header)));
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A pass, for programs."));
    components.add_security_scheme("passBearer", SecurityScheme::Http(bearer.build()));
}

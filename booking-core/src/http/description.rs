//! The OpenAPI document of the public API: the handlers' declarations, and the parts that many
//! operations share.

use contract::{Problem, ProblemCode, booking as wire};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::{Modify, OpenApi};
use web::openapi::{header, operations, or_problem};

const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The start of the document.
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

/// Adds the parts that many operations share and no handler declares: refusals of extractors,
/// headers, and security.
pub(super) struct InCommon;

impl Modify for InCommon {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        security_schemes(api);
        for (path, item) in &mut api.paths.paths {
            for operation in operations(item) {
                if !path.ends_with("/webhook") {
                    or_problem(operation, &[ProblemCode::RateLimited]);
                }
                idempotency(operation);
                ownership(path, operation);
                scanning(path, operation);
                specials(operation);
            }
        }
        web::openapi::complete(api);
        let items = api.paths.paths.values_mut();
        for webhook in items
            .flat_map(operations)
            .filter(|one| is_named(one, "webhook"))
        {
            // The signature is verified over the bytes, so any media type is accepted.
            webhook.responses.responses.remove("415");
            webhook.responses.responses.remove("422");
        }
    }
}

fn is_named(operation: &Operation, name: &str) -> bool {
    operation.operation_id.as_deref() == Some(name)
}

fn idempotency(operation: &mut Operation) {
    let keyed = operation.parameters.iter().flatten().any(|parameter| {
        matches!(parameter, RefOr::T(Parameter { name, .. }) if name == IDEMPOTENCY_KEY)
    });
    if !keyed {
        return;
    }
    let refusals = [
        ProblemCode::RequestInProgress,
        ProblemCode::ValidationFailed,
        ProblemCode::IdempotencyKeyReused,
    ];
    or_problem(operation, &refusals);
    let is_cancel = is_named(operation, "cancel");
    for (status, response) in &mut operation.responses.responses {
        // Other statuses mean "try again", and are not stored under the key.
        let is_final = matches!(status.as_str(), "200" | "201" | "402" | "404" | "410");
        if is_final || (status == "202" && is_cancel) {
            let replayed = "`true` when this is the stored answer of an earlier request";
            header(response, "Idempotent-Replayed", replayed);
        }
    }
}

/// Adds owners and database errors to operations on holds, payments and bookings.
fn ownership(path: &str, operation: &mut Operation) {
    let is_owned = path.contains("/holds") || path.contains("/bookings");
    if !is_owned || path.ends_with("/find") {
        return;
    }
    or_problem(operation, &[ProblemCode::DatabaseUnavailable]);
    let none: [&str; 0] = [];
    let mut schemes = vec!["session", "passCookie", "passHeader", "passBearer"];
    if path.contains("/bookings/{bookingId}") {
        schemes.push("bookingLink");
    }
    let mut who: Vec<SecurityRequirement> = schemes
        .into_iter()
        .map(|scheme| SecurityRequirement::new(scheme, none))
        .collect();
    // A show without a room needs no pass, and the response sets a session; whoever is unknown has
    // no bookings.
    if is_named(operation, "hold_place") || is_named(operation, "my_bookings") {
        who.insert(0, SecurityRequirement::default());
    }
    operation.security = Some(who);
}

/// Adds the token of a scanner to the check-in API.
fn scanning(path: &str, operation: &mut Operation) {
    if path.starts_with(super::checkin::PREFIX) {
        let none: [&str; 0] = [];
        operation.security = Some(vec![SecurityRequirement::new("scanner", none)]);
    }
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
    let link = ApiKeyValue::with_description(
        "Booking-Link",
        "The token of the link to the booking, from its mail.",
    );
    components.add_security_scheme("bookingLink", SecurityScheme::ApiKey(ApiKey::Header(link)));
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A pass, for programs."));
    components.add_security_scheme("passBearer", SecurityScheme::Http(bearer.build()));
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The token of a scanner, which operators make."));
    components.add_security_scheme("scanner", SecurityScheme::Http(bearer.build()));
}

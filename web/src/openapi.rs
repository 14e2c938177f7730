//! The parts that the OpenAPI documents of all listeners share: responses that no single handler
//! declares, because extractors and layers give them, and descriptions that handlers left empty.

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::ProblemCode;
use contract::problem::PROBLEM_MEDIA_TYPE;
use serde::Serialize;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{
    ContentBuilder, Object, OpenApi, PathItem, Ref, RefOr, Required, Response, ResponseBuilder,
    Schema, Type,
};

use crate::encoding::{Document, Effort};

const JSON: &str = "application/json";
const PROBLEM_SCHEMA: &str = "#/components/schemas/Problem";

/// Declares types for refusals that several handlers share, for the `responses` of their
/// descriptions: `visibility Name: Code, Code;`. The types that one handler uses must not have a
/// status in common. The document must contain the schema `Problem`.
#[macro_export]
macro_rules! problems {
    ($($(#[$doc:meta])* $visibility:vis $name:ident: $($code:ident),+;)+) => {
        $($(#[$doc])*
        $visibility struct $name;

        impl ::utoipa::IntoResponses for $name {
            fn responses() -> $crate::openapi::Responses {
                $crate::openapi::responses(&[$(::contract::ProblemCode::$code),+])
            }
        })+
    };
}

/// A document, ready to be served.
pub type Served = Arc<Document>;

/// Responses by status.
pub type Responses = BTreeMap<String, RefOr<Response>>;

/// A response for each status among `codes`.
pub fn responses(codes: &[ProblemCode]) -> Responses {
    let mut statuses = BTreeMap::<u16, Vec<&str>>::new();
    for code in codes {
        let named = statuses.entry(code.status().as_u16()).or_default();
        named.push(code.as_str());
    }
    let describe = |(status, codes): (u16, Vec<&str>)| {
        let problem = ContentBuilder::new().schema(Some(Ref::new(PROBLEM_SCHEMA)));
        let response = ResponseBuilder::new()
            .description(codes.join(", "))
            .content(PROBLEM_MEDIA_TYPE, problem.build());
        (status.to_string(), RefOr::T(response.build()))
    };
    statuses.into_iter().map(describe).collect()
}

/// Merges schemas that extend another (`#[serde(flatten)]`) into one object each. As an `allOf`
/// they could never match, because the extended schema refuses unknown members.
fn flatten(api: &mut OpenApi) {
    let Some(components) = &mut api.components else {
        return;
    };
    let known = components.schemas.clone();
    for schema in components.schemas.values_mut() {
        let RefOr::T(Schema::AllOf(all_of)) = schema else {
            continue;
        };
        let mut whole = Object::with_type(Type::Object);
        whole.description.clone_from(&all_of.description);
        for item in &all_of.items {
            let part = match item {
                RefOr::Ref(named) => named
                    .ref_location
                    .rsplit('/')
                    .next()
                    .and_then(|name| known.get(name)),
                part @ RefOr::T(_) => Some(part),
            };
            if let Some(RefOr::T(Schema::Object(part))) = part {
                whole.properties.extend(part.properties.clone());
                whole.required.extend(part.required.iter().cloned());
            }
        }
        *schema = RefOr::T(Schema::Object(whole));
    }
}

/// The document, ready to be served: compressed once, and with an entity tag.
pub fn served(api: &impl Serialize) -> Served {
    // Serialisation cannot fail: the maps have text keys.
    let json = serde_json::to_vec(api).unwrap_or_default();
    Arc::new(Document::of(json, JSON, Effort::Best))
}

/// The operations of one path.
pub fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.post,
        &mut item.put,
        &mut item.delete,
    ]
    .into_iter()
    .filter_map(Option::as_mut)
}

/// Adds to every operation of `api` what all have in common: refusals of path parameters and
/// bodies, internal errors, the media type of problems, `Retry-After`, and missing descriptions.
pub fn complete(api: &mut OpenApi) {
    flatten(api);
    for item in api.paths.paths.values_mut() {
        for operation in operations(item) {
            optional_body(operation);
            path_refusals(operation);
            body_refusals(operation);
            or_problem(operation, &[ProblemCode::Internal]);
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else {
                    continue;
                };
                problems_as_sent(response);
                if response.description.is_empty() {
                    let success = operation.summary.as_deref().unwrap_or("Done");
                    response.description = match status.as_str() {
                        "404" => ProblemCode::NotFound.as_str().to_owned(),
                        "422" => ProblemCode::ValidationFailed.as_str().to_owned(),
                        _ => success.to_owned(),
                    };
                }
            }
            waits(operation);
        }
    }
}

/// Adds refusals with `codes` to an operation: a new response for a status that is not declared,
/// otherwise the code's name in the description of the declared response.
pub fn or_problem(operation: &mut Operation, codes: &[ProblemCode]) {
    for code in codes {
        let status = code.status().as_str().to_owned();
        let declared = operation.responses.responses.get_mut(&status);
        match declared {
            Some(RefOr::T(response)) if response.description.is_empty() => {
                code.as_str().clone_into(&mut response.description);
            }
            Some(RefOr::T(response)) if !response.description.contains(code.as_str()) => {
                response.description = format!("{}, {}", response.description, code.as_str());
            }
            Some(_) => {}
            None => {
                let problem = ContentBuilder::new().schema(Some(Ref::new(PROBLEM_SCHEMA)));
                let response = ResponseBuilder::new()
                    .description(code.as_str())
                    .content(PROBLEM_MEDIA_TYPE, problem.build());
                let responses = &mut operation.responses.responses;
                responses.insert(status, response.build().into());
            }
        }
    }
}

/// Adds a text header to a response.
pub fn header(response: &mut RefOr<Response>, name: &str, description: &str) {
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

/// Makes an optional body omittable; `utoipa` declares it as nullable instead.
fn optional_body(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else {
        return;
    };
    for content in body.content.values_mut() {
        let RefOr::T(content) = content else { continue };
        let Some(RefOr::T(Schema::OneOf(one_of))) = &content.schema else {
            continue;
        };
        let mut named = one_of
            .items
            .iter()
            .filter(|item| matches!(item, RefOr::Ref(_)));
        if let (Some(only), None) = (named.next(), named.next()) {
            content.schema = Some(only.clone());
            body.required = Some(Required::False);
        }
    }
}

/// Refusals of paths: an ambiguous path is refused before routing, and a parameter that cannot be
/// parsed is a 404.
fn path_refusals(operation: &mut Operation) {
    let mut parameters = operation.parameters.iter().flatten();
    let has_path = parameters.any(|parameter| {
        matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Path)
    });
    if has_path {
        or_problem(operation, &[ProblemCode::AmbiguousPath]);
        if !operation.responses.responses.contains_key("404") {
            or_problem(operation, &[ProblemCode::NotFound]);
        }
    }
}

fn body_refusals(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &operation.request_body else {
        return;
    };
    let is_json = body.content.contains_key(JSON);
    let unreadable = [
        ProblemCode::BadRequest,
        ProblemCode::RequestTimeout,
        ProblemCode::PayloadTooLarge,
    ];
    or_problem(operation, &unreadable);
    if is_json {
        let unfit = [
            ProblemCode::UnsupportedMediaType,
            ProblemCode::ValidationFailed,
        ];
        or_problem(operation, &unfit);
    }
}

/// Adds `Retry-After` to the statuses that carry it.
fn waits(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if matches!(status.as_str(), "202" | "409" | "429" | "503") {
            let seconds = "Seconds to wait, where waiting helps";
            header(response, "Retry-After", seconds);
        }
    }
}

/// Sets the media type of problems; handlers declare them only as `body = Problem`.
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

//! What the OpenAPI documents of all listeners have in common: answers that no single handler
//! declares because the extractors and the edge give them, and words for what a handler left
//! without.

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

/// Declares types that name refusals which several handlers have in common, for the `responses` of
/// their descriptions: `visibility Name: Code, Code;`. A handler may use several that have no status
/// in common. The document has to have the schema `Problem`.
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

/// A document that is served.
pub type Served = Arc<Document>;

/// Answers by status.
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

/// Writes schemas that extend another, as `#[serde(flatten)]` does, as one object each: the one
/// that is extended refuses unknown members, so that "all of" could never hold.
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

/// The document as it is served: asked for again, it is at hand compressed or known already.
pub fn served(api: &impl Serialize) -> Served {
    // Maps with text keys, which all serialise.
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

/// Adds to every operation of `api` what holds for all: refusals of path parameters and bodies,
/// faults of ours, the media type of problems, `Retry-After`, and a description of each answer.
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

/// Adds refusals with `codes` to an operation: an answer of its own for each status that is not
/// declared yet, and the code's name where it is and does not say so.
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

/// Adds a header with text in it to an answer.
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

/// An optional body may be left out; it may not be `null`, which is how `utoipa` writes it.
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

/// A path that can be read in two ways is refused before its route is known; a parameter that is
/// not of its type names nothing.
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

/// Answers that say when to come again.
fn waits(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if matches!(status.as_str(), "202" | "409" | "429" | "503") {
            let seconds = "Seconds to wait, where waiting helps";
            header(response, "Retry-After", seconds);
        }
    }
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

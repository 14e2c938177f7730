//! Holds every answer that a test sees against the served description.

use std::sync::OnceLock;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

const PREFIXES: [&str; 2] = ["/api/v1/", "/checkin/v1/"];
const DOCUMENT: &str = "/api/v1/openapi.json";
/// Headers that are part of the API; others belong to HTTP.
const HEADERS: [&str; 7] = [
    "content-disposition",
    "etag",
    "idempotent-replayed",
    "location",
    "retry-after",
    "ropeline-command",
    "set-cookie",
];

static DESCRIPTION: OnceLock<Value> = OnceLock::new();

/// Fails if the description does not have this answer.
pub(crate) async fn check(
    router: &Router,
    method: &Method,
    path: &str,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
) {
    let path = path.split('?').next().unwrap_or(path);
    if !PREFIXES.iter().any(|prefix| path.starts_with(prefix)) || path == DOCUMENT {
        return;
    }
    let document = document(router).await;
    let Some((template, item)) = operations(&document, path) else {
        assert_eq!(status, 404, "{path} is not described");
        return;
    };
    let operation = &item[method.as_str().to_lowercase()];
    if operation.is_null() {
        assert_eq!(status, 405, "{method} {template} is not described");
        return;
    }
    let what = format!("{method} {template}: {status}");
    let answer = &operation["responses"][status.to_string()];
    assert!(answer.is_object(), "{what} is not described");
    check_headers(&what, answer, headers);
    let described = answer["content"].as_object();
    if body.is_empty() {
        assert!(described.is_none(), "{what} has no body");
        return;
    }
    let sent = headers["content-type"].to_str().unwrap();
    let sent = sent.split(';').next().unwrap();
    let described: Vec<&String> = described.into_iter().flat_map(|all| all.keys()).collect();
    assert!(
        described.iter().any(|media_type| *media_type == sent),
        "{what} {sent}: {described:?}"
    );
}

fn check_headers(what: &str, answer: &Value, headers: &HeaderMap) {
    let described: Vec<String> = answer["headers"]
        .as_object()
        .into_iter()
        .flat_map(|all| all.keys().map(|name| name.to_lowercase()))
        .collect();
    for name in HEADERS {
        let sent = headers.contains_key(name);
        assert!(
            !sent || described.iter().any(|known| known == name),
            "{what} has {name}"
        );
    }
}

/// The served description.
pub(crate) async fn document(router: &Router) -> Value {
    if let Some(document) = DESCRIPTION.get() {
        return document.clone();
    }
    let request = Request::get(DOCUMENT).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let document: Value = serde_json::from_slice(&body).unwrap();
    DESCRIPTION.get_or_init(|| document).clone()
}

/// The template that `path` fits and what it offers.
fn operations<'a>(document: &'a Value, path: &str) -> Option<(&'a String, &'a Value)> {
    let fits = |template: &str| {
        let (mut expected, mut given) = (template.split('/'), path.split('/'));
        loop {
            match (expected.next(), given.next()) {
                (None, None) => return true,
                (Some(expected), Some(given)) if expected.starts_with('{') || expected == given => {
                }
                _ => return false,
            }
        }
    };
    let paths = document["paths"].as_object().unwrap();
    paths.iter().find(|(template, _)| fits(template))
}

//! The served description of the line against the line.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::test_app::{TestApp, World};

/// What outside programs are promised, and the page's own.
/// Only trusted proxies may ask there.
const AUTH: &str = "/_line/v1/auth";

const PROMISED: [(&str, &[&str]); 21] = [
    (AUTH, &["get"]),
    (
        "/_line/v1/auth/{path}",
        &["delete", "get", "head", "options", "patch", "post", "put"],
    ),
    ("/_line/queueit/", &["get"]),
    ("/_line/queueit/error/{reason}/", &["get"]),
    ("/_line/v1/proof-jwks.json", &["get"]),
    ("/_line/v1/rooms/{room}/status", &["get"]),
    ("/_line/openapi.json", &["get"]),
    ("/_line/rooms/{room}", &["get"]),
    ("/_line/rooms/{room}/enter", &["get"]),
    ("/_line/rooms/{room}/join", &["post"]),
    ("/_line/rooms/{room}/leave", &["post"]),
    ("/_line/static/{version}/{path}", &["get"]),
    ("/_line/v1/jwks.json", &["get"]),
    ("/_line/v1/push-key", &["get"]),
    ("/_line/v1/rooms/{room}/place/notice", &["put"]),
    ("/_line/v1/rooms/{room}", &["get"]),
    ("/_line/v1/rooms/{room}/draw", &["get"]),
    ("/_line/v1/rooms/{room}/pass", &["delete", "post"]),
    ("/_line/v1/rooms/{room}/place", &["delete", "get"]),
    ("/_line/v1/rooms/{room}/place/live", &["get"]),
    ("/_line/v1/rooms/{room}/places", &["post"]),
];

async fn described() -> (World, TestApp, Value) {
    let world = World::create().await;
    world.room(json!({"totalActiveUsers": 0})).await;
    let app = world.gateway().await;
    let api = app.get("/_line/openapi.json", &[]).await.json();
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1"));
    (world, app, api)
}

fn operations(api: &Value) -> impl Iterator<Item = (&String, &String, &Value)> {
    let paths = api["paths"].as_object().unwrap();
    paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap();
        methods
            .iter()
            .map(move |(method, operation)| (path, method, operation))
    })
}

#[tokio::test]
async fn every_described_path_has_the_methods_described_and_no_other() {
    let (_world, app, api) = described().await;
    for (path, item) in api["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().keys();
        let mut expected: BTreeSet<_> = methods.map(|method| method.to_uppercase()).collect();
        if expected.contains("GET") {
            expected.insert("HEAD".to_owned());
        }
        let real = path
            .replace("{room}", "eras")
            .replace("{version}", "1")
            .replace("{path}", "css/x.css")
            .replace("{reason}", "hash");
        if path.starts_with(AUTH) {
            continue;
        }
        let refused = app.send(Method::PATCH, &real, &[], "").await;
        refused.assert_problem(405, "method-not-allowed");
        let allowed: BTreeSet<_> = refused
            .header("allow")
            .split(',')
            .map(|method| method.trim().to_owned())
            .collect();
        assert_eq!(allowed, expected, "{path}");
    }
}

#[tokio::test]
async fn everything_promised_is_described() {
    let (_world, _app, api) = described().await;
    let found: Vec<_> = operations(&api)
        .map(|(path, method, _)| (path.as_str(), method.as_str()))
        .collect();
    let promised = PROMISED
        .iter()
        .flat_map(|(path, methods)| methods.iter().map(move |method| (*path, *method)));
    assert_eq!(
        found.into_iter().collect::<BTreeSet<_>>(),
        promised.collect::<BTreeSet<_>>()
    );
}

#[tokio::test]
async fn problems_and_tokens_are_described_where_they_occur() {
    let (_world, _app, api) = described().await;
    let schemes = api["components"]["securitySchemes"].as_object().unwrap();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&api) {
        let at = format!("{method} {path}");
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{at}: {id} is there twice");
        assert!(operation["summary"].is_string(), "{at}");
        let responses = operation["responses"].as_object().unwrap();
        for (status, response) in responses
            .iter()
            .filter(|(status, _)| *status >= &"400".to_owned())
        {
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            let expected = if path.ends_with("/pass") && status == "409" {
                "#/components/schemas/NotCalled"
            } else {
                "#/components/schemas/Problem"
            };
            assert_eq!(schema, expected, "{at} {status}");
        }
        let mut needed = Vec::new();
        if path.contains("{room}") {
            needed.extend(["404", "429"]);
        }
        if method != "get" {
            needed.extend(["403", "503"]);
        }
        if path.ends_with("/places") || at == "post /_line/v1/rooms/{room}/pass" {
            needed.extend(["400", "401", "408", "410", "413", "415", "422"]);
        }
        if path.contains("/place/") || at == "get /_line/v1/rooms/{room}/place" {
            needed.extend(["401", "410"]);
        }
        for status in needed {
            assert!(responses.contains_key(status), "{at}: no {status}");
        }
        let security = operation["security"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        for name in security
            .iter()
            .flat_map(|one| one.as_object().unwrap().keys())
        {
            assert!(schemes.contains_key(name), "{at}: {name}");
        }
        assert_eq!(security.is_empty(), !takes_a_token(path), "{at}");
    }
}

fn takes_a_token(path: &str) -> bool {
    path.starts_with(AUTH) || path.contains("{room}") && path != "/_line/v1/rooms/{room}"
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let (_world, _app, api) = described().await;
    let mut open = vec![&api];
    let mut found = 0;
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(api.pointer(pointer).is_some(), "{reference}");
                    found += 1;
                }
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    assert!(found > 20, "{found}");
}

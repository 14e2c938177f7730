//! What of the protected paths needs no pass.

use http::{Method, StatusCode};
use serde_json::json;

use crate::serving::Server;
use crate::test_app::{TestApp, World};

/// A room before a shop, all of which is protected but what is exempt.
async fn shop() -> (World, Server, TestApp) {
    let world = World::create().await;
    let shop = Server::start(world.upstream()).await;
    let changes = json!({
        "hosts": ["*"], "upstream": shop.url(""), "paths": ["/"],
        "exempt": ["/assets", "POST /hook", "DELETE"],
        "corsOrigins": ["https://www.example.com"],
    });
    world.room(changes).await;
    let app = world.gateway().await;
    (world, shop, app)
}

#[tokio::test]
async fn what_is_exempt_needs_no_pass_and_nothing_else_does_without() {
    let (world, _shop, app) = shop().await;
    for (method, path, passes) in [
        (Method::GET, "/assets/a.css", true),
        (Method::POST, "/assets", true),
        (Method::POST, "/hook/stripe", true),
        (Method::DELETE, "/basket", true),
        (Method::GET, "/hook/stripe", false),
        (Method::GET, "/assetsx", false),
        (Method::GET, "/ASSETS/a.css", false),
        (Method::GET, "/assets;v=1/a.css", false),
        (Method::POST, "/", false),
    ] {
        let before = world.seen.lock().unwrap().len();
        let answer = app.send(method.clone(), path, &[], "").await;
        let reached = world.seen.lock().unwrap().len() > before;
        assert_eq!(reached, passes, "{method} {path}");
        if !passes {
            answer.assert_problem(403, "pass-required");
        }
    }
}

#[tokio::test]
async fn a_request_that_names_another_method_is_not_exempt_by_its_own() {
    let (world, _shop, app) = shop().await;
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ] {
        let overridden = (name, "PUT");
        for (method, path) in [(Method::DELETE, "/basket"), (Method::POST, "/hook/stripe")] {
            let refused = app.send(method, path, &[overridden], "").await;
            refused.assert_problem(403, "pass-required");
        }
        // What is exempt whatever the method stays so.
        let free = app
            .send(Method::POST, "/assets/a.css", &[overridden], "")
            .await;
        assert_eq!(free.status, StatusCode::OK, "{name}");
    }
    for query in ["_method=PUT", "a=1&%5fmethod=put", "_method[]=PUT"] {
        let path = format!("/hook/stripe?{query}");
        let refused = app.send(Method::POST, &path, &[], "").await;
        refused.assert_problem(403, "pass-required");
    }
    assert_eq!(world.seen.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_shops_own_webhook_is_the_shops_where_the_host_is() {
    let (world, _shop, app) = shop().await;
    let hook = "/api/v1/payments/stripe/webhook";
    let refused = app.send(Method::POST, hook, &[], "").await;
    refused.assert_problem(403, "pass-required");
    assert!(world.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_preflight_reaches_the_shop_and_only_a_preflight() {
    let (world, _shop, app) = shop().await;
    let preflight = [
        ("origin", "https://www.example.com"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ];
    let asked = app.send(Method::OPTIONS, "/checkout", &preflight, "").await;
    assert_eq!(asked.status, StatusCode::OK, "{}", asked.text());
    assert_eq!(world.seen.lock().unwrap().len(), 1);
    let refused = app
        .send(Method::OPTIONS, "/checkout", &preflight[..1], "")
        .await;
    refused.assert_problem(403, "pass-required");
    let overridden = [&preflight[..], &[("x-http-method-override", "POST")]].concat();
    let refused = app
        .send(Method::OPTIONS, "/checkout", &overridden, "")
        .await;
    refused.assert_problem(403, "pass-required");
    let refused = app
        .send(Method::OPTIONS, "/checkout", &preflight, "x=1")
        .await;
    refused.assert_problem(403, "pass-required");
    let refused = app.send(Method::POST, "/checkout", &preflight, "").await;
    refused.assert_problem(403, "pass-required");
    assert_eq!(world.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn pages_of_named_sites_read_where_to_wait_and_everyone_reads_the_room() {
    let (_world, _shop, app) = shop().await;
    let allowed =
        |answer: &crate::test_app::Answer| answer.header("access-control-allow-origin").to_owned();
    let own = ("origin", "https://www.example.com");
    let refused = app.send(Method::POST, "/checkout", &[own], "").await;
    refused.assert_problem(403, "pass-required");
    assert_eq!(allowed(&refused), "https://www.example.com");
    assert_eq!(refused.header("access-control-allow-credentials"), "true");
    for other in [
        "https://evil.example",
        "https://www.example.com.evil.test",
        "null",
    ] {
        let refused = app
            .send(Method::POST, "/checkout", &[("origin", other)], "")
            .await;
        assert_eq!(allowed(&refused), "", "{other}");
        assert_eq!(refused.header("vary"), "Origin");
    }
    let room = app.get("/_line/v1/rooms/eras", &[own]).await;
    assert_eq!(
        (allowed(&room).as_str(), room.status),
        ("*", StatusCode::OK)
    );
    let cookie = ("cookie", "ropeline_place_eras=v1.x");
    let place = app.get("/_line/v1/rooms/eras/place", &[own, cookie]).await;
    assert_eq!(allowed(&place), "", "it is one fan's");
}

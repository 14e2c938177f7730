//! Rooms that answer for hosts.

use http::{Method, StatusCode};
use serde_json::json;

use crate::proxy::raw;
use crate::serving::Server;
use crate::test_app::{TestApp, World};

const HTML: (&str, &str) = ("accept", "text/html");

/// A shop on `shop.example`, another on `other.example`, and a gateway before both.
async fn two_shops() -> (World, World, Vec<Server>, TestApp) {
    let (world, beside) = (World::create().await, World::create().await);
    let shop = Server::start(world.upstream()).await;
    let other = Server::start(beside.upstream()).await;
    let room = |host: &str, upstream: &Server, path: &str| json!({"hosts": [host], "upstream": upstream.url(""), "paths": [path]});
    world
        .room_named("shop", room("shop.example", &shop, "/checkout"))
        .await;
    world
        .room_named("other", room("other.example", &other, "/tickets"))
        .await;
    let app = world.gateway().await;
    (world, beside, vec![shop, other], app)
}

#[tokio::test]
async fn every_path_of_a_host_goes_to_its_shop_and_the_protected_ones_need_a_pass() {
    let (world, beside, _shops, app) = two_shops().await;
    for host in ["shop.example", "SHOP.Example:8443", "shop.example."] {
        let host = ("host", host);
        let free = app.get("/about", &[host]).await;
        assert_eq!(
            (free.status, free.text().as_str()),
            (StatusCode::OK, "/about")
        );
        let held = app.get("/checkout/pay", &[host, HTML]).await;
        assert_eq!(held.status, StatusCode::FOUND);
        assert!(held.header("location").starts_with("/_line/rooms/shop?"));
        let refused = app.send(Method::POST, "/checkout", &[host], "").await;
        refused.assert_problem(403, "pass-required");
        // What another room protects elsewhere is a page like any other here.
        assert_eq!(app.get("/tickets", &[host]).await.text(), "/tickets");
    }
    assert_eq!(world.seen.lock().unwrap().len(), 6);
    assert!(beside.seen.lock().unwrap().is_empty());
    let other = ("host", "other.example");
    assert_eq!(app.get("/checkout", &[other]).await.text(), "/checkout");
    assert_eq!(beside.seen.lock().unwrap().len(), 1);
    let refused = app.get("/tickets", &[other]).await;
    refused.assert_problem(403, "pass-required");
}

#[tokio::test]
async fn a_host_that_nobody_names_reaches_no_shop() {
    let (world, beside, _shops, app) = two_shops().await;
    for host in [
        "evil.example",
        "shop.example.evil.test",
        "127.0.0.1",
        "[::1]:80",
    ] {
        for path in ["/checkout", "/tickets", "/about"] {
            // The booking core's stand-in answers with the path as well.
            app.get(path, &[("host", host)]).await;
        }
    }
    let shops = [&world, &beside].map(|world| world.seen.lock().unwrap().len());
    // The stand-in of the first world is the booking core too.
    assert_eq!(shops, [12, 0]);
    for seen in world.seen.lock().unwrap().iter() {
        let host = seen.headers["host"].to_str().unwrap();
        assert!(
            !host.starts_with("127.0.0.1:"),
            "it came over the proxy: {host}"
        );
    }
}

#[tokio::test]
async fn an_absolute_target_names_the_host_that_counts() {
    let (_world, beside, _shops, app) = two_shops().await;
    let head = "GET http://other.example/free HTTP/1.1\r\nHost: shop.example\r\n\
                Connection: close\r\n\r\n";
    let answer = raw(app.addr(), head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(beside.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn the_lines_own_paths_stay_ours_on_every_host() {
    let (world, _beside, _shops, app) = two_shops().await;
    for host in ["shop.example", "other.example", "nobody.example"] {
        let room = app.get("/_line/v1/rooms/shop", &[("host", host)]).await;
        assert_eq!(room.json()["room"], "shop", "{host}");
        let unknown = app.get("/_line/nothing", &[("host", host)]).await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND, "{host}");
    }
    assert!(world.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_pass_is_told_to_the_shop_on_its_other_paths_and_nowhere_else() {
    let (world, beside, _shops, app) = two_shops().await;
    let fan = app.join_room("shop", 1).await;
    let pass = fan.claimed(&app).await;
    let shown = ("ropeline-pass", pass.as_str());
    let inside = app
        .get("/checkout", &[("host", "shop.example"), shown])
        .await;
    assert_eq!(inside.status, StatusCode::OK, "{}", inside.text());
    app.get("/about", &[("host", "shop.example"), shown]).await;
    assert_eq!(world.last_seen().headers["ropeline-room"], "shop");
    app.get("/about", &[("host", "shop.example")]).await;
    assert!(!world.last_seen().headers.contains_key("ropeline-room"));
    app.get("/about", &[("host", "other.example"), shown]).await;
    assert!(!beside.last_seen().headers.contains_key("ropeline-room"));
    // A free page of the shop ends the session too, and then nobody is named.
    app.get("/done", &[("host", "shop.example"), shown]).await;
    app.get("/about", &[("host", "shop.example"), shown]).await;
    assert!(!world.last_seen().headers.contains_key("ropeline-room"));
    let over = app
        .get("/checkout", &[("host", "shop.example"), shown])
        .await;
    over.assert_problem(403, "pass-required");
}

#[tokio::test]
async fn no_host_leads_past_a_room_of_the_booking_core() {
    let world = World::create().await;
    let changes = json!({"hosts": ["tickets.example"]});
    world.room(changes).await;
    let app = world.gateway().await;
    for host in ["tickets.example", "nobody.example", "127.0.0.1"] {
        let refused = app.get("/eras/seats", &[("host", host)]).await;
        refused.assert_problem(403, "pass-required");
        assert_eq!(app.get("/free", &[("host", host)]).await.text(), "/free");
    }
}

#[tokio::test]
async fn a_room_of_the_core_with_a_shorter_prefix_leads_past_no_other() {
    let world = World::create().await;
    let deep = json!({"hosts": ["tickets.example"], "paths": ["/shows/eras"]});
    world.room_named("eras", deep).await;
    let wide = json!({"hosts": ["other.example"], "paths": ["/shows"]});
    world.room_named("wide", wide).await;
    let app = world.gateway().await;
    let pass_of_wide = app.join_room("wide", 1).await.claimed(&app).await;
    let shown = ("ropeline-pass", pass_of_wide.as_str());
    for host in ["other.example", "tickets.example", "nobody.example"] {
        let host = ("host", host);
        let refused = app.get("/shows/eras/seats", &[host, shown]).await;
        let told = refused.assert_problem(403, "pass-required");
        assert_eq!(told["room"], "eras", "{host:?}");
        assert_eq!(app.get("/shows/x", &[host, shown]).await.text(), "/shows/x");
    }
}

#[tokio::test]
async fn what_one_room_protects_at_a_shop_no_other_host_of_the_shop_leads_past() {
    let world = World::create().await;
    let shop = Server::start(world.upstream()).await;
    let room = |host: &str, path: &str, base: &str| json!({"hosts": [host], "upstream": shop.url(base), "paths": [path]});
    world.room_named("a", room("a.example", "/pay", "")).await;
    let below = json!({"exempt": ["/checkout/assets"]});
    let mut settings = room("b.example", "/checkout", "/base");
    settings["exempt"] = below["exempt"].clone();
    world.room_named("b", settings).await;
    let app = world.gateway().await;
    let pass_of_b = app.join_room("b", 1).await.claimed(&app).await;
    let shown = ("ropeline-pass", pass_of_b.as_str());
    let (a, b) = (("host", "a.example"), ("host", "b.example"));
    // The shop cannot tell the hosts apart, and there it is one path.
    for path in ["/base/checkout", "/base/checkout/x", "/base//checkout"] {
        let refused = app.get(path, &[a]).await;
        let told = if refused.status == StatusCode::FORBIDDEN {
            refused.assert_problem(403, "pass-required")["room"].clone()
        } else {
            // Some reading of the path is free and another is not.
            refused.assert_problem(400, "ambiguous-path");
            json!("b")
        };
        assert_eq!(told, "b", "{path}");
    }
    // What the other room exempts is written for its own paths.
    let refused = app.get("/checkout/assets", &[b]).await;
    assert_eq!(refused.text(), "/base/checkout/assets");
    let refused = app.get("/base/checkout/assets", &[a]).await;
    refused.assert_problem(403, "pass-required");
    // With that room's pass it goes where the host says.
    let inside = app.get("/base/checkout", &[a, shown]).await;
    assert_eq!(inside.text(), "/base/checkout");
    assert_eq!(world.last_seen().headers["ropeline-room"], "b");
    let inside = app.get("/checkout", &[b, shown]).await;
    assert_eq!(inside.text(), "/base/checkout");
    assert_eq!(app.get("/free", &[a]).await.text(), "/free");
}

#[tokio::test]
async fn a_shop_before_every_other_host_takes_nothing_from_those_of_the_booking_core() {
    let (world, beside) = (World::create().await, World::create().await);
    let shop = Server::start(beside.upstream()).await;
    let all = json!({"hosts": ["*"], "upstream": shop.url(""), "paths": ["/"]});
    world.room_named("default", all).await;
    let core = json!({"hosts": ["tickets.example"], "paths": ["/shows/eras"]});
    world.room_named("eras", core).await;
    let app = world.gateway().await;
    let host = ("host", "tickets.example");
    let hook = "/api/v1/payments/stripe/webhook";
    let taken = app.send(Method::POST, hook, &[host], "").await;
    assert_eq!(
        (taken.status, taken.text().as_str()),
        (StatusCode::OK, hook)
    );
    assert_eq!(
        app.get("/api/v1/shows", &[host]).await.text(),
        "/api/v1/shows"
    );
    let refused = app.get("/shows/eras", &[host]).await;
    assert_eq!(refused.assert_problem(403, "pass-required")["room"], "eras");
    assert!(beside.seen.lock().unwrap().is_empty());
    let refused = app
        .send(Method::POST, hook, &[("host", "shop.example")], "")
        .await;
    assert_eq!(
        refused.assert_problem(403, "pass-required")["room"],
        "default"
    );
}

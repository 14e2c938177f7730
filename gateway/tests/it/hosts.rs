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

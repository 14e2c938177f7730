//! A room whose upstream has several addresses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use contract::room::AddressStats;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::serving::Server;
use crate::test_app::{TestApp, World, eventually};

/// A server of a shop that tells its name and the cookies that it was sent, and whose `/healthz` is
/// good or not.
async fn server(name: &'static str) -> (Server, Arc<AtomicBool>) {
    let is_well = Arc::new(AtomicBool::new(true));
    let well = is_well.clone();
    let router = Router::new().fallback(move |request: Request| {
        let cookies = request.headers().get("cookie");
        let cookies = cookies.map_or("", |all| all.to_str().unwrap()).to_owned();
        let is_well = request.uri().path() != "/healthz" || well.load(Ordering::SeqCst);
        async move {
            let status = if is_well {
                StatusCode::OK
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            };
            let cached = [("cache-control", "public, max-age=60")];
            (status, cached, format!("{name} {cookies}")).into_response()
        }
    });
    (Server::start(router).await, is_well)
}

fn room(addresses: &[&Server], more: &Value) -> Value {
    let urls: Vec<_> = addresses.iter().map(|server| server.url("")).collect();
    let mut room = json!({
        "hosts": ["*"], "paths": ["/checkout"], "upstream": urls,
        "corsOrigins": ["https://www.example.com"],
    });
    for (name, value) in more.as_object().unwrap() {
        room[name] = value.clone();
    }
    room
}

fn addresses(app: &TestApp) -> Vec<AddressStats> {
    let room = app.rooms.get(&"eras".parse().unwrap()).unwrap();
    app.proxy.addresses(&room.target())
}

#[tokio::test]
async fn a_fan_stays_with_a_server_by_a_cookie_that_the_shop_never_sees() {
    let world = World::create().await;
    let ((one, _), (two, _)) = (server("one").await, server("two").await);
    world
        .room(room(&[&one, &two], &json!({"sticky": true})))
        .await;
    let app = world.gateway().await;
    let first = app.get("/", &[]).await;
    let cookie = first.cookie().to_owned();
    assert!(cookie.starts_with("ropeline_at_eras="), "{cookie}");
    assert_eq!(first.header("cache-control"), "private, no-store");
    let sent = format!("sid=7; {cookie}");
    for _ in 0..10 {
        let next = app.get("/", &[("cookie", &sent)]).await;
        let name = first.text();
        let name = name.split(' ').next().unwrap();
        assert_eq!(next.text(), format!("{name} sid=7"));
        assert_eq!(next.header("set-cookie"), "");
        assert_eq!(next.header("cache-control"), "public, max-age=60");
    }
    let forged = app
        .get("/", &[("cookie", "ropeline_at_eras=10.0.0.1")])
        .await;
    assert_eq!(forged.status, StatusCode::OK);
    assert!(forged.cookie().starts_with("ropeline_at_eras="));
}

#[tokio::test]
async fn a_server_whose_checks_fail_gets_no_requests_until_they_are_good_again() {
    let world = World::create().await;
    let ((one, is_well), (two, _)) = (server("one").await, server("two").await);
    let checks = json!({
        "path": "/healthz", "intervalSeconds": 1, "healthyAfter": 1, "unhealthyAfter": 1,
    });
    world
        .room(room(&[&one, &two], &json!({"upstreamHealth": checks})))
        .await;
    is_well.store(false, Ordering::SeqCst);
    let app = world.gateway().await;
    eventually("the failed check", async || {
        addresses(&app)[0].fails_checks.then_some(())
    })
    .await;
    for _ in 0..10 {
        assert_eq!(app.get("/", &[]).await.text(), "two ");
    }
    is_well.store(true, Ordering::SeqCst);
    eventually("the good check", async || {
        addresses(&app)[0].is_up.then_some(())
    })
    .await;
    let asked = async || app.get("/", &[]).await.text() == "one ";
    eventually("its turn", async || asked().await.then_some(())).await;
}

#[tokio::test]
async fn pages_of_named_sites_can_read_that_the_shop_is_down() {
    let world = World::create().await;
    let ((one, _), (two, _)) = (server("one").await, server("two").await);
    world.room(room(&[&one, &two], &json!({}))).await;
    let app = world.gateway().await;
    drop((one, two));
    for (origin, allowed) in [
        ("https://www.example.com", "https://www.example.com"),
        ("https://evil.example", ""),
    ] {
        let down = eventually("the end of both", async || {
            let answer = app
                .send(Method::POST, "/api", &[("origin", origin)], "")
                .await;
            (answer.status == StatusCode::BAD_GATEWAY).then_some(answer)
        });
        let down = down.await;
        assert_eq!(down.header("access-control-allow-origin"), allowed);
        assert_eq!(down.header("vary"), "Origin");
    }
}

//! What a visitor has of the upstream of a room where nobody waits.

use axum::Router;
use axum::routing::any;
use http::StatusCode;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::serving::{Server, within};
use crate::test_app::{World, eventually};

const HTML: (&str, &str) = ("accept", "text/html");
/// A quarter of what the room's upstream is given.
const SHARE: usize = 10;

#[tokio::test]
async fn where_nobody_waits_an_address_has_its_share_of_an_upstream_whatever_passes_it_brings() {
    let (begun, mut begins) = mpsc::unbounded_channel();
    let slow = any(move || {
        begun.send(()).unwrap();
        std::future::pending::<StatusCode>()
    });
    let router = Router::new().route("/shop/slow", slow);
    let upstream = Server::start(router.fallback(|| async { "page" })).await;
    let mut world = World::create().await;
    world.trusted = vec!["127.0.0.0/8".parse().unwrap()];
    let room = json!({
        "queueAll": false, "upstream": upstream.url(""), "upstreamConnectionsMax": 4 * SHARE,
    });
    world.room_named("shop", room).await;
    let app = world.gateway().await;
    let from = |address: &'static str| ("x-forwarded-for", address);

    let mut underway = JoinSet::new();
    for n in 0..SHARE {
        let request = app.http.get(app.server.url("/shop/slow"));
        let request = request.header("x-forwarded-for", "192.0.2.1");
        // Each navigation is given a pass of its own.
        let accept = if n % 2 == 0 { "text/html" } else { "*/*" };
        underway.spawn(request.header("accept", accept).send());
        within("a request", begins.recv()).await.unwrap();
    }
    let refused = app.get("/shop/slow", &[from("192.0.2.1")]).await;
    refused.assert_problem(429, "rate-limited");
    let page = app.get("/shop", &[from("192.0.2.1"), HTML]).await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(page.headers.contains_key("retry-after"));

    let other = app.get("/shop", &[from("192.0.2.2"), HTML]).await;
    assert_eq!(other.status, StatusCode::OK);
    let pass = ("cookie", other.cookie());
    let refused = app.get("/shop", &[from("192.0.2.1"), pass]).await;
    refused.assert_problem(429, "rate-limited");
    underway.abort_all();
    eventually("the share is free again", async || {
        let page = app.get("/shop", &[from("192.0.2.1"), pass]).await;
        (page.status == StatusCode::OK).then_some(())
    })
    .await;
}

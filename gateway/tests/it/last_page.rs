//! The page that a shop leads to in the answer that ends the session.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;

use crate::serving::Server;
use crate::test_app::{TestApp, World, eventually};

const DONE: &str = "/eras/done?to=/eras/thanks?order=1";
const THANKS: &str = "/eras/thanks?order=1";

/// A fan whose session was just ended by an answer that leads to [`THANKS`], and two gateways.
async fn purchase(is_remote: bool) -> (World, Server, TestApp, TestApp, String) {
    let world = World::create().await;
    let shop = Server::start(world.upstream()).await;
    let upstream = if is_remote {
        shop.url("")
    } else {
        "embedded".to_owned()
    };
    world.room(json!({"upstream": upstream})).await;
    let (app, other) = (world.gateway().await, world.gateway().await);
    let pass = app.join(1).await.claimed(&app).await;
    let header = [("ropeline-pass", pass.as_str())];
    assert_eq!(other.get("/eras/a", &header).await.status, StatusCode::OK);
    let done = app.send(Method::POST, DONE, &header, "").await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text());
    assert_eq!(done.header("location"), THANKS);
    eventually("the other gateway's knowing", async || {
        let answer = other.get("/eras/a", &header).await;
        (answer.status == StatusCode::FORBIDDEN).then_some(())
    })
    .await;
    (world, shop, app, other, pass)
}

#[tokio::test]
async fn the_page_that_ends_a_purchase_is_shown_once_at_any_gateway() {
    for is_remote in [false, true] {
        let (world, _shop, app, other, pass) = purchase(is_remote).await;
        let pass = ("ropeline-pass", pass.as_str());
        for (method, path) in [
            (Method::POST, THANKS),
            (Method::DELETE, THANKS),
            (Method::GET, "/eras/thanks?order=2"),
            (Method::GET, "/eras/thanks"),
            (Method::GET, "/eras/a"),
        ] {
            let refused = other.send(method, path, &[pass], "").await;
            refused.assert_problem(403, "pass-required");
        }
        let ahead = other
            .get(THANKS, &[pass, ("sec-purpose", "prefetch")])
            .await;
        ahead.assert_problem(503, "line-unavailable");
        let shown = [pass];
        let both = tokio::join!(app.get(THANKS, &shown), other.get(THANKS, &shown));
        let shown = [both.0, both.1].map(|answer| answer.status == StatusCode::OK);
        assert_eq!(shown.iter().filter(|shown| **shown).count(), 1, "{shown:?}");
        assert_eq!(world.last_seen().headers["ropeline-session"], "live");
        app.get(THANKS, &[pass])
            .await
            .assert_problem(403, "pass-required");

        // What the page loads, and nothing that another page loads.
        let thanks = app.server.url(THANKS);
        let elsewhere = app.server.url("/eras/a");
        let part = [
            pass,
            ("sec-fetch-dest", "style"),
            ("sec-fetch-site", "same-origin"),
        ];
        let script = [
            pass,
            ("sec-fetch-dest", "empty"),
            ("referer", thanks.as_str()),
        ];
        for loads in [&part[..], &script] {
            let loaded = app.get("/eras/style.css", loads).await;
            assert_eq!(loaded.status, StatusCode::OK, "{loads:?}");
            let posted = app.send(Method::POST, "/eras/style.css", loads, "").await;
            posted.assert_problem(403, "pass-required");
        }
        let other_page = [pass, ("referer", elsewhere.as_str())];
        let refused = app.get("/eras/style.css", &other_page).await;
        refused.assert_problem(403, "pass-required");

        world.clock.advance(Duration::from_secs(61));
        let late = app.get("/eras/style.css", &part).await;
        late.assert_problem(403, "pass-required");
    }
}

#[tokio::test]
async fn the_last_page_waits_a_minute() {
    let (world, _shop, app, _other, pass) = purchase(false).await;
    world.clock.advance(Duration::from_secs(61));
    let late = app.get(THANKS, &[("ropeline-pass", &pass)]).await;
    late.assert_problem(403, "pass-required");
}

#[tokio::test]
async fn an_end_that_leads_nowhere_or_elsewhere_leaves_nothing_open() {
    let world = World::create().await;
    world.room(json!({"paths": ["/eras", "/api"]})).await;
    let app = world.gateway().await;
    for (nonce, to, asked) in [
        (1, "", "/eras/thanks"),
        (2, "?to=https://elsewhere.test/eras/thanks", "/eras/thanks"),
        (3, "?to=/api/v1/holds", "/api/v1/holds"),
    ] {
        let pass = app.join(nonce).await.claimed(&app).await;
        let pass = [("ropeline-pass", pass.as_str())];
        let done = app.get(&format!("/eras/done{to}"), &pass).await;
        assert!(done.status.is_success() || done.status.is_redirection());
        app.get(asked, &pass)
            .await
            .assert_problem(403, "pass-required");
    }
}

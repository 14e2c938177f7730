//! What people get where programs get documents, and that looking ahead changes nothing.

use contract::line::PlaceState;
use gateway::ops::metrics::Metrics;
use http::{Method, StatusCode};
use serde_json::json;

use crate::gate::called_pass;
use crate::test_app::{Answer, Fan, TestApp, World, eventually};

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml");
const NAVIGATE: (&str, &str) = ("sec-fetch-mode", "navigate");
/// A port where nothing listens.
const NOBODY: &str = "http://127.0.0.1:9";

fn assert_page(answer: &Answer, status: u16, way_on: &str) {
    let text = answer.text().replace("&#x2f;", "/");
    assert_eq!(answer.status.as_u16(), status, "{text}");
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(
        answer.header("content-security-policy"),
        "default-src 'self'"
    );
    assert!(
        text.contains(&format!("class=\"button\" href=\"{way_on}\"")),
        "{text}"
    );
    assert!(text.contains(answer.header("x-request-id")), "{text}");
}

async fn called(app: &TestApp, fan: &Fan) {
    eventually("the call", async || {
        (fan.look(app).await.state == PlaceState::Called).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_navigates_gets_a_page_with_a_way_on() {
    let world = World::create().await;
    world.room(json!({"upstream": NOBODY})).await;
    let app = world.gateway().await;
    for page in [&[HTML][..], &[NAVIGATE]] {
        let unknown = app.get("/_line/rooms/nowhere?to=/x", page).await;
        assert_page(&unknown, 404, "/");
        let damaged = app.get("/x//y", page).await;
        assert_page(&damaged, 400, "/");
        let undecodable = app.get("/_line/rooms/%ff", page).await;
        assert_page(&undecodable, undecodable.status.as_u16(), "/");
        assert!(undecodable.status.is_client_error());
    }
    let undecodable = app.get("/_line/rooms/%ff", &[]).await;
    assert_eq!(
        undecodable.header("content-type"),
        "application/problem+json"
    );

    let pass = app.join(1).await.claimed(&app).await;
    let pass = ("ropeline-pass", pass.as_str());
    let program = app.get("/eras/a", &[pass]).await;
    program.assert_problem(502, "upstream-failed");
    let person = app.get("/eras/a?b=c", &[pass, HTML]).await;
    assert_page(&person, 502, "/eras/a?b=c");
    assert!(person.text().contains("http-equiv=\"refresh\""));
    // A form is not sent again by itself, and the page says that it may have arrived.
    let from = app.server.url("/eras/form");
    let form = [pass, HTML, ("referer", from.as_str())];
    let sent = app.send(Method::POST, "/eras/a", &form, "x=1").await;
    assert_page(&sent, 502, "/eras/form");
    assert!(!sent.text().contains("http-equiv"));
    assert!(sent.text().contains("Look before you send it again"));
}

#[tokio::test]
async fn a_form_without_a_session_leads_to_the_line_and_back_to_its_page() {
    let world = World::create().await;
    world.room(json!({})).await;
    let app = world.gateway().await;
    let from = app.server.url("/eras/form?a=b");
    for (referer, to) in [
        (from.as_str(), "/eras/form%3Fa%3Db"),
        ("https://elsewhere.test/eras/form", "/eras/cart"),
    ] {
        let headers = [NAVIGATE, ("referer", referer)];
        let sent = app.send(Method::POST, "/eras/cart", &headers, "x=1").await;
        assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text());
        assert_eq!(
            sent.header("location"),
            format!("/_line/rooms/eras?to={to}")
        );
    }
    for script in [
        [HTML, ("sec-fetch-dest", "empty")],
        [HTML, ("x-requested-with", "XMLHttpRequest")],
        [HTML, ("hx-request", "true")],
    ] {
        for method in [Method::GET, Method::POST] {
            // What a program sends something to is no page to arrive at.
            let to = if method == Method::GET {
                "/eras/cart"
            } else {
                "/eras"
            };
            let told = app.send(method, "/eras/cart", &script, "").await;
            let problem = told.assert_problem(403, "pass-required");
            assert_eq!(problem["joinUrl"], format!("/_line/rooms/eras?to={to}"));
        }
    }
    assert!(world.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn looking_ahead_claims_nothing() {
    let world = World::create().await;
    world.room(json!({})).await;
    let app = world.gateway().await;
    let fan = app.join(1).await;
    called(&app, &fan).await;
    let pass = called_pass(&app, &fan).await;
    let cookie = ("cookie", fan.cookie.as_str());
    let pass = ("ropeline-pass", pass.as_str());
    let enter = "/_line/rooms/eras/enter?to=/eras/a";

    let head = app.send(Method::HEAD, enter, &[cookie], "").await;
    assert_eq!(head.status, StatusCode::SEE_OTHER);
    assert!(head.header("location").starts_with("/_line/rooms/eras?to="));
    for purpose in ["prefetch", "prefetch;prerender"] {
        let ahead = ("sec-purpose", purpose);
        let entered = app.get(enter, &[cookie, ahead]).await;
        entered.assert_problem(503, "line-unavailable");
        let inside = app.get("/eras/a", &[pass, ahead]).await;
        inside.assert_problem(503, "line-unavailable");
        let unprotected = app.get("/elsewhere", &[pass, ahead]).await;
        assert_eq!(unprotected.status, StatusCode::OK);
    }
    let head = app.send(Method::HEAD, "/eras/a", &[pass], "").await;
    assert_eq!(head.status, StatusCode::FORBIDDEN);
    assert_eq!(fan.look(&app).await.state, PlaceState::Called);

    let entered = app.get(enter, &[cookie]).await;
    assert_eq!(entered.header("location"), "/eras/a");
    assert_eq!(fan.look(&app).await.state, PlaceState::Admitted);
    // A session that runs is good for looking ahead too, at a gateway that does not know it yet.
    let other = world.gateway().await;
    for app in [&app, &other] {
        let head = app.send(Method::HEAD, "/eras/a", &[pass], "").await;
        assert_eq!(head.status, StatusCode::OK);
        let ahead = app
            .get("/eras/a", &[pass, ("sec-purpose", "prefetch")])
            .await;
        assert_eq!(ahead.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn looking_ahead_into_an_idle_room_makes_nobody() {
    let world = World::create().await;
    world.room(json!({"queueAll": false})).await;
    let app = world.gateway().await;
    let ahead = ("sec-purpose", "prefetch");
    let passed = app.get("/eras/a", &[HTML, ahead]).await;
    assert_eq!(passed.status, StatusCode::OK);
    assert_eq!(passed.header("set-cookie"), "");
    let waiting = app
        .get("/_line/rooms/eras?to=/eras/a", &[HTML, ahead])
        .await;
    assert_eq!(waiting.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(waiting.header("set-cookie"), "");
}

#[tokio::test]
async fn no_room_stands_in_the_way_of_our_own_payment_webhook() {
    for upstream in ["embedded", NOBODY] {
        let world = World::create().await;
        world
            .room(json!({"paths": ["/"], "upstream": upstream}))
            .await;
        let app = world.gateway().await;
        let webhook = "/api/v1/payments/simulator/webhook";
        let told = app.send(Method::POST, webhook, &[], "{}").await;
        assert_eq!(told.text(), webhook);
        let read = app.get(webhook, &[]).await;
        read.assert_problem(403, "pass-required");
        for other in ["/api/v1/payments/a/b/webhook", "/api/v1/payments/webhook"] {
            let refused = app.send(Method::POST, other, &[], "{}").await;
            refused.assert_problem(403, "pass-required");
        }
    }
}

#[tokio::test]
async fn scanners_stand_in_no_line_of_the_shop_and_a_remote_service_keeps_its_paths() {
    for (upstream, passes) in [("embedded", true), (NOBODY, false)] {
        let (recorder, metrics) = Metrics::detached(&[]).unwrap();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let world = World::create().await;
        let settings = json!({"paths": ["/"], "upstream": upstream});
        world.room(settings).await;
        let app = world.gateway().await;
        for path in ["/checkin/", "/checkin/v1/scanner"] {
            let answer = app.get(path, &[]).await;
            if passes {
                assert_eq!(answer.text(), path);
            } else {
                answer.assert_problem(403, "pass-required");
            }
        }
        let other = app.get("/checking/", &[]).await;
        other.assert_problem(403, "pass-required");
        let count = if passes { 2 } else { 0 };
        let counted = format!(r#"ropeline_gate_requests_total{{outcome="checkin"}} {count}"#);
        let text = metrics.render(|_, _| true);
        assert!(text.lines().any(|line| line == counted), "{text}");
    }
}

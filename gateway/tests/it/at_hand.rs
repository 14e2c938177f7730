//! What the booking core has at hand is answered without its router, and behind the gate all the
//! same.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use axum::response::{IntoResponse, Response};
use contract::ProblemCode;
use contract::principal::Principal;
use gateway::gate::InProcess;
use http::{Method, StatusCode};
use serde_json::json;
use web::{ApiError, AtHand, Reading};

use crate::line::place_of;
use crate::test_app::{TestApp, World};

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml");

/// Has everything below `/eras/ready` and `/ready` at hand, refuses `/refused`, and notes what it
/// was asked.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Vec<Asked>>>);

/// A request as it was asked for.
#[derive(Clone, Debug)]
struct Asked {
    path: String,
    principals: Vec<Principal>,
    limited_as: Option<IpAddr>,
}

impl AtHand for Shelf {
    fn answer(&self, reading: &Reading<'_>) -> Option<Response> {
        self.0.lock().unwrap().push(Asked {
            path: reading.path.to_owned(),
            principals: reading.principals.to_vec(),
            limited_as: reading.limited_as.map(|limited| limited.0),
        });
        if reading.path == "/refused" {
            return Some(ApiError::from(ProblemCode::RateLimited).into_response());
        }
        let is_ready = reading.path.strip_prefix("/eras").unwrap_or(reading.path);
        let caching = [("cache-control", "public, max-age=1")];
        is_ready
            .starts_with("/ready")
            .then(|| (caching, "at hand").into_response())
    }
}

impl Shelf {
    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

async fn gateway_with(world: &World) -> (Shelf, TestApp) {
    let shelf = Shelf::default();
    let app = world.gateway_before_core(InProcess {
        router: world.upstream(),
        at_hand: Some(Arc::new(shelf.clone())),
    });
    (shelf, app.await)
}

#[tokio::test]
async fn nothing_at_hand_passes_the_gate_without_a_pass() {
    let world = World::create().await;
    world.room(json!({})).await;
    let (shelf, app) = gateway_with(&world).await;
    let browser = app.get("/eras/ready", &[HTML]).await;
    assert_eq!(browser.status, StatusCode::FOUND);
    let program = app.get("/eras/ready", &[]).await;
    program.assert_problem(403, "pass-required");
    assert!(shelf.asked().is_empty());
    // With a pass it does, and the shelf is told whose.
    let pass = app.join(1).await.claimed(&app).await;
    let inside = app.get("/eras/ready", &[("ropeline-pass", &pass)]).await;
    assert_eq!(inside.text(), "at hand");
    let asked = shelf.asked();
    let [principal] = &*asked.last().unwrap().principals else {
        panic!("{asked:?}")
    };
    assert_eq!(principal.room.as_str(), "eras");
    assert_eq!(principal.subject, place_of(&app, 1));
    assert!(principal.is_live);
    assert!(world.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_at_hand_has_an_id_and_everything_else_is_the_routers() {
    let world = World::create().await;
    let (shelf, app) = gateway_with(&world).await;
    let first = app.get("/ready", &[]).await;
    let second = app.get("/ready", &[]).await;
    assert_eq!(
        (first.text(), second.text()),
        ("at hand".into(), "at hand".into())
    );
    assert!(!first.header("x-request-id").is_empty());
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    assert_eq!(first.header("cache-control"), "public, max-age=1");
    assert!(world.seen.lock().unwrap().is_empty());
    assert_eq!(app.get("/other", &[]).await.text(), "/other");
    assert_eq!(shelf.asked().len(), 3);
    for method in [Method::HEAD, Method::POST, Method::OPTIONS] {
        let answer = app.send(method.clone(), "/ready", &[], "").await;
        assert_ne!(answer.text(), "at hand", "{method}");
    }
    assert_eq!(world.seen.lock().unwrap().len(), 4);
    // What it refuses is a document for people too, as what the router refuses.
    app.get("/refused", &[HTML])
        .await
        .assert_problem(429, "rate-limited");
    shelf.asked();
    // An ambiguous path reaches neither.
    app.get("/ready/%2Fother", &[])
        .await
        .assert_problem(400, "ambiguous-path");
    assert!(shelf.asked().is_empty());
}

#[tokio::test]
async fn a_client_vouches_for_nobody_and_is_counted_by_its_address() {
    let mut world = World::create().await;
    world.trusted = vec!["127.0.0.0/8".parse().unwrap()];
    world.room(json!({})).await;
    let (shelf, app) = gateway_with(&world).await;
    let forged = [
        ("ropeline-room", "eras"),
        ("ropeline-subject", "AAAAAAAAAAAAAAAAAAAAAA"),
        ("ropeline-pass-expires", "2099-01-01T00:00:00Z"),
        ("ropeline-session", "live"),
        ("x-forwarded-for", "2001:db8:1:2:3::4"),
    ];
    assert_eq!(app.get("/ready", &forged).await.text(), "at hand");
    let asked = shelf.asked().remove(0);
    assert_eq!(asked.path, "/ready");
    assert!(asked.principals.is_empty());
    assert_eq!(asked.limited_as, Some("2001:db8:1:2::".parse().unwrap()));
}

#[tokio::test]
async fn an_answer_with_a_pass_cookie_is_kept_by_no_cache() {
    let world = World::create().await;
    // Idle: whoever opens a page is given a pass.
    world.room(json!({"queueingMethod": "passthrough"})).await;
    let (_, app) = gateway_with(&world).await;
    let page = app.get("/eras/ready", &[HTML]).await;
    assert_eq!(page.text(), "at hand");
    assert!(page.cookie().starts_with("ropeline_pass_eras="), "{page:?}");
    assert_eq!(page.header("cache-control"), "private, no-store");
}

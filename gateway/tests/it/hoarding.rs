//! Whoever collects places without being there for them has nothing of it.

use std::time::Duration;

use contract::Clock;
use contract::line::{DrawDocument, PlaceState, RoomDocument};
use http::{Method, StatusCode};
use line::policy::order::draw;
use line::policy::place::PlaceToken;
use serde_json::{Value, json};

use crate::live::{connect, frame};
use crate::test_app::{Fan, SEED, TestApp, World, eventually};

const HOARD: u8 = 200;
const ABSENCE: Duration = Duration::from_mins(1);
const OPENS_IN: Duration = Duration::from_hours(1);

/// A room that collects and opens in an hour, and calls nobody, with `changes` to its settings.
async fn collecting_room(changes: Value) -> (World, TestApp) {
    let world = World::create().await;
    let now = world.clock.now();
    let mut settings = json!({
        "prequeueOpensAt": now.minus(Duration::from_secs(5)), "opensAt": now.plus(OPENS_IN),
        "absenceTimeoutSeconds": ABSENCE.as_secs(), "totalActiveUsers": 0,
    });
    for (field, value) in changes.as_object().unwrap() {
        settings[field] = value.clone();
    }
    world.room(settings).await;
    let app = world.gateway().await;
    (world, app)
}

async fn document(app: &TestApp) -> RoomDocument {
    let answer = app.get("/_line/v1/rooms/eras", &[]).await;
    serde_json::from_value(answer.json()).unwrap()
}

/// Waits until so many wait.
async fn in_line(app: &TestApp, count: u64) {
    eventually("the line", async || {
        (document(app).await.users_in_line == count).then_some(())
    })
    .await;
}

/// Waits until the draw is out.
async fn opened(app: &TestApp) {
    eventually("the opening", async || {
        let answer = app.get("/_line/v1/rooms/eras/draw", &[]).await;
        let draw: DrawDocument = serde_json::from_value(answer.json()).unwrap();
        draw.seed
    })
    .await;
}

fn lot(nonce: u8) -> u64 {
    draw(&SEED, &"eras".parse().unwrap(), &[nonce; 16]).get()
}

/// What the token of `fan` says.
fn read(app: &TestApp, fan: &Fan) -> PlaceToken {
    let room = app.rooms.get(&"eras".parse().unwrap()).unwrap();
    room.parts.place_keys.verify(&fan.token).unwrap()
}

/// The order key with which `fan` waits after asking by `method` at `end`.
async fn key(app: &TestApp, fan: &Fan, method: Method, end: &str) -> u64 {
    fan.call(app, method, end).await.waiting_key()
}

#[tokio::test]
async fn of_a_hoarders_200_tokens_none_is_worth_anything_after_the_opening() {
    let (world, app) = collecting_room(json!({})).await;
    let (connected, polling) = (app.join(0).await, app.join(255).await);
    let mut live = connect(&app, &connected).await;
    frame(&mut live, |_| true).await;
    let mut hoard = Vec::new();
    for nonce in 1..=HOARD {
        hoard.push((lot(nonce), app.join(nonce).await));
    }
    in_line(&app, 2 + u64::from(HOARD)).await;
    // Giving a place up before the draw is no way around it.
    for (_, token) in hoard.iter().step_by(2) {
        let left = token.call(&app, Method::DELETE, "place").await;
        assert_eq!(left.status, StatusCode::NO_CONTENT);
    }
    world.clock.advance(OPENS_IN.saturating_sub(ABSENCE / 2));
    // Who looks in just before the opening is there for it.
    polling.look(&app).await;
    in_line(&app, 2).await;
    world.clock.advance(ABSENCE / 2);
    opened(&app).await;
    let newcomer = key(&app, &app.join(254).await, Method::GET, "place").await;

    // With the seed the hoarder sees which tokens would come first.
    hoard.sort_unstable_by_key(|(lot, _)| *lot);
    for (_, token) in &hoard {
        let looked = token.call(&app, Method::GET, "place").await;
        if looked.status == StatusCode::OK {
            assert_eq!(looked.status_document().state, PlaceState::Left);
        } else {
            looked.assert_problem(410, "place-expired");
        }
    }
    for (_, token) in hoard.iter().take(20) {
        let again = key(&app, token, Method::POST, "places").await;
        assert!(again > newcomer, "{again} is ahead of {newcomer}");
    }
    // Whoever was there has what they drew, also after an absence.
    assert_eq!(key(&app, &polling, Method::GET, "place").await, lot(255));
    let document = document(&app).await;
    let mut drawn = [lot(0), lot(255)];
    drawn.sort_unstable();
    assert_eq!(document.head[..2], drawn.map(|key| key.to_string()));
    world.clock.advance(ABSENCE * 2);
    in_line(&app, 1).await;
    assert_eq!(key(&app, &polling, Method::GET, "place").await, lot(255));
    assert_eq!(key(&app, &connected, Method::GET, "place").await, lot(0));
}

#[tokio::test]
async fn in_a_room_that_is_set_so_everyone_who_joined_draws() {
    let (world, app) = collecting_room(json!({"drawRequiresPresence": false})).await;
    let absent = app.join(1).await;
    in_line(&app, 1).await;
    world.clock.advance(OPENS_IN);
    opened(&app).await;
    assert_eq!(key(&app, &absent, Method::GET, "place").await, lot(1));
}

#[tokio::test]
async fn early_places_that_nobody_comes_back_to_are_given_up() {
    let world = World::create().await;
    let settings = json!({"totalActiveUsers": 0, "absenceTimeoutSeconds": ABSENCE.as_secs()});
    world.room(settings).await;
    let app = world.gateway().await;
    let seen = app.join(0).await;
    let early = key(&app, &seen, Method::GET, "place").await;
    let mut hoard = Vec::new();
    for nonce in 1..=20 {
        hoard.push(app.join(nonce).await);
    }
    world.clock.advance(ABSENCE);
    let patient = app.join(255).await;
    in_line(&app, 1).await;
    let behind = key(&app, &patient, Method::GET, "place").await;
    for token in &hoard {
        assert_eq!(token.look(&app).await.state, PlaceState::Left);
        let again = key(&app, token, Method::POST, "places").await;
        assert!(again > behind, "{again} is ahead of {behind}");
    }
    // Whoever came back once has a place for good.
    assert_eq!(key(&app, &seen, Method::GET, "place").await, early);
}

#[tokio::test]
async fn nothing_tells_a_lot_before_the_opening() {
    for method in ["fifo", "random"] {
        let (_world, app) = collecting_room(json!({"queueingMethod": method})).await;
        let fans = [app.join(1).await, app.join(2).await, app.join(3).await];
        in_line(&app, 3).await;
        let document = document(&app).await;
        assert!(document.head.is_empty() && document.knots.is_empty());
        for (nonce, fan) in (1..).zip(&fans) {
            // Whoever lost their token joins with the nonce, and holders can read their tokens.
            let again = app.join(nonce).await;
            let (token, lost) = (read(&app, fan), read(&app, &again));
            assert_eq!((token.key, lost.key), (None, None));
            assert_eq!((lost.number, lost.ahead), (0, 0), "a rank in the draw");
            let mut live = connect(&app, fan).await;
            let told = [
                fan.joined.status_document(),
                again.joined.status_document(),
                fan.look(&app).await,
                frame(&mut live, |_| true).await,
            ];
            for status in told {
                assert_eq!(status.state, PlaceState::Prequeue, "{method}");
                let rank = (status.queue_number, status.users_ahead, status.progress);
                assert_eq!((status.order_key, rank), (None, (None, None, None)));
            }
            let draw = fan.call(&app, Method::GET, "draw").await.json();
            assert!(draw["orderKey"].is_null() && draw["seed"].is_null());
        }
    }
}

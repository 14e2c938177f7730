//! Fans who go and come back: with their token, with their nonce alone, on another gateway.

use std::time::Duration;

use contract::Clock;
use contract::line::{Phase, PlaceState};
use contract::room::Override;
use http::Method;
use line::policy::order::{LIVE_BASE, draw};
use serde_json::json;

use crate::live::{connect, frame};
use crate::test_app::{Fan, SEED, ShiftedClock, TestApp, World, eventually};

/// The order key that the fan is shown.
async fn order_key(app: &TestApp, fan: &Fan) -> u64 {
    let shown = eventually("the order key", async || fan.look(app).await.order_key);
    shown.await.parse().unwrap()
}

#[tokio::test]
async fn whoever_gives_up_a_live_place_comes_back_behind_everyone() {
    let world = World::create().await;
    world.room(json!({"totalActiveUsers": 1})).await;
    let app = world.gateway().await;
    let first = app.join(1).await;
    eventually("the call", async || {
        (first.look(&app).await.claim_by.is_some()).then_some(())
    })
    .await;
    let others = [app.join(2).await, app.join(3).await];
    // The same place by its nonce alone, as a browser that lost its cookie has it.
    let again = app.join(1).await;
    again.call(&app, Method::DELETE, "place").await;
    let back = again.call(&app, Method::POST, "places").await;
    let key: u64 = back.status_document().order_key.unwrap().parse().unwrap();
    for other in &others {
        assert!(key > order_key(&app, other).await);
    }
}

/// How many places the store counts as absent.
async fn absent_count(app: &TestApp) -> u64 {
    let room = app.rooms.get(&"eras".parse().unwrap()).unwrap();
    let (parts, at) = (&room.parts, room.store_ref());
    let snapshot = parts.store.snapshot_take(&at, parts.clock.now());
    snapshot.await.unwrap().counts.absent
}

#[tokio::test]
async fn a_connection_at_one_gateway_stands_for_the_fan_when_another_loses_its_own() {
    let world = World::create().await;
    world.room(json!({"totalActiveUsers": 1})).await;
    let (app, other) = (world.gateway().await, world.gateway().await);
    let inside = app.join(1).await;
    inside.claimed(&app).await;
    let fan = app.join(2).await;
    let mut live = connect(&other, &fan).await;
    frame(&mut live, |_| true).await;
    let room = app.rooms.get(&"eras".parse().unwrap()).unwrap();
    let place = crate::line::place_of(&app, 2);
    // This one finds out late that the fan's connection is dead.
    room.absences.note(place);
    line::presence::report_once(&room).await;
    eventually("the word of the other", async || {
        (absent_count(&app).await == 0).then_some(())
    })
    .await;
    // Nor does the other's own late word count against the connection that there is now.
    let there = other.rooms.get(&"eras".parse().unwrap()).unwrap();
    let (at, gone) = (there.store_ref(), [place]);
    let (store, now) = (&there.parts.store, there.parts.clock.now());
    store.places_absent(&at, now, &gone).await.unwrap();
    eventually("the word of the follower", async || {
        (absent_count(&app).await == 0).then_some(())
    })
    .await;
    world.clock.advance(Duration::from_secs(3600));
    inside.call(&app, Method::DELETE, "pass").await;
    frame(&mut live, |status| status.pass.is_some()).await;
}

#[tokio::test]
async fn leaving_and_joining_beside_a_connection_is_told_and_makes_no_one_absent() {
    let world = World::create().await;
    world.room(json!({"totalActiveUsers": 0})).await;
    let (app, other) = (world.gateway().await, world.gateway().await);
    let fan = app.join(1).await;
    let mut tabs = [connect(&app, &fan).await, connect(&other, &fan).await];
    for live in &mut tabs {
        frame(live, |status| status.state == PlaceState::Waiting).await;
    }
    fan.call(&app, Method::DELETE, "place").await;
    for live in &mut tabs {
        frame(live, |status| status.state == PlaceState::Left).await;
    }
    fan.call(&app, Method::POST, "places").await;
    for live in &mut tabs {
        frame(live, |status| status.state == PlaceState::Waiting).await;
    }
    eventually("presence", async || {
        (absent_count(&app).await == 0).then_some(())
    })
    .await;
    // Whose last connection here ends with the gateway is absent, unless there is another.
    let [_, second] = tabs;
    drop(second);
    other.kill().await;
    eventually("the word of the first", async || {
        (absent_count(&app).await == 0).then_some(())
    })
    .await;
    app.kill().await;
    assert_eq!(absent_count(&app).await, 1);
}

#[tokio::test]
async fn the_published_seed_tells_nothing_of_those_who_join_a_lottery_later() {
    let world = World::create().await;
    world
        .room(json!({"totalActiveUsers": 0, "queueingMethod": "random"}))
        .await;
    let app = world.gateway().await;
    let revealed = eventually("the opening", async || {
        let draw = app.get("/_line/v1/rooms/eras/draw", &[]).await.json();
        draw["seed"].is_string().then_some(())
    });
    revealed.await;
    let fan = app.join(1).await;
    let room = "eras".parse().unwrap();
    let drawn = draw(&SEED, &room, &[1; 16]);
    let key = order_key(&app, &fan).await;
    assert!(key < LIVE_BASE && key != drawn.get());
    // It is the same by the nonce alone, and not said to be of the draw.
    let again = app.join(1).await;
    assert_eq!(order_key(&app, &again).await, key);
    let document = fan.call(&app, Method::GET, "draw").await.json();
    assert!(document["orderKey"].is_null() && document["nonce"].is_string());
}

#[tokio::test]
async fn a_missed_turn_is_forgiven_by_joining_and_told_to_every_connection() {
    let world = World::create().await;
    world.room(json!({"claimWindowSeconds": 60})).await;
    let app = world.gateway().await;
    let fan = app.join(1).await;
    let mut live = connect(&app, &fan).await;
    frame(&mut live, |status| status.state == PlaceState::Called).await;
    // Nobody is called any more.
    world.word(Override::Pause, None).await;
    eventually("the pause", async || {
        (fan.look(&app).await.phase == Phase::Paused).then_some(())
    })
    .await;
    world.clock.advance(Duration::from_secs(61));
    eventually("the tick that notes the missed turn", async || {
        let joined = fan.call(&app, Method::POST, "places").await;
        (joined.status_document().state == PlaceState::Waiting).then_some(())
    })
    .await;
    frame(&mut live, |status| status.state == PlaceState::Waiting).await;
}

#[tokio::test]
async fn a_place_given_by_a_gateway_whose_clock_is_behind_is_good() {
    for (ahead, is_good) in [(8, true), (60, false)] {
        let world = World::create().await;
        let clock = ShiftedClock::default();
        clock.advance(Duration::from_secs(ahead));
        world.room_at(&clock, json!({"totalActiveUsers": 0})).await;
        let app = world.gateway().await;
        let fan = app.join(1).await;
        let answer = fan.call(&app, Method::GET, "place").await;
        assert_eq!(answer.status.is_success(), is_good, "{}", answer.text());
    }
}

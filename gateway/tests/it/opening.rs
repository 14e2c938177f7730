//! Commands follow each other at once; each is in force when it is answered.

use contract::line::{Phase, PlaceState};
use contract::room::Override;
use line::records::Act;
use serde_json::json;

use crate::test_app::{World, eventually};

/// Whether the draw of `eras` is out.
async fn is_open(world: &World) -> bool {
    let room = world.records.rooms.room_get(&"eras".parse().unwrap()).await;
    room.unwrap().unwrap().opened_at.is_some()
}

#[tokio::test]
async fn a_pause_right_after_the_opening_does_not_take_it_back() {
    let world = World::create().await;
    world.room(json!({"queueAll": false})).await;
    world.word(Override::Open, None).await;
    world.word(Override::Pause, Some("sound check")).await;
    // Neither the gateway nor its leader has seen the room queue.
    let app = world.gateway().await;
    eventually("the opening", async || is_open(&world).await.then_some(())).await;
    let fan = app.join(1).await;
    let status = eventually("the numbers", async || {
        let status = fan.look(&app).await;
        status.users_ahead.is_some().then_some(status)
    })
    .await;
    assert_eq!(
        (status.phase, status.state),
        (Phase::Paused, PlaceState::Waiting)
    );
    let key: u64 = status.order_key.unwrap().parse().unwrap();
    assert!(key >= line::policy::order::LIVE_BASE, "drew {key}");
}

#[tokio::test]
async fn an_opening_is_in_force_when_it_is_answered() {
    let world = World::create().await;
    world.room(json!({"queueAll": false})).await;
    let app = world.gateway().await;
    let eras = "eras".parse().unwrap();
    let act = Act::new("tester", &world.clock);
    let opened = world
        .records
        .rooms
        .room_override(&eras, Some(Override::Open), None, act);
    let record = opened.await.unwrap().unwrap();
    app.rooms.apply(&eras, Some(&record)).await;
    assert!(is_open(&world).await);
    let first = app.join(1).await.joined.status_document();
    assert_eq!(
        (first.phase, first.state),
        (Phase::Queueing, PlaceState::Waiting)
    );
    assert!(first.order_key.is_some());
}

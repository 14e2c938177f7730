//! Rooms that rest, in the real Redis.

use std::time::Duration;

use contract::RoomId;
use serde_json::json;
use tokio::time::Instant;

use crate::test_app::{ShiftedClock, World, eventually};

#[tokio::test]
async fn a_resting_room_calls_a_fan_who_joins_at_a_gateway_that_may_not_lead() {
    let world = World::create().await;
    world.room(json!({})).await;
    let eras: RoomId = "eras".parse().unwrap();
    let clock = ShiftedClock::default();
    clock.advance(Duration::from_secs(10));
    let door = world.gateway_with_clock(&clock).await;
    let skew = door.rooms.parts().skew.clone();
    eventually("the measurement", async || skew.advice()).await;
    let app = world.gateway().await;
    let room = app.rooms.get(&eras).unwrap();
    eventually("the rest", async || room.rest.lasts()).await;
    // A look at the store wakes all rooms when it is the first.
    let _woken = tokio::time::timeout(Duration::from_secs(1), room.rest.over()).await;
    eventually("the rest", async || room.rest.lasts()).await;
    let joined_at = Instant::now();
    door.join(1).await;
    let called = eventually("the call", async || {
        let head = world.records.admissions.head(&eras).await.unwrap();
        (head.seq == 1).then(|| joined_at.elapsed())
    });
    let took = called.await;
    // A second, and what a busy machine adds.
    assert!(took <= Duration::from_millis(1_500), "{took:?}");
}

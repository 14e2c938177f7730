//! What an operator changes is in force at every gateway within a second.

use std::time::Duration;

use contract::line::Phase;
use contract::room::{Override, RoomSettings};
use http::StatusCode;
use line::records::{Act, PutOutcome};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::test_app::{TestApp, World};

/// The contract's bound.
const IN_FORCE_MAX: Duration = Duration::from_secs(1);
/// What a busy machine adds to that.
const SLACK: Duration = Duration::from_millis(500);

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml");

/// Waits until the room is as wanted at every gateway, which has to be soon.
async fn in_force(what: &str, gateways: &[TestApp], is_so: impl Fn(&line::room::Room) -> bool) {
    let began = Instant::now();
    for gateway in gateways {
        loop {
            let room = gateway.rooms.get(&"eras".parse().unwrap());
            if room.is_some_and(|room| is_so(&room)) {
                break;
            }
            let lasts = began.elapsed();
            assert!(lasts < IN_FORCE_MAX + SLACK, "{what} after {lasts:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Changes the settings of the room, as an operator does at a gateway that is none of these.
async fn change(world: &World, changes: Value) {
    let rooms = &world.records.rooms;
    let record = rooms.room_get(&"eras".parse().unwrap()).await.unwrap();
    let mut settings = serde_json::to_value(record.unwrap().settings).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        settings[name] = value.clone();
    }
    let settings: RoomSettings = serde_json::from_value(settings).unwrap();
    let act = Act::new("tester", &world.clock);
    let put = rooms.room_put(settings, None, act).await.unwrap();
    assert!(matches!(put, PutOutcome::Written(_)));
}

#[tokio::test]
async fn every_word_of_an_operator_is_in_force_at_three_gateways_within_a_second() {
    let world = World::create().await;
    world.room(json!({})).await;
    let gateways = [
        world.gateway().await,
        world.gateway().await,
        world.gateway().await,
    ];
    in_force("the room", &gateways, |room| {
        room.phase() == Phase::Queueing
    })
    .await;
    for (word, phase) in [
        (Override::Pause, Phase::Paused),
        (Override::Open, Phase::Queueing),
        (Override::Close, Phase::Closed),
        (Override::Open, Phase::Queueing),
    ] {
        world.word(word, None).await;
        in_force("the word", &gateways, |room| room.phase() == phase).await;
    }
    change(&world, json!({"newUsersPerMinute": 7})).await;
    in_force("the rate", &gateways, |room| {
        room.record().settings.new_users_per_minute == 7
    })
    .await;
    change(&world, json!({"suspended": true})).await;
    in_force(
        "that the room is out of use",
        &gateways,
        line::room::Room::is_idle,
    )
    .await;
    for gateway in &gateways {
        let through = gateway.get("/eras/a", &[HTML]).await;
        assert_eq!(through.status, StatusCode::OK);
    }
    change(&world, json!({"suspended": false})).await;
    in_force("that it is used again", &gateways, |room| !room.is_idle()).await;
    for gateway in &gateways {
        let refused = gateway.get("/eras/a", &[HTML]).await;
        assert_eq!(refused.status, StatusCode::FOUND);
    }
    // Out of stand-by and back into it.
    change(&world, json!({"queueAll": false})).await;
    in_force("stand-by", &gateways, line::room::Room::is_standby).await;
    change(&world, json!({"queueAll": true})).await;
    in_force("its end", &gateways, |room| !room.is_standby()).await;
}

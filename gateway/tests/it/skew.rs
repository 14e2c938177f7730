//! Gateways whose clocks are wrong.

use std::time::Duration;

use line::leader::{Leader, Tick};
use line::policy::order::{CLOCK_COUNTER_BITS, LIVE_BASE};
use serde_json::json;

use crate::test_app::{Fan, ShiftedClock, World, eventually};

/// How long after its room was made a fan got the live key they have, by that key.
fn key_age(fan: &Fan) -> Duration {
    let key = fan.joined.status_document().order_key.unwrap();
    let clock = key.parse::<u64>().unwrap() - LIVE_BASE;
    Duration::from_millis(clock >> CLOCK_COUNTER_BITS)
}

#[tokio::test]
async fn a_gateway_whose_clock_is_years_ahead_calls_nobody_and_uses_up_no_keys() {
    let world = World::create().await;
    world.room(json!({})).await;
    let clock = ShiftedClock::default();
    clock.advance(Duration::from_hours(5 * 365 * 24));
    let wrong = world.gateway_with_clock(&clock).await;
    let parts = wrong.rooms.parts().clone();
    eventually("a measurement", async || parts.skew.measured()).await;
    let advice = parts.skew.advice().expect("advice");
    assert!(advice.contains("ahead of the clock of Redis"), "{advice}");
    let room = wrong.rooms.get(&"eras".parse().unwrap()).unwrap();
    // Its clock opens the room for its own fans, so they get live keys.
    let fan = wrong.join(1).await;
    assert_eq!(Leader::new(room).tick_once().await.unwrap(), Tick::Follows);
    let right = world.gateway().await;
    let next = right.join(2).await;
    fan.claimed(&right).await;
    next.claimed(&right).await;
    let ages = [key_age(&fan), key_age(&next)];
    assert!(ages[1] < Duration::from_hours(1), "{ages:?}");
    assert!(ages[0] <= ages[1], "{ages:?}");
}

#[tokio::test]
async fn a_leader_whose_clock_jumps_ahead_is_followed_by_another() {
    let world = World::create().await;
    world.room(json!({})).await;
    let clock = ShiftedClock::default();
    let jumps = world.gateway_with_clock(&clock).await;
    jumps.join(1).await.claimed(&jumps).await;
    let other = world.gateway().await;
    clock.advance(Duration::from_hours(24));
    let parts = jumps.rooms.parts().clone();
    eventually("the measurement", async || parts.skew.advice()).await;
    let fan = other.join(2).await;
    fan.claimed(&other).await;
    assert!(
        key_age(&fan) < Duration::from_hours(1),
        "{:?}",
        key_age(&fan)
    );
}

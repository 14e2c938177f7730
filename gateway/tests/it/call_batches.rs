//! A room that calls in batches, on Redis and PostgreSQL.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::Timestamp;
use futures_util::TryStreamExt;
use serde_json::json;

use crate::test_app::{World, eventually};

const BATCH: u64 = 20;
const RATE: u64 = 1_200;
/// A batch at a time at that rate.
const APART: Duration = Duration::from_secs(1);
/// The time between two ticks, and what a late one is credited with.
const LATE_MAX: Duration = Duration::from_millis(200);

/// How many were called at each time, by the admission log.
async fn batches(world: &World) -> BTreeMap<Timestamp, u64> {
    let stream = world.records.admissions.stream(&"eras".parse().unwrap(), 1);
    let records: Vec<_> = stream.try_collect().await.unwrap();
    let mut found = BTreeMap::new();
    for record in records {
        *found.entry(record.called_at).or_default() += 1;
    }
    found
}

#[tokio::test]
async fn a_room_with_a_call_batch_calls_whole_batches_also_when_another_gateway_leads() {
    let world = World::create().await;
    world
        .room(json!({"newUsersPerMinute": RATE, "callBatch": BATCH}))
        .await;
    let gateways = [world.gateway().await, world.gateway().await];
    for fan in 0..5 * u8::try_from(BATCH).unwrap() {
        gateways[usize::from(fan % 2)].join(fan).await;
    }
    let until = async |count: usize| {
        eventually("the batches", async || {
            (batches(&world).await.len() >= count).then_some(())
        })
        .await;
    };
    until(2).await;
    gateways[0].kill().await;
    until(5).await;
    let made = batches(&world).await;
    let sizes: Vec<u64> = made.values().copied().collect();
    // The first may have come while fans were still joining.
    let (first, others) = sizes.split_first().unwrap();
    assert!(*first <= BATCH, "{made:?}");
    let (last, whole) = others.split_last().unwrap();
    assert!(whole.iter().all(|size| *size == BATCH), "{made:?}");
    assert!(*last <= BATCH, "{made:?}");
    let times: Vec<Timestamp> = made.keys().copied().collect();
    for (from, first) in times.iter().enumerate() {
        for (to, last) in times.iter().enumerate().skip(from) {
            let calls: u64 = sizes[from..=to].iter().sum();
            let span = last.since(*first) + LATE_MAX;
            let due = u64::try_from(span.as_millis()).unwrap() * RATE / 60_000;
            assert!(calls <= due + BATCH + 1, "{calls} in {span:?}: {made:?}");
        }
    }
    for pair in times[1..].windows(2) {
        let apart = pair[1].since(pair[0]);
        assert!(apart + LATE_MAX >= APART, "{made:?}");
    }
}

//! Rooms on the shards of a Redis Cluster.

use std::cell::Cell;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use test_support::redis_cluster::{RedisCluster, SHARDS};
use tokio::time::Instant;

use crate::failovers::assert_in_order;
use crate::test_app::{Fan, World, generous};

/// What most joins take at most in a room that nothing is wrong with, on a machine that is busy
/// with other tests: less than any time after which a node that hangs is given up.
const JOIN_MOSTLY_MAX: Duration = Duration::from_millis(150);

fn key(fan: &Fan) -> u64 {
    let key = fan.joined.status_document().order_key;
    key.expect("a live key").parse().unwrap()
}

async fn full_rooms(world: &World, rooms: &[String]) {
    for room in rooms {
        world.room_named(room, json!({"totalActiveUsers": 1})).await;
    }
}

#[tokio::test]
async fn a_shard_that_hangs_takes_only_its_own_rooms_with_it_until_its_replica_leads() {
    let world = World::create().await;
    let cluster = RedisCluster::start().await;
    let rooms = cluster.rooms().await;
    full_rooms(&world, &rooms).await;
    let urls = cluster.urls();
    let app = world
        .gateway_on(&urls, world.database.options(), generous())
        .await;
    let mut inside = Vec::new();
    for (shard, room) in rooms.iter().enumerate() {
        let first = app.join_room(room, 1).await;
        first.claimed(&app).await;
        inside.push(first);
        app.join_room(room, 2).await;
        let keys: u64 = cluster.nodes[shard].ask(&["DBSIZE"]).await;
        assert!(keys > 0, "shard {shard} has no room");
    }
    let victim = 1;
    let mut keys = vec![key(&app.join_room(&rooms[victim], 3).await)];
    let copied = format!("{{{}}}", rooms[victim]);
    cluster.nodes[victim].is_copied_by(&copied).await;
    cluster.nodes[victim].hang().await;
    let began = Instant::now();
    let is_back = Cell::new(false);
    let back = async {
        let fan = app.join_room(&rooms[victim], 4).await;
        is_back.set(true);
        fan
    };
    let others = async {
        let mut took = Vec::new();
        for nonce in (3..u8::MAX).cycle() {
            for shard in (0..SHARDS).filter(|shard| *shard != victim) {
                let asked_at = Instant::now();
                let fan = app.try_join(&rooms[shard], nonce).await;
                assert!(fan.is_some(), "shard {shard} after {:?}", began.elapsed());
                took.push(asked_at.elapsed());
            }
            if is_back.get() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        took
    };
    // The others go on joining for as long as the shard is away.
    let (fan, mut took) = tokio::join!(back, others);
    took.sort();
    let median = took[took.len() / 2];
    assert!(median < JOIN_MOSTLY_MAX, "{median:?} of {}", took.len());
    cluster.is_taken_over(victim).await;
    keys.push(key(&fan));
    for nonce in 5..8 {
        keys.push(key(&app.join_room(&rooms[victim], nonce).await));
    }
    assert_in_order(&keys);
    // Calls go on there too, in the old order.
    cluster.nodes[victim].go_on().await;
    let ended = inside[victim].call(&app, Method::DELETE, "pass").await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT, "{}", ended.text());
    let second = app.join_room(&rooms[victim], 2).await;
    second.claimed(&app).await;
}

#[tokio::test]
async fn a_room_moves_to_another_shard_while_fans_wait() {
    let world = World::create().await;
    let cluster = RedisCluster::start().await;
    let rooms = cluster.rooms().await;
    full_rooms(&world, &rooms[..1]).await;
    let app = world
        .gateway_on(&cluster.urls(), world.database.options(), generous())
        .await;
    let room = &rooms[0];
    let inside = app.join_room(room, 1).await;
    inside.claimed(&app).await;
    let mut keys = Vec::new();
    for nonce in 2..6 {
        keys.push(key(&app.join_room(room, nonce).await));
    }
    cluster
        .move_room(room, 2, async || {
            // While some keys are here and some there the line may be away, and nothing else.
            for nonce in [2, 9] {
                app.try_join(room, nonce).await;
            }
        })
        .await;
    // The first to come after the move is sent on, and does not notice.
    let waiting = app.try_join(room, 2).await.expect("a way to the room");
    assert_eq!(key(&waiting), keys[0], "a place is never lost");
    keys.push(key(&app.join_room(room, 10).await));
    assert_in_order(&keys);
    let left: Vec<String> = cluster.nodes[0].ask(&["KEYS", "*"]).await;
    assert!(!left.iter().any(|key| key.contains(room)), "{left:?}");
    inside.call(&app, Method::DELETE, "pass").await;
    waiting.claimed(&app).await;
}

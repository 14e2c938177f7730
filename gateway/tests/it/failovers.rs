//! Live keys when another server of the store takes over, and when the records are away.

use std::time::Duration;

use http::Method;
use line::store::RoomRef;
use line::store::live_keys::LiveKeys;
use serde_json::json;

use crate::outages::behind_database_proxy;
use crate::test_app::{Fan, TestApp, World, eventually, generous};
use test_support::redis::{redis_store, redis_url};
use test_support::redis_server::RedisServer;
use test_support::tcp_proxy::{Line, TcpProxy};

/// A room that has opened and calls nobody but its first fan.
async fn full_room(world: &World) {
    world.room(json!({"totalActiveUsers": 1})).await;
}

/// Fans who join one after the other, and their live keys.
pub(crate) async fn join(
    app: &TestApp,
    nonces: std::ops::Range<u8>,
    keys: &mut Vec<u64>,
) -> Vec<Fan> {
    let mut fans = Vec::new();
    for nonce in nonces {
        let fan = app.join(nonce).await;
        let key = fan.joined.status_document().order_key;
        keys.push(key.expect("a live key").parse().unwrap());
        fans.push(fan);
    }
    fans
}

pub(crate) fn assert_in_order(keys: &[u64]) {
    let ahead = keys.windows(2).find(|pair| pair[0] >= pair[1]);
    assert_eq!(ahead, None, "a later fan got no later key: {keys:?}");
}

#[tokio::test]
async fn no_key_is_given_twice_by_servers_that_die_one_after_the_other() {
    let world = World::create().await;
    full_room(&world).await;
    let mut primary = RedisServer::start().await;
    let proxy = TcpProxy::start(primary.target()).await;
    let url = format!("redis://{}", proxy.address);
    let app = world
        .gateway_on(&url, world.database.options(), generous())
        .await;
    app.join(1).await.claimed(&app).await;
    let mut keys = Vec::new();
    for round in 0..3u8 {
        let nonce = 10 + round * 20;
        let replica = primary.replica().await;
        join(&app, nonce..nonce + 3, &mut keys).await;
        primary.is_copied().await;
        replica.promote().await;
        // What follows is lost.
        join(&app, nonce + 3..nonce + 8, &mut keys).await;
        proxy.retarget(replica.target());
        primary = replica;
        join(&app, nonce + 8..nonce + 11, &mut keys).await;
    }
    assert_in_order(&keys);
}

#[tokio::test]
async fn a_server_that_was_started_again_goes_on_above_what_was_reserved() {
    let world = World::create().await;
    full_room(&world).await;
    let mut redis = RedisServer::start().await;
    let url = format!("redis://{}", redis.target());
    let app = world
        .gateway_on(&url, world.database.options(), generous())
        .await;
    app.join(1).await.claimed(&app).await;
    let mut keys = Vec::new();
    join(&app, 2..4, &mut keys).await;
    redis.restart().await;
    join(&app, 4..6, &mut keys).await;
    assert_in_order(&keys);
    // A second of what it gave may have been lost, whatever it wrote down.
    let second = 1_000 << 10;
    assert!(keys[2] > keys[1] + second, "{keys:?}");
}

#[tokio::test]
async fn without_postgresql_joining_goes_on_for_an_hour() {
    let world = World::create().await;
    full_room(&world).await;
    let (app, proxy) = behind_database_proxy(&world).await;
    app.join(1).await.claimed(&app).await;
    let mut keys = Vec::new();
    let early = join(&app, 2..3, &mut keys).await;
    let record = app.rooms.get(&"eras".parse().unwrap()).unwrap().record();
    let at = RoomRef {
        room: "eras".parse().unwrap(),
        epoch: record.epoch,
    };
    let store = redis_store(&redis_url(), &world.prefix);
    eventually("the reservation", async || {
        let state = store.keys_state(&at).await.unwrap();
        (state.limit >= state.clock + (3_600_000 << 10)).then_some(())
    })
    .await;
    proxy.set(Line::Cut);
    world.clock.advance(Duration::from_mins(59));
    join(&app, 3..5, &mut keys).await;
    // The reservation ends: who has a key is still served, and nobody gets one.
    world.clock.advance(Duration::from_mins(22));
    let path = "/_line/v1/rooms/eras/places";
    for _ in 0..2 {
        let refused = app.send(Method::POST, path, &[], "").await;
        refused.assert_problem(503, "line-unavailable");
        assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
        early[0].look(&app).await;
    }
    proxy.set(Line::Up);
    join(&app, 5..7, &mut keys).await;
    assert_in_order(&keys);
}

#[tokio::test]
async fn without_postgresql_a_server_that_took_over_gives_no_key() {
    let world = World::create().await;
    full_room(&world).await;
    let mut redis = RedisServer::start().await;
    let options = world.database.options();
    let target = format!("{}:{}", options.get_host(), options.get_port());
    let proxy = TcpProxy::start(target).await;
    let options = options
        .host(&proxy.address.ip().to_string())
        .port(proxy.address.port());
    let url = format!("redis://{}", redis.target());
    let app = world.gateway_on(&url, options, generous()).await;
    app.join(1).await.claimed(&app).await;
    let mut keys = Vec::new();
    let early = join(&app, 2..3, &mut keys).await;
    proxy.set(Line::Cut);
    redis.restart().await;
    let path = "/_line/v1/rooms/eras/places";
    let refused = app.send(Method::POST, path, &[], "").await;
    refused.assert_problem(503, "line-unavailable");
    eventually("the server", async || {
        let answer = early[0].call(&app, Method::GET, "place").await;
        answer.status.is_success().then_some(())
    })
    .await;
    let refused = app.send(Method::POST, path, &[], "").await;
    refused.assert_problem(503, "line-unavailable");
    proxy.set(Line::Up);
    join(&app, 3..5, &mut keys).await;
    assert_in_order(&keys);
}

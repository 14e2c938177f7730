//! A room keeps its rate when the servers behind it are far away.

use std::time::Duration;

use contract::room::{LimitedBy, Override, RoomStats};
use futures_util::future::join_all;
use gateway::figures::RoomFigures;
use gateway::ops::Figures;
use serde_json::json;
use test_support::tcp_proxy::TcpProxy;

use crate::outages::{behind_database_proxy, behind_redis_proxy};
use crate::test_app::{TestApp, World, eventually};

/// Calls a second.
const RATE: u64 = 30;
/// How long calls are counted.
const SECONDS: u64 = 4;

async fn stats(app: &TestApp) -> RoomStats {
    let figures = RoomFigures {
        rooms: app.rooms.clone(),
        proxy: app.proxy.clone(),
    };
    let stats = figures.stats(&"eras".parse().unwrap()).await.unwrap();
    stats.unwrap()
}

/// The room queues and its rate is kept, with `proxy` in front of one of its servers and 80 ms for
/// the way there and back.
async fn keeps_its_rate(world: &World, app: &TestApp, proxy: &TcpProxy) {
    join_all((0..=255).map(|nonce| app.join(nonce))).await;
    proxy.delay(Duration::from_millis(40));
    world.word(Override::Open, None).await;
    eventually("the first calls", async || {
        (stats(app).await.calls_total > RATE / 2).then_some(())
    })
    .await;
    let before = stats(app).await.calls_total;
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let calls = stats(app).await.calls_total - before;
    // A busy machine may lose a few ticks; with a way to the server for each statement of a batch,
    // a third would be left.
    assert!(calls >= RATE * SECONDS * 3 / 4, "{calls}");
    assert!(calls <= RATE * (SECONDS + 1), "{calls}");
}

async fn paused(world: &World) {
    world
        .room(json!({"newUsersPerMinute": RATE * 60, "totalActiveUsers": 10_000}))
        .await;
    world.word(Override::Pause, None).await;
}

#[tokio::test]
async fn a_room_keeps_its_rate_far_from_the_database_and_says_when_it_cannot() {
    let world = World::create().await;
    paused(&world).await;
    let (app, proxy) = behind_database_proxy(&world).await;
    keeps_its_rate(&world, &app, &proxy).await;
    proxy.delay(Duration::from_millis(150));
    eventually("the reason", async || {
        (stats(&app).await.limited_by == Some(LimitedBy::Database)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_room_keeps_its_rate_far_from_the_store_and_says_when_it_cannot() {
    let world = World::create().await;
    paused(&world).await;
    let (app, proxy) = behind_redis_proxy(&world).await;
    keeps_its_rate(&world, &app, &proxy).await;
    proxy.delay(Duration::from_millis(150));
    eventually("the reason", async || {
        (stats(&app).await.limited_by == Some(LimitedBy::Latency)).then_some(())
    })
    .await;
}

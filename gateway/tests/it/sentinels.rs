//! A line on the server that Redis Sentinel calls the master.

use http::Method;
use serde_json::json;
use test_support::sentinels::Watched;

use crate::failovers::{assert_in_order, join};
use crate::test_app::{World, eventually, generous};

#[tokio::test]
async fn a_line_goes_on_at_the_master_that_the_sentinels_name() {
    let world = World::create().await;
    world.room(json!({"totalActiveUsers": 1})).await;
    let mut servers = Watched::start().await;
    let app = world
        .gateway_on(&servers.url(), world.database.options(), generous())
        .await;
    let inside = app.join(1).await;
    inside.claimed(&app).await;
    let mut keys = Vec::new();
    let early = join(&app, 2..5, &mut keys).await;
    servers.first.is_copied().await;
    servers.first.kill().await;
    // Whoever waits is known there, in the old order, and newcomers come behind them.
    for fan in &early {
        eventually("the place", async || {
            let answer = fan.call(&app, Method::GET, "place").await;
            answer.status.is_success().then_some(())
        })
        .await;
    }
    let path = "/_line/v1/rooms/eras/places";
    eventually("the new master", async || {
        let joined = app.send(Method::POST, path, &[], "").await;
        joined.status.is_success().then_some(())
    })
    .await;
    join(&app, 5..8, &mut keys).await;
    assert_in_order(&keys);
    inside.call(&app, Method::DELETE, "pass").await;
    early[0].claimed(&app).await;
}

#[tokio::test]
async fn a_master_that_hangs_is_left_for_the_one_that_takes_over() {
    let world = World::create().await;
    world.room(json!({"totalActiveUsers": 1})).await;
    let servers = Watched::start().await;
    let app = world
        .gateway_on(&servers.url(), world.database.options(), generous())
        .await;
    app.join(1).await.claimed(&app).await;
    let mut keys = Vec::new();
    join(&app, 2..4, &mut keys).await;
    servers.first.is_copied().await;
    servers.first.hang().await;
    eventually("the new master", async || {
        let path = "/_line/v1/rooms/eras/places";
        let joined = app.send(Method::POST, path, &[], "").await;
        joined.status.is_success().then_some(())
    })
    .await;
    // It goes on as a master for a moment, and takes nobody.
    servers.first.go_on().await;
    join(&app, 4..8, &mut keys).await;
    assert_in_order(&keys);
    let of_second: u64 = servers.second.ask(&["DBSIZE"]).await;
    assert!(of_second > 0);
}

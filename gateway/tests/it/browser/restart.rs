//! The gateway ends and starts again while a page waits.

use serde_json::{Value, json};

use super::chromium::{Browser, Kind};
use super::stage::{SHOW, Stage};

#[tokio::test]
async fn a_waiting_page_keeps_its_place_over_a_restart() {
    let mut stage = Stage::set(json!({})).await;
    let places = [
        stage.rival().await,
        stage.rival().await,
        stage.rival().await,
    ];
    stage.goes_in(&places[0]).await;
    let fan = Browser::start("restart", Kind::DESKTOP).await;
    fan.open(&stage.line_url()).await;
    fan.reads("#ahead", "2").await;
    fan.reads("#link", "Live").await;
    let before = standing(&stage, &fan).await;
    // A show that is looked at has a writer of its own, which has to end as well.
    let map = format!("/api/v1/shows/{SHOW}/seatmap");
    stage.ask_as(&fan, &map).await;

    stage.stop().await;
    fan.mentions("#link", "reconnecting").await;
    fan.picture("01-away").await;
    // What it knew stays on the page.
    fan.reads("#ahead", "2").await;

    stage.start_again().await;
    fan.reads("#link", "Live").await;
    fan.picture("02-back").await;
    fan.reads("#ahead", "2").await;
    assert_eq!(standing(&stage, &fan).await, before);

    // Who was ahead is called first, and who was inside still is.
    stage.goes_home(&places[0]).await;
    stage.goes_in(&places[1]).await;
    fan.reads("#ahead", "1").await;
    stage.goes_home(&places[1]).await;
    stage.goes_in(&places[2]).await;
    fan.reads("#headline", "You are next").await;
    stage.goes_home(&places[2]).await;
    fan.reads("#headline", "It is your turn").await;
}

/// What must never change while a fan waits.
async fn standing(stage: &Stage, fan: &Browser) -> (Value, Value) {
    let path = format!("/_line/v1/rooms/{}/place", stage.room);
    let place = stage.ask_as(fan, &path).await;
    (place["queueNumber"].clone(), place["orderKey"].clone())
}

//! What a fan can check of the draw.

use serde_json::json;

use super::chromium::{Browser, Kind};
use super::stage::Stage;

#[tokio::test]
async fn a_fan_checks_the_draw_after_the_opening() {
    let gathering = json!({ "prequeueOpensAt": "2020-01-01T00:00:00Z", "opensAt": null });
    let stage = Stage::set(gathering).await;
    stage.rival().await;
    let fan = Browser::start("draw", Kind::DESKTOP).await;
    fan.open(&stage.line_url()).await;
    fan.reads("#headline", "You are in for the draw").await;
    stage.rival().await;
    fan.picture("01-prequeue").await;

    fan.clicks("#draw summary").await;
    fan.clicks("#draw-check").await;
    fan.mentions("#draw-result", "published at opening").await;

    stage.command("open", json!({})).await;
    // In line or called already: that is for the lot to say.
    fan.reads_as("#headline", |now| now != "You are in for the draw")
        .await;
    fan.clicks("#draw-check").await;
    let said = fan.mentions("#draw-result", "It is right.").await;
    fan.picture("02-checked").await;

    let place = stage
        .ask_as(&fan, &format!("/_line/v1/rooms/{}/place", stage.room))
        .await;
    let key = place["orderKey"].as_str().expect("an order key");
    assert!(said.contains(key), "{said:?} does not name {key}");
}

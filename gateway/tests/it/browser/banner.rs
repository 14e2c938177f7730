//! A fan who waits and goes on browsing the shop.

use http::Method;
use serde_json::json;

use super::chromium::{Browser, Kind};
use super::stage::{SHOW, Stage, TITLE};
use super::until;

#[tokio::test]
async fn whoever_browses_on_stays_in_line_and_is_told_of_the_turn() {
    let stage = Stage::set(json!({})).await;
    let [first, second] = [stage.rival().await, stage.rival().await];
    stage.goes_in(&first).await;
    let fan = Browser::start("banner", Kind::DESKTOP).await;
    fan.open(&stage.line_url()).await;
    fan.reads("#ahead", "1").await;
    let absent = async |count: u64| {
        until(&format!("{count} absent"), async || {
            let path = format!("/rooms/{}/stats", stage.room);
            let stats = stage.operate(Method::GET, &path, None).await;
            (stats["absent"] == count).then_some(())
        })
        .await;
    };

    // With no page of the site open, the fan is as absent as the rival without a browser.
    fan.open("about:blank").await;
    absent(2).await;
    fan.open(&stage.url("/")).await;
    let standing = fan.mentions("#place-text", "Ahead of you: 1").await;
    assert!(standing.contains("Estimated wait: "), "{standing}");
    fan.reads("#place-link", "See your place").await;
    absent(1).await;
    // Numbers follow the line, on every page of the shop.
    fan.clicks(".cities a").await;
    fan.arrives_at("/cities/mumbai").await;
    fan.mentions("#place-text", "Ahead of you: 1").await;
    stage.goes_home(&first).await;
    stage.goes_in(&second).await;
    fan.mentions("#place-text", "Ahead of you: nobody").await;
    fan.picture("01-banner").await;

    stage.goes_home(&second).await;
    let turn = fan.mentions("#place-text", "It is your turn").await;
    assert!(turn.starts_with(TITLE), "{turn}");
    fan.reads("#place-link", "Enter now").await;
    assert_eq!(fan.attribute("#place-text", "role").await, "status");
    let title = fan.script("return document.title", &[]).await;
    assert!(
        title.as_str().unwrap().starts_with("It is your turn"),
        "{title}"
    );
    fan.picture("02-turn").await;
    fan.clicks("#place-link").await;
    fan.arrives_at(&format!("/shows/{SHOW}/seats")).await;
    stage.has_inside(1).await;
    assert!(!fan.has("#place-banner").await, "inside, nobody waits");
}

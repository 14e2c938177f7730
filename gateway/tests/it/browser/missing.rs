//! Browsers that lack something: it never hides the way in.

use serde_json::json;

use super::chromium::{Browser, Kind};
use super::stage::Stage;

/// The words of a page that knows the fan's place.
const PLACED: &str = "You are";

#[tokio::test]
async fn without_its_script_the_page_still_follows_the_line() {
    let stage = Stage::set(json!({})).await;
    let [first, second] = [stage.rival().await, stage.rival().await];
    stage.goes_in(&first).await;
    let fan = Browser::start("broken", Kind::DESKTOP).await;
    fan.before_each_page("delete window.URL").await;
    fan.open(&stage.line_url()).await;
    fan.clicks("#join-button").await;
    fan.mentions("#headline", PLACED).await;
    fan.reads("#ahead", "1").await;
    stage.goes_home(&first).await;
    stage.goes_in(&second).await;
    stage.goes_home(&second).await;
    fan.reads("#headline", "It is your turn").await;
    fan.clicks("#enter").await;
    fan.arrives_at("/shows/").await;
}

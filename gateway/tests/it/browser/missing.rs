//! Browsers that lack something: it never hides the way in.

use serde_json::json;

use super::chromium::{Browser, Kind};
use super::stage::Stage;
use super::until;

/// What the page's scripts use, one thing a line, as a script that takes it away.
const MISSING: [&str; 16] = [
    "delete AbortSignal.timeout",
    "delete window.AbortController",
    "delete window.fetch",
    "delete window.WebSocket",
    "delete window.EventSource",
    "delete window.WebSocket; delete window.EventSource",
    "delete window.Notification; delete window.AudioContext",
    "delete window.Intl",
    "delete window.URL",
    "delete window.btoa",
    "delete Crypto.prototype.getRandomValues; delete Crypto.prototype.randomUUID",
    "delete window.structuredClone; delete Array.prototype.at; delete String.prototype.replaceAll",
    "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no') } })",
    "delete Element.prototype.toggleAttribute; delete Array.prototype.find",
    "window.fetch = () => Promise.reject(new TypeError('Failed to fetch'))",
    "delete Promise.race; delete Promise.prototype.finally",
];

/// The words of a page that knows the fan's place.
const PLACED: &str = "You are";

#[tokio::test]
async fn whatever_a_browser_lacks_there_is_a_place_or_a_form_that_gives_one() {
    let stage = Stage::set(json!({})).await;
    stage.goes_in(&stage.rival().await).await;
    for script in MISSING {
        let fan = Browser::start("missing", Kind::DESKTOP).await;
        fan.before_each_page(script).await;
        fan.open(&stage.line_url()).await;
        let what = format!("a place or a form without: {script}");
        let form = until(&what, async || {
            let headline = fan.text("#headline").await?;
            if headline.starts_with(PLACED) {
                return Some(false);
            }
            let said = fan.text("#refused").await.is_some();
            let label = fan.text("#join-button").await;
            // Before a script joins, the form is there for a moment; one that gave up says so,
            // and one that never ran leaves it.
            let stays = said || fan.count("[data-scripted]").await == 0;
            (label.is_some() && stays).then_some(true)
        })
        .await;
        if form {
            fan.clicks("#join-button").await;
            fan.mentions("#headline", PLACED).await;
        }
    }
}

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

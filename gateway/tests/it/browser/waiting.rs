//! The waiting page with its script: what it says, and that a call is never missed.

use serde_json::json;

use super::chromium::{Browser, Kind};
use super::stage::{SHOW, Stage};
use super::until;

#[tokio::test]
async fn behind_a_plain_nginx_a_fan_joins_waits_is_called_and_enters() {
    let stage = Stage::behind_nginx(json!({ "claimWindowSeconds": 20 })).await;
    let first = stage.rival().await;
    stage.goes_in(&first).await;
    let fan = Browser::start("nginx", Kind::DESKTOP).await;
    fan.open(&stage.line_url()).await;
    fan.reads("#headline", "You are next").await;
    // nginx passes no WebSocket on unless told to, but an event stream.
    fan.reads("#link", "Live").await;
    stage
        .command("pause", json!({ "reason": "One moment." }))
        .await;
    fan.reads("#lede", "One moment.").await;
    stage.command("resume", json!({})).await;
    stage.goes_home(&first).await;
    // By itself, well before the turn is over.
    fan.arrives_at(&format!("/shows/{SHOW}/seats")).await;
    stage.has_inside(1).await;
}

#[tokio::test]
async fn by_tls_page_and_socket_share_a_connection_of_http_2() {
    let stage = Stage::encrypted(json!({ "claimWindowSeconds": 20 })).await;
    let first = stage.rival().await;
    stage.goes_in(&first).await;
    let fan = Browser::start("tls", Kind::DESKTOP).await;
    fan.open(&stage.line_url()).await;
    fan.reads("#headline", "You are next").await;
    fan.reads("#link", "Live").await;
    let spoken = "return performance.getEntriesByType('navigation')[0].nextHopProtocol";
    assert_eq!(fan.script(spoken, &[]).await, "h2");
    // One that the browser opened in advance and says nothing on is closed after a while.
    until("one connection", async || {
        let of_fan = "ropeline_edge_connections{listener=\"public-tls\"} 1\n";
        stage.metrics().await.contains(of_fan).then_some(())
    })
    .await;
    stage
        .command("pause", json!({ "reason": "One moment." }))
        .await;
    fan.reads("#lede", "One moment.").await;
    stage.command("resume", json!({})).await;
    stage.goes_home(&first).await;
    fan.arrives_at(&format!("/shows/{SHOW}/seats")).await;
    stage.has_inside(1).await;
}

#[tokio::test]
async fn a_tab_whose_intervals_stand_still_goes_in_all_the_same() {
    let stage = Stage::set(json!({ "claimWindowSeconds": 20 })).await;
    let first = stage.rival().await;
    stage.goes_in(&first).await;
    let fan = Browser::start("asleep", Kind::DESKTOP).await;
    fan.before_each_page("window.setInterval = () => 0").await;
    fan.open(&stage.line_url()).await;
    fan.reads("#headline", "You are next").await;
    stage.goes_home(&first).await;
    fan.arrives_at(&format!("/shows/{SHOW}/seats")).await;
}

#[tokio::test]
async fn a_page_loaded_ahead_of_time_takes_no_place_before_it_is_shown() {
    let stage = Stage::set(json!({})).await;
    stage.goes_in(&stage.rival().await).await;
    let fan = Browser::start("ahead", Kind::DESKTOP).await;
    let ahead = "let ahead = true;\
        Object.defineProperty(Document.prototype, 'prerendering', { get: () => ahead });\
        window.show = () => { ahead = false; \
            document.dispatchEvent(new Event('prerenderingchange')); };";
    fan.before_each_page(ahead).await;
    fan.open(&stage.line_url()).await;
    fan.reads("#headline", "Join the line").await;
    assert_eq!(fan.count("[data-scripted]").await, 0);
    assert_eq!(fan.cookies().await, "");
    fan.script("show()", &[]).await;
    fan.mentions("#headline", "You are").await;
}

//! A network that dies without a word.

use std::time::Duration;

use serde_json::json;
use test_support::tcp_proxy::{Line, TcpProxy};

use super::chromium::{Browser, Kind};
use super::nginx::free_addrs;
use super::stage::{Rival, Stage};

/// Whoever is called this soon after joining goes in at once, and reads nothing.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A room reached through a network that can be cut, with one fan inside and no room for another.
async fn behind_a_network() -> (TcpProxy, Stage, Rival) {
    let [_, gateway] = free_addrs();
    let network = TcpProxy::start(gateway.to_string()).await;
    let url = format!("http://{}", network.address);
    let stage = Stage::reached_at(&url, gateway, json!({})).await;
    let first = stage.rival().await;
    stage.goes_in(&first).await;
    (network, stage, first)
}

#[tokio::test]
async fn a_page_whose_network_fell_silent_finds_out_by_itself_that_it_is_its_turn() {
    let (network, stage, first) = behind_a_network().await;
    let fan = Browser::start("silence", Kind::DESKTOP).await;
    fan.open(&stage.line_url()).await;
    fan.reads("#headline", "You are next").await;
    fan.reads("#link", "Live").await;

    tokio::time::sleep(AT_ONCE).await;
    // Whatever is open stays open and carries nothing; what is opened from now on works.
    network.set(Line::Replaced);
    stage.goes_home(&first).await;
    fan.reads("#headline", "It is your turn").await;
    fan.reads("#link", "Live").await;
}

#[tokio::test]
async fn a_page_that_is_seen_again_does_not_trust_an_old_connection() {
    let (network, stage, first) = behind_a_network().await;
    let fan = Browser::start("lid", Kind::DESKTOP).await;
    // The page's own watch never goes off, as in a machine that sleeps.
    fan.before_each_page(
        "const timer = window.setTimeout; \
         window.setTimeout = (run, ms) => timer(run, ms === 10000 ? 1e9 : ms);",
    )
    .await;
    fan.open(&stage.line_url()).await;
    fan.reads("#headline", "You are next").await;
    fan.reads("#link", "Live").await;
    tokio::time::sleep(AT_ONCE).await;
    network.set(Line::Replaced);
    // What was under way arrives: heard after the question, it would be taken for an answer.
    tokio::time::sleep(AT_ONCE).await;
    stage.goes_home(&first).await;
    let seen = "document.dispatchEvent(new Event('visibilitychange'))";
    fan.script(seen, &[]).await;
    fan.reads("#headline", "It is your turn").await;
}

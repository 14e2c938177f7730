//! A fan's status as server-sent events.

use serde_json::json;

use crate::serving::within;
use crate::test_app::{TestApp, World};

/// Opens the stream of a new fan and gives the answer.
async fn stream(app: &TestApp, nonce: u8) -> reqwest::Response {
    let fan = app.join(nonce).await;
    let url = app.server.url("/_line/v1/rooms/eras/place/live");
    let request = app.http.get(url).header("accept", "text/event-stream");
    let request = request.header("authorization", fan.bearer());
    within("the answer", request.send()).await.unwrap()
}

/// Reads until the text so far has `words`.
async fn read_to(answer: &mut reqwest::Response, words: &str) -> String {
    let mut text = String::new();
    within(words, async {
        while !text.contains(words) {
            let chunk = answer.chunk().await.unwrap().expect("the stream ended");
            text.push_str(str::from_utf8(&chunk).unwrap());
        }
    })
    .await;
    text
}

/// The numbers of all `retry:` fields.
fn retries(text: &str) -> Vec<u64> {
    let fields = text.lines().filter_map(|line| line.strip_prefix("retry:"));
    fields.map(|ms| ms.trim().parse().unwrap()).collect()
}

#[tokio::test]
async fn no_proxy_is_to_hold_a_stream_back_and_it_shows_that_it_lives() {
    let world = World::create().await;
    world.room(json!({ "totalActiveUsers": 0 })).await;
    let app = world.gateway().await;
    let mut answer = stream(&app, 1).await;
    assert_eq!(answer.headers()["x-accel-buffering"], "no");
    let text = read_to(&mut answer, "event: heartbeat").await;
    assert!(text.starts_with("event: status\n"), "{text}");
}

#[tokio::test]
async fn listeners_who_come_back_by_themselves_come_back_spread_out() {
    let world = World::create().await;
    world.room(json!({ "totalActiveUsers": 0 })).await;
    let app = world.gateway().await;
    let mut answers = Vec::new();
    for nonce in 1..=8 {
        let mut answer = stream(&app, nonce).await;
        let first = read_to(&mut answer, "\n\n").await;
        assert_eq!(
            retries(&first).len(),
            1,
            "for when the gateway is killed: {first}"
        );
        answers.push(answer);
    }
    app.stop.cancel();
    let mut waits = Vec::new();
    for answer in &mut answers {
        let text = read_to(answer, "event: reconnect").await;
        let rest = within("the end", answer.chunk()).await.unwrap();
        let rest = rest.map_or_else(String::new, |rest| {
            String::from_utf8_lossy(&rest).into_owned()
        });
        waits.extend(retries(&(text + &rest)));
    }
    assert_eq!(waits.len(), answers.len(), "{waits:?}");
    assert!(
        waits.iter().all(|ms| (200..5_200).contains(ms)),
        "{waits:?}"
    );
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() >= 6, "spread out: {waits:?}");
}

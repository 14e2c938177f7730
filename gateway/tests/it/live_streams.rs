//! A fan's status as server-sent events.

use contract::Clock;
use http::{Method, StatusCode};
use serde_json::json;

use crate::serving::within;
use crate::test_app::{CONNECTIONS_PER_PLACE_MAX, Fan, TestApp, World, eventually};

const LIVE: &str = "/_line/v1/rooms/eras/place/live";

/// Opens the stream of a new fan and gives the answer.
async fn stream(app: &TestApp, nonce: u8) -> reqwest::Response {
    let fan = app.join(nonce).await;
    stream_of(app, &fan).await
}

async fn stream_of(app: &TestApp, fan: &Fan) -> reqwest::Response {
    let url = app.server.url(LIVE);
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

#[tokio::test]
async fn a_place_has_so_many_connections_and_no_more() {
    let world = World::create().await;
    world.room(json!({ "totalActiveUsers": 0 })).await;
    let app = world.gateway().await;
    let (fan, other) = (app.join(1).await, app.join(2).await);
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS_PER_PLACE_MAX {
        let mut answer = stream_of(&app, &fan).await;
        read_to(&mut answer, "\n\n").await;
        open.push(answer);
    }
    let bearer = fan.bearer();
    let events = ("accept", "text/event-stream");
    let socket = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for headers in [&[events][..], &socket] {
        let headers: Vec<_> = [("authorization", &bearer[..])]
            .into_iter()
            .chain(headers.iter().copied())
            .collect();
        let refused = app.get(LIVE, &headers).await;
        refused.assert_problem(429, "rate-limited");
        assert!(refused.headers.contains_key("retry-after"));
    }
    assert_eq!(stream_of(&app, &other).await.status(), StatusCode::OK);
    // Polls tell whoever has too many.
    assert!(fan.look(&app).await.users_in_line > 0);
    drop(open.pop());
    let again = eventually("a place for one more", async || {
        let answer = stream_of(&app, &fan).await;
        (answer.status() == StatusCode::OK).then_some(answer)
    });
    read_to(&mut again.await, "event: status").await;
}

#[tokio::test]
async fn the_head_alone_is_answered_and_makes_nobody_present() {
    let world = World::create().await;
    world.room(json!({ "totalActiveUsers": 0 })).await;
    let app = world.gateway().await;
    let fan = app.join(1).await;
    let room = app.rooms.get(&"eras".parse().unwrap()).unwrap();
    let absent = async || {
        let now = world.clock.now();
        let taken = room.parts.store.snapshot_take(&room.store_ref(), now).await;
        taken.unwrap().counts.absent
    };
    let bearer = fan.bearer();
    let place = ("authorization", &bearer[..]);
    let events = ("accept", "text/event-stream");
    let upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let head = app.send(Method::HEAD, LIVE, &[place, events], "").await;
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.header("content-type"), "text/event-stream");
    assert_eq!(head.header("x-accel-buffering"), "no");
    assert!(head.body.is_empty());
    for (headers, status) in [
        (&[events][..], 401),
        (&[place], 400),
        (
            &[place, upgrade[0], upgrade[1], upgrade[2], upgrade[3]],
            400,
        ),
    ] {
        let refused = app.send(Method::HEAD, LIVE, headers, "").await;
        assert_eq!(refused.status.as_u16(), status, "{headers:?}");
        assert!(refused.headers.contains_key("x-request-id"));
    }
    assert_eq!(absent().await, 1);
    assert_eq!(room.sockets.count(), 0);
    // Who listens is present.
    let mut answer = stream_of(&app, &fan).await;
    read_to(&mut answer, "event: status").await;
    assert_eq!(absent().await, 0);
}

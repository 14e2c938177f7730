//! The status of a visitor in the words of Cloudflare's waiting room.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::test_app::{TestApp, World, eventually};

async fn status(app: &TestApp, cookie: &str) -> Value {
    let headers = [("accept", "application/json"), ("cookie", cookie)];
    let answer = app.get("/_line/v1/rooms/eras/status", &headers).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.json()["cfWaitingRoom"].clone()
}

#[tokio::test]
async fn a_visitor_waits_until_called_in_cloudflares_words() {
    let world = World::create().await;
    world
        .room(json!({"newUsersPerMinute": 0, "rateCeilingPerMinute": null}))
        .await;
    let app = world.gateway().await;
    let outside = status(&app, "a=b").await;
    assert_eq!(outside["inWaitingRoom"], false);
    let fan = app.join(1).await;
    let waits = status(&app, &fan.cookie).await;
    assert_eq!(waits["inWaitingRoom"], true);
    assert_eq!(waits["queueAll"], true);
    assert_eq!(waits["queueIsFull"], false);
    assert_eq!(waits["isFIFOQueue"], true);
    assert_eq!(waits["isRandomQueue"], false);
    assert_eq!(waits["shuffleAtEventStart"], false);
    for number in ["waitTime", "waitTime50Percentile", "refreshIntervalSeconds"] {
        assert!(waits[number].is_u64(), "{number}: {waits}");
    }
    let known = waits["waitTimeKnown"].as_bool().unwrap();
    let said = waits["waitTimeFormatted"].as_str().unwrap();
    assert_eq!(said != "unavailable", known, "{waits}");
    assert!(waits["lastUpdated"].as_str().unwrap().ends_with('Z'));
    let left = fan.call(&app, Method::DELETE, "place").await;
    assert_eq!(left.status, StatusCode::NO_CONTENT);
    eventually("the end of waiting", async || {
        let after = status(&app, &fan.cookie).await;
        (after["inWaitingRoom"] == false).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_is_called_waits_no_more() {
    let world = World::create().await;
    world.room(json!({})).await;
    let app = world.gateway().await;
    let fan = app.join(1).await;
    eventually("the call", async || {
        let status = status(&app, &fan.cookie).await;
        (status["inWaitingRoom"] == false).then_some(())
    })
    .await;
    let pass = fan.claim(&app).await;
    assert_eq!(pass.status, StatusCode::OK, "{}", pass.text());
}

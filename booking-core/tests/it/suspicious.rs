//! Steps of suspicious customers, and what they and operators read.

use serde_json::{Value, json};
use web::challenge::solve;

use crate::fan::{Answer, Fan};
use crate::test_shop::TestShop;

/// Starts a payment with this address and solution.
pub(crate) async fn start(fan: &Fan, hold: &str, email: &str, proof: Option<&str>) -> Answer {
    let mut body = json!({ "email": email });
    if let Some(proof) = proof {
        body["proof"] = json!(proof);
    }
    fan.post(&format!("{hold}/payments"), &body).await
}

/// The solution of the challenge that `answer` asks for.
#[track_caller]
pub(crate) fn solved(answer: &Answer) -> String {
    assert_eq!(
        (answer.status, answer.code()),
        (403, "challenge-required"),
        "{}",
        answer.text
    );
    assert_eq!(answer.json["challengeType"], "proof-of-work");
    solve(&answer.json["challenge"]).unwrap()
}

/// Starts a payment, with as many challenges as it takes, and returns the answer.
pub(crate) async fn started(fan: &Fan, hold: &str, email: &str) -> Answer {
    let first = start(fan, hold, email, None).await;
    if first.status != 403 {
        return first;
    }
    start(fan, hold, email, Some(&solved(&first))).await
}

/// Confirms the payment of `started`.
pub(crate) async fn confirmed(fan: &Fan, hold: &str, started: &Answer) -> Answer {
    let body = json!({"paymentIntentId": started.json["paymentIntentId"]});
    fan.post(&format!("{hold}/confirm"), &body).await
}

/// Nothing in an answer to a fan says what was noticed.
#[track_caller]
pub(crate) fn assert_says_nothing(answer: &Answer) {
    let text = answer.text.to_lowercase();
    for word in [
        "fraud",
        "risk",
        "score",
        "signal",
        "suspicious",
        "decline",
        "limit",
        "review",
        "points",
    ] {
        // The reason of a refusal has one name for all of them, which the contract gives it.
        let text = text.replace("\"reason\":\"fraud\"", "");
        assert!(!text.contains(word), "{word}: {text}");
    }
}

/// The reviews that wait, as operators see them.
pub(crate) async fn waiting(shop: &TestShop) -> Vec<Value> {
    let answer = Fan::new(shop.process.booking.admin().0)
        .get("/admin/v1/reviews")
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["reviews"].as_array().unwrap().clone()
}

/// The points of a signal in a review.
pub(crate) fn points(review: &Value, signal: &str) -> u64 {
    let signals = review["signals"].as_array().unwrap();
    let found = signals.iter().find(|it| it["signal"] == signal);
    found.map_or(0, |it| it["points"].as_u64().unwrap())
}

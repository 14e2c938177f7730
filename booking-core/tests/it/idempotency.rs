//! `Idempotency-Key`.

use std::time::Duration;

use futures_util::future::join_all;
use sqlx::Executor;

use crate::test_shop::TestShop;

#[tokio::test]
async fn the_same_request_again_gets_the_same_answer() {
    let shop = TestShop::new().await;
    let fan = shop.fan().with_header("idempotency-key", "key-1");
    // The first answer is lost, and the cookie with it.
    let first = shop
        .fan()
        .with_header("idempotency-key", "key-1")
        .hold(&["A1"])
        .await;
    let again = fan.hold(&["A1"]).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.json, again.json);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let hold = format!("/api/v1/holds/{}", again.json["holdId"].as_str().unwrap());
    assert_eq!(fan.get(&hold).await.status, 200);
    shop.assert_clean().await;
}

#[tokio::test]
async fn the_same_key_for_another_request_is_refused() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    fan.held(&["B1"]).await;
    let keyed = fan.with_header("idempotency-key", "key-1");
    assert_eq!(keyed.hold(&["A1"]).await.status, 201);
    let other = keyed.hold(&["A2"]).await;
    assert_eq!(
        (other.status, other.code()),
        (422, "idempotency-key-reused")
    );
    // Keys of different customers have nothing to do with each other.
    let stranger = shop.fan();
    stranger.held(&["B2"]).await;
    let keyed = stranger.with_header("idempotency-key", "key-1");
    assert_eq!(keyed.hold(&["A2"]).await.status, 201);
    let empty = shop.fan().with_header("idempotency-key", "");
    assert_eq!(empty.hold(&["A3"]).await.status, 422);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn at_the_same_time_one_does_the_work() {
    let shop = TestShop::new().await;
    let other = shop.another_process().await;
    let fan = shop.fan();
    fan.held(&["B1"]).await;
    let keyed = fan.with_header("idempotency-key", "key-1");
    let answers = join_all((0..10).map(|n| {
        let router = if n % 2 == 0 {
            &shop.process.router
        } else {
            &other.router
        };
        let fan = keyed.at(router.clone());
        async move { fan.hold(&["A1"]).await }
    }))
    .await;
    let held: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .collect();
    assert!(!held.is_empty());
    assert!(held.iter().all(|answer| answer.json == held[0].json));
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!((answer.status, answer.code()), (409, "request-in-progress"));
        assert!(answer.headers.contains_key("retry-after"));
    }
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_refusal_that_may_change_is_not_kept() {
    let shop = TestShop::new().await;
    let winner = shop.fan();
    let hold = winner.held(&["A1"]).await;
    let fan = shop.fan().with_header("idempotency-key", "key-1");
    assert_eq!(fan.hold(&["A1"]).await.code(), "seats-unavailable");
    winner.delete(&hold).await;
    assert_eq!(fan.hold(&["A1"]).await.status, 201);
}

#[tokio::test]
async fn an_open_outcome_is_not_kept_but_a_booking_is() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    let keyed = fan.with_header("idempotency-key", "key-1");
    assert_eq!(keyed.confirm(&hold, &intent).await.status, 202);
    shop.provider.pay(&intent);
    let booked = keyed.confirm(&hold, &intent).await;
    assert_eq!(booked.status, 200);
    let again = keyed.confirm(&hold, &intent).await;
    assert_eq!(again.json, booked.json);
    assert_eq!(again.headers["idempotent-replayed"], "true");
}

#[tokio::test]
async fn a_dead_owner_is_succeeded_after_a_minute_and_its_effect_is_found() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    fan.held(&["B1"]).await;
    let keyed = fan.with_header("idempotency-key", "key-1");
    let first = keyed.hold(&["A1"]).await;
    // As if the process had died after the hold and before it stored the answer.
    let mut database = shop.database.connect().await;
    let forget = "update idempotency_keys set status_code = null, headers = null, body = null";
    database.execute(forget).await.unwrap();
    assert_eq!(keyed.hold(&["A1"]).await.code(), "request-in-progress");
    shop.clock.advance(Duration::from_mins(1));
    let again = keyed.hold(&["A1"]).await;
    assert_eq!(
        (again.status, &again.json["holdId"]),
        (201, &first.json["holdId"])
    );
    shop.assert_clean().await;
}

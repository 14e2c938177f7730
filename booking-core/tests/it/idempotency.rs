//! `Idempotency-Key`.

use std::time::Duration;

use futures_util::future::join_all;
use sqlx::Executor;

use crate::fan::hold_path;
use crate::holds::behind_room;
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
    for answer in &answers {
        // Whoever came while the first was at work waited for its answer.
        assert_eq!(answer.status, 201, "{}", answer.text);
        assert_eq!(answer.json, answers[0].json);
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
async fn a_dead_owner_is_succeeded_after_a_minute() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    let keyed = fan.with_header("idempotency-key", "key-1");
    let first = keyed.confirm(&hold, &intent).await;
    assert_eq!(first.status, 200);
    // As if the process had died after the booking and before it stored the answer.
    let mut database = shop.database.connect().await;
    let forget = "update idempotency_keys set status_code = null, headers = null, body = null";
    database.execute(forget).await.unwrap();
    let early = keyed.confirm(&hold, &intent).await;
    assert_eq!((early.status, early.code()), (409, "request-in-progress"));
    assert!(early.headers.contains_key("retry-after"));
    shop.clock.advance(Duration::from_mins(1));
    let again = keyed.confirm(&hold, &intent).await;
    assert_eq!((again.status, &again.json), (200, &first.json));
    shop.settle().await;
    shop.assert_clean().await;
}

/// Whoever got the first answer sends its cookie along, and is still whoever sent the first.
#[tokio::test]
async fn a_repeat_with_the_new_cookie_is_the_same_request() {
    let shop = TestShop::with(behind_room()).await;
    for (place, fan) in [(1, shop.fan()), (2, shop.fan())] {
        let fan = fan.with_pass("eras", place);
        let fan = fan.with_header("idempotency-key", "key-1");
        let stranger = fan.without_cookies();
        let first = fan.best(2).await;
        assert_eq!(first.status, 201, "{}", first.text);
        let again = fan.best(2).await;
        assert_eq!((again.status, &again.json), (201, &first.json));
        assert_eq!(again.headers["idempotent-replayed"], "true");
        assert_eq!(fan.best(3).await.code(), "idempotency-key-reused");
        // The pass is over, the cookie is left; or the cookie never arrived, the pass did.
        assert_eq!(fan.without_pass().best(2).await.json, first.json);
        assert_eq!(stranger.best(2).await.json, first.json);
    }
    shop.assert_clean().await;
}

#[tokio::test]
async fn what_was_granted_is_told_again_when_it_could_not_be_granted_any_more() {
    let shop = TestShop::new().await;
    let keyed = shop.fan().with_header("idempotency-key", "key-1");
    let first = keyed.hold(&["A1"]).await;
    assert_eq!(first.status, 201, "{}", first.text);
    shop.clock.advance(Duration::from_hours(3600));
    assert_eq!(shop.fan().hold(&["A2"]).await.code(), "sale-not-open");
    assert_eq!(keyed.hold(&["A1"]).await.json, first.json);
}

/// Any number of repeats at any number of processes hold once, although any seats would do.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn repeats_at_several_processes_hold_once() {
    let shop = TestShop::new().await;
    let other = shop.another_process().await;
    for round in 0..8 {
        let fan = shop.fan();
        fan.with_session().await;
        let keyed = fan.with_header("idempotency-key", &format!("key-{round}"));
        let answers = join_all((0..6).map(|n| {
            let routers = [&shop.process.router, &other.router];
            let fan = keyed.at(routers[n % 2].clone());
            async move { fan.best(2).await }
        }))
        .await;
        for answer in &answers {
            assert_eq!(answer.status, 201, "{}", answer.text);
            assert_eq!(answer.json, answers[0].json);
        }
        keyed.delete(&hold_path(&answers[0])).await;
    }
    shop.assert_clean().await;
}

/// The hold and the answer to its key are one transaction: without the one there is not the other.
#[tokio::test]
async fn a_key_that_cannot_be_kept_leaves_no_hold() {
    let shop = TestShop::new().await;
    let mut database = shop.database.connect().await;
    let refuse =
        "alter table idempotency_keys add constraint nothing_fits check (key = '') not valid";
    database.execute(refuse).await.unwrap();
    let keyed = shop.fan().with_header("idempotency-key", "key-1");
    assert_eq!(keyed.hold(&["A1"]).await.status, 500);
    let allow = "alter table idempotency_keys drop constraint nothing_fits";
    database.execute(allow).await.unwrap();
    shop.settle().await;
    assert_eq!(shop.fan().seat("A1").await, "AVAILABLE");
    assert_eq!(keyed.hold(&["A1"]).await.status, 201);
    shop.assert_clean().await;
}

/// Whoever reads the database cannot become a customer.
#[tokio::test]
async fn no_session_is_stored_with_an_answer() {
    let shop = TestShop::new().await;
    let keyed = shop.fan().with_header("idempotency-key", "key-1");
    let first = keyed.hold(&["A1"]).await;
    let cookie = first.headers["set-cookie"].to_str().unwrap();
    let secret = cookie.split(['=', ';']).nth(1).unwrap();
    let mut database = shop.database.connect().await;
    let stored: String = sqlx::query_scalar(
        "select string_agg(k::text || convert_from(body, 'UTF8'), ' ') from idempotency_keys k",
    )
    .fetch_one(&mut database)
    .await
    .unwrap();
    assert!(stored.contains("holdId"), "{stored}");
    assert!(!stored.contains(secret), "{stored}");
}

/// A key that cannot be read is its own request's trouble, not that of the show.
#[tokio::test]
async fn an_unreadable_key_keeps_nobody_else_from_holding() {
    let shop = TestShop::new().await;
    let keyed = shop.fan().with_header("idempotency-key", "key-1");
    assert_eq!(keyed.hold(&["A1"]).await.status, 201);
    shop.meddle("update idempotency_keys set status_code = 100000")
        .await;
    let others = ["B1", "B2", "B3"].map(|seat| {
        let fan = shop.fan();
        async move { fan.hold(&[seat]).await.status }
    });
    let (broken, others) = tokio::join!(keyed.hold(&["A1"]), join_all(others));
    assert_eq!((broken.status, others), (500, vec![201; 3]));
}

/// Whoever repeats a confirmation may be inside again by then, and stays.
#[tokio::test]
async fn a_repeated_confirmation_ends_no_session() {
    let shop = TestShop::with(behind_room()).await;
    let fan = shop.fan().with_pass("eras", 1);
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    let keyed = fan.with_header("idempotency-key", "key-1");
    let first = keyed.confirm(&hold, &intent).await;
    assert_eq!(first.headers["ropeline-command"], "end-session");
    let again = keyed.confirm(&hold, &intent).await;
    assert_eq!(again.json, first.json);
    assert!(!again.headers.contains_key("ropeline-command"));
}

//! What a process does by itself.

use std::time::Duration;

use sqlx::Connection;

use crate::test_shop::{TestShop, eventually};

#[tokio::test]
async fn what_nobody_will_ask_for_again_is_purged() {
    let shop = TestShop::new().await;
    let fan = shop.fan().with_header("idempotency-key", "k1");
    let hold = fan.held(&["A1"]).await;
    let intent = fan
        .clone()
        .with_header("idempotency-key", "k2")
        .intent(&hold)
        .await;
    shop.provider.pay(&intent);
    assert_eq!(shop.webhook("evt_1", &intent).await, 200);
    shop.settle().await;
    let rows = async || {
        let mut database = shop.database.connect().await;
        let counts: (i64, i64, i64) = sqlx::query_as(
            "select (select count(*) from idempotency_keys),
                (select count(*) from payment_events), (select count(*) from outbox)",
        )
        .fetch_one(&mut database)
        .await
        .unwrap();
        database.close().await.unwrap();
        counts
    };
    assert_eq!(shop.process.booking.purge_once().await.unwrap(), 0);
    let (keys, events, news) = rows().await;
    assert!(keys >= 2 && events == 1 && news == 2);
    // A webhook that nobody has understood yet is not old.
    shop.clock.advance(Duration::from_hours(29 * 24));
    shop.meddle(
        "insert into payment_events (provider, event_id, kind, payload, received_at,
            next_attempt_at)
         values ('elsewhere', 'evt_2', 'x', '{}', 'epoch', 'epoch')",
    )
    .await;
    shop.process.booking.purge_once().await.unwrap();
    assert_eq!(rows().await, (0, 2, 2));
    shop.clock.advance(Duration::from_hours(3 * 24));
    // The webhook, both events and the notice.
    assert_eq!(shop.process.booking.purge_once().await.unwrap(), 4);
    assert_eq!(rows().await, (0, 1, 0));
    shop.meddle("delete from payment_events").await;
    shop.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_expire_webhooks_are_understood_and_memory_keeps_up() {
    let shop = TestShop::new().await;
    let process = shop.another_process_with_workers().await;
    let there = shop.fan().at(process.router.clone());
    // Sold here, seen there.
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    eventually("news of the hold", || async {
        there.seat("A1").await == "HELD"
    })
    .await;
    // Paid, and only the webhook says so.
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    assert_eq!(shop.webhook("evt_1", &intent).await, 200);
    eventually("the booking", || async {
        there.seat("A1").await == "BOOKED"
    })
    .await;
    // Abandoned with an open payment, and without one.
    let paying = fan.held(&["A2"]).await;
    let open = fan.intent(&paying).await;
    fan.held(&["A3"]).await;
    eventually("news of the holds", || async {
        there.seat("A3").await == "HELD"
    })
    .await;
    shop.clock.advance(Duration::from_secs(301));
    eventually("expiry", || async { there.seat("A3").await == "AVAILABLE" }).await;
    eventually("expiry with a payment", || async {
        there.seat("A2").await == "AVAILABLE"
    })
    .await;
    assert_eq!(shop.provider.status(&open), "canceled");
    // Taken too much: the refund worker sees to it.
    let wrong = fan.held(&["A4"]).await;
    let intent = fan.intent(&wrong).await;
    shop.provider.pay_wrongly(&intent, 1);
    assert_eq!(fan.confirm(&wrong, &intent).await.status, 402);
    eventually("the refund", || async {
        shop.provider.refunded(&intent) == 1
    })
    .await;
    shop.settle().await;
    shop.assert_clean().await;
    process.kill().await;
}

//! Fans who give seats up while a payment is open, here or in another tab.

use std::time::Duration;

use sqlx::Connection;

use crate::fake_provider::Mood;
use crate::test_shop::{TestShop, eventually};

/// How many statements wait for a row that somebody has locked.
async fn waiting(shop: &TestShop) -> i64 {
    let mut database = shop.database.connect().await;
    let count = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    sqlx::query_scalar(count)
        .fetch_one(&mut database)
        .await
        .unwrap()
}

#[tokio::test]
async fn seats_are_free_only_when_what_another_tab_began_is_closed() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let mut database = shop.database.connect().await;
    // Both wait for the hold: the other tab first, and the release has read that nobody pays.
    let mut lock = database.begin().await.unwrap();
    sqlx::query("select hold_id from holds for update")
        .execute(&mut *lock)
        .await
        .unwrap();
    let order = async {
        eventually("both at the hold", async || waiting(&shop).await == 2).await;
        lock.commit().await.unwrap();
    };
    let tab = fan.clone();
    let release = async {
        eventually("the other tab", async || waiting(&shop).await == 1).await;
        fan.delete(&hold).await
    };
    let (started, released, ()) = tokio::join!(tab.pay(&hold), release, order);
    assert_eq!(released.status, 204, "{}", released.text);
    if fan.seat("A1").await == "AVAILABLE" && shop.provider.intent_count() > 0 {
        assert_eq!(shop.provider.status("pi_1"), "canceled", "{}", started.text);
    }
    shop.clock.advance(Duration::from_secs(16));
    shop.settle().await;
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    assert_eq!(shop.provider.status("pi_1"), "canceled");
    let other = shop.fan();
    let theirs = other.held(&["A1"]).await;
    let intent = other.intent(&theirs).await;
    shop.sells(&other, &theirs, &intent).await;
}

#[tokio::test]
async fn seats_stay_until_a_silent_provider_has_closed_the_page() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.mood(Mood::Down);
    assert_eq!(fan.delete(&hold).await.status, 204);
    assert_eq!(fan.seat("A1").await, "HELD");
    assert_eq!(shop.fan().hold(&["A1"]).await.code(), "seats-unavailable");
    shop.settle().await;
    assert_eq!(fan.seat("A1").await, "HELD");
    shop.provider.mood(Mood::Up);
    assert_eq!(shop.provider.status(&intent), "requires_payment_method");
    // The page is not shown again meanwhile.
    shop.provider
        .decline(&intent, "card_declined", "insufficient_funds");
    assert_eq!(fan.confirm(&hold, &intent).await.status, 410);
    assert_eq!(fan.pay(&hold).await.code(), "hold-expired");
    shop.clock.advance(Duration::from_mins(1));
    shop.settle().await;
    assert_eq!(shop.provider.status(&intent), "canceled");
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    assert_eq!(fan.delete(&hold).await.status, 204);
    shop.assert_clean().await;
}

#[tokio::test]
async fn money_on_its_way_while_seats_are_given_up_is_a_booking() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    // The bank works on it, so it cannot be cancelled.
    shop.provider.set_status(&intent, "processing");
    assert_eq!(fan.delete(&hold).await.status, 204);
    assert_eq!(fan.seat("A1").await, "HELD");
    shop.provider.pay(&intent);
    shop.clock.advance(Duration::from_mins(1));
    shop.settle().await;
    assert_eq!(fan.seat("A1").await, "BOOKED");
    assert_eq!(shop.provider.refund_count(), 0);
    shop.assert_clean().await;
}

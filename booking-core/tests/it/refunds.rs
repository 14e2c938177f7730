//! Money that goes back, and everything that can come in between.

use std::time::Duration;

use sqlx::Connection;

use crate::fake_provider::Mood;
use crate::fan::Fan;
use crate::test_shop::TestShop;

/// A fan whose payment was taken with another amount, and its intent: the money has to go back.
async fn owed(shop: &TestShop, seat: &str) -> (Fan, String) {
    let fan = shop.fan();
    let hold = fan.held(&[seat]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay_wrongly(&intent, 700);
    assert_eq!(fan.confirm(&hold, &intent).await.status, 402);
    (fan, intent)
}

async fn refund_statuses(shop: &TestShop) -> Vec<String> {
    let mut database = shop.database.connect().await;
    let statuses = sqlx::query_scalar("select status from refunds order by created_at")
        .fetch_all(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    statuses
}

#[tokio::test]
async fn a_refund_that_takes_its_time_is_not_worn_out_by_questions() {
    let shop = TestShop::new().await;
    shop.provider.new_refunds_are("pending");
    let (_, intent) = owed(&shop, "A1").await;
    for _ in 0..20 {
        shop.settle().await;
        shop.clock.advance(Duration::from_secs(31));
    }
    shop.provider.mood(Mood::Down);
    shop.settle().await;
    assert_eq!(refund_statuses(&shop).await, ["SUBMITTED"]);
    shop.provider.mood(Mood::Up);
    shop.provider.refund_becomes(&intent, "succeeded");
    // The longer it takes, the less often it is asked about.
    shop.clock.advance(Duration::from_hours(1));
    shop.settle().await;
    assert_eq!(refund_statuses(&shop).await, ["SUCCEEDED"]);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_provider_that_is_away_for_long_refuses_nothing() {
    let shop = TestShop::new().await;
    let (_, intent) = owed(&shop, "A1").await;
    for mood in [Mood::Down, Mood::RateLimited] {
        shop.provider.mood(mood);
        for _ in 0..15 {
            shop.settle().await;
            shop.clock.advance(Duration::from_hours(1));
        }
    }
    assert_eq!(refund_statuses(&shop).await, ["REQUESTED"]);
    shop.provider.mood(Mood::Up);
    shop.settle().await;
    assert_eq!(shop.provider.refunded(&intent), 700);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_refund_that_fails_after_its_success_is_made_again() {
    let shop = TestShop::new().await;
    let (_, intent) = owed(&shop, "A1").await;
    shop.settle().await;
    assert_eq!(shop.provider.balance(), 0);
    for round in 0..2 {
        let failed = shop.provider.refund_becomes(&intent, "failed");
        for event in ["a", "b"] {
            // Twice: a repeated event is no second failure.
            let id = format!("evt_{round}{event}");
            let body = shop.provider.refund_event(&id, "refund.failed", &failed);
            assert_eq!(shop.deliver(body).await, 200);
            shop.process.booking.inbox_once().await.unwrap();
        }
        assert_eq!(refund_statuses(&shop).await, ["FAILED"]);
        // The books say that the money is still ours, and that it is on its way back again.
        shop.assert_clean().await;
        shop.clock.advance(Duration::from_mins(1));
        shop.settle().await;
    }
    assert_eq!(shop.provider.refund_count(), 3);
    assert_eq!(shop.provider.balance(), 0);
    assert_eq!(refund_statuses(&shop).await, ["SUCCEEDED"]);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_refund_that_failed_is_not_the_one_that_is_made_next() {
    let shop = TestShop::new().await;
    shop.provider.new_refunds_are("pending");
    let (_, intent) = owed(&shop, "A1").await;
    shop.settle().await;
    shop.provider.refund_becomes(&intent, "failed");
    shop.provider.new_refunds_are("succeeded");
    for _ in 0..3 {
        shop.clock.advance(Duration::from_secs(31));
        shop.settle().await;
    }
    assert_eq!(shop.provider.refunded(&intent), 700);
    assert_eq!(shop.provider.refund_count(), 2);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_refund() {
    let shop = TestShop::new().await;
    let (_, intent) = owed(&shop, "A1").await;
    shop.provider.mood(Mood::LosesAnswers);
    shop.settle().await;
    // Longer than the provider remembers keys.
    shop.clock.advance(Duration::from_hours(30));
    shop.provider.mood(Mood::Up);
    shop.settle().await;
    assert_eq!(shop.provider.refund_count(), 1);
    assert_eq!(shop.provider.refunded(&intent), 700);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_refund_that_was_given_up_is_taken_up_when_the_provider_speaks_of_it() {
    let shop = TestShop::new().await;
    let (_, intent) = owed(&shop, "A1").await;
    shop.provider.new_refunds_are("failed");
    for _ in 0..14 {
        shop.settle().await;
        shop.clock.advance(Duration::from_hours(2));
    }
    assert_eq!(refund_statuses(&shop).await, ["NEEDS_OPS"]);
    let id = shop.provider.refund_becomes(&intent, "succeeded");
    let body = shop.provider.refund_event("evt_1", "refund.updated", &id);
    assert_eq!(shop.deliver(body).await, 200);
    shop.settle().await;
    assert_eq!(refund_statuses(&shop).await, ["SUCCEEDED"]);
    shop.assert_clean().await;
}

#[tokio::test]
async fn one_refund_that_breaks_keeps_no_other_waiting() {
    let shop = TestShop::new().await;
    let (_, broken) = owed(&shop, "A1").await;
    let (_, sound) = owed(&shop, "A2").await;
    // More was given back than there is: the database does not take that.
    shop.meddle(
        "update payments set refunded_minor = refund_reserved_minor where intent_id = 'pi_1'",
    )
    .await;
    assert_eq!(shop.process.booking.refund_once().await.unwrap(), 2);
    assert_eq!(shop.provider.refunded(&sound), 700);
    shop.meddle("update payments set refunded_minor = 0 where intent_id = 'pi_1'")
        .await;
    shop.clock.advance(Duration::from_mins(2));
    shop.settle().await;
    assert_eq!(refund_statuses(&shop).await, ["SUCCEEDED", "SUCCEEDED"]);
    assert_eq!(shop.provider.refunded(&broken), 700);
    shop.assert_clean().await;
}

//! A process dies between two steps; another one finishes.

use std::time::Duration;

use crate::fake_provider::Mood;
use crate::test_shop::TestShop;

#[tokio::test]
async fn before_the_answer_to_a_new_intent_arrived() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    // The provider made the intent, and nobody here heard of it.
    shop.provider.mood(Mood::LosesAnswers);
    assert_eq!(fan.pay(&hold).await.code(), "payment-unavailable");
    shop.provider.mood(Mood::Up);
    let other = shop.another_process().await;
    let intent = fan.at(other.router.clone()).intent(&hold).await;
    assert_eq!(shop.provider.intent_count(), 1);
    shop.provider.pay(&intent);
    assert_eq!(fan.confirm(&hold, &intent).await.status, 200);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_webhook_may_overtake_the_answer_that_names_the_intent() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    shop.provider.mood(Mood::LosesAnswers);
    fan.pay(&hold).await;
    shop.provider.mood(Mood::Up);
    shop.provider.pay("pi_1");
    assert_eq!(shop.webhook("evt_1", "pi_1").await, 200);
    shop.settle().await;
    assert_eq!(fan.get(&hold).await.json["status"], "CONFIRMED");
    shop.assert_clean().await;
}

#[tokio::test]
async fn after_the_customer_paid_and_before_anyone_asked() {
    let shop = TestShop::new().await;
    let first = shop.another_process().await;
    let fan = shop.fan();
    let there = fan.at(first.router.clone());
    let hold = there.held(&["A1"]).await;
    let intent = there.intent(&hold).await;
    first.kill().await;
    shop.provider.pay(&intent);
    shop.clock.advance(Duration::from_secs(20));
    assert_eq!(shop.process.booking.poll_once().await.unwrap(), 1);
    assert_eq!(fan.get(&hold).await.json["status"], "CONFIRMED");
    shop.assert_clean().await;
}

#[tokio::test]
async fn after_a_webhook_was_stored_and_before_it_was_understood() {
    let shop = TestShop::new().await;
    let first = shop.another_process().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    assert_eq!(shop.webhook("evt_1", &intent).await, 200);
    // The worker that claims the event dies: its database is gone when it wants to go on.
    shop.provider.mood(Mood::Down);
    first.booking.inbox_once().await.unwrap();
    first.kill().await;
    shop.provider.mood(Mood::Up);
    shop.clock.advance(Duration::from_secs(61));
    shop.settle().await;
    assert_eq!(fan.get(&hold).await.json["status"], "CONFIRMED");
    shop.assert_clean().await;
}

#[tokio::test]
async fn after_the_refund_was_made_and_before_it_was_noted() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay_wrongly(&intent, 1);
    assert_eq!(fan.confirm(&hold, &intent).await.status, 402);
    shop.provider.mood(Mood::LosesAnswers);
    assert_eq!(shop.process.booking.refund_once().await.unwrap(), 1);
    assert_eq!(shop.provider.refunded(&intent), 1);
    shop.provider.mood(Mood::Up);
    let other = shop.another_process().await;
    shop.clock.advance(Duration::from_secs(61));
    assert_eq!(other.booking.refund_once().await.unwrap(), 1);
    assert_eq!(shop.provider.refunded(&intent), 1);
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_no_half_done_work() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    // Dropped at its first wait, as a server drops a handler whose client disconnects.
    for _ in 0..20 {
        let confirmation = fan.confirm(&hold, &intent);
        let mut confirmation = Box::pin(confirmation);
        let polled = futures_util::poll!(confirmation.as_mut());
        assert!(polled.is_pending());
        drop(confirmation);
    }
    crate::test_shop::eventually("the booking", || async {
        fan.get(&hold).await.json["status"] == "CONFIRMED"
    })
    .await;
    shop.settle().await;
    shop.assert_clean().await;
}

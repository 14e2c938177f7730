//! The provider's books against ours.

use std::time::Duration;

use crate::fake_provider::Mood;
use crate::fan::Fan;
use crate::test_shop::TestShop;

async fn reconcile(shop: &TestShop) -> serde_json::Value {
    let admin = Fan::new(shop.process.booking.admin().0);
    let answer = admin
        .post("/admin/v1/reconcile", &serde_json::json!({}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

#[tokio::test]
async fn money_that_no_payment_names_goes_back_once() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let mut intents = Vec::new();
    for seat in ["A1", "A2", "A3"] {
        let hold = fan.held(&[seat]).await;
        let intent = fan.intent(&hold).await;
        shop.provider.pay(&intent);
        intents.push(intent);
    }
    let foreign = shop.provider.pay_elsewhere(900);
    // The database was put back to before the first two payments.
    shop.meddle("delete from payments where intent_id in ('pi_1', 'pi_2')")
        .await;
    let found = reconcile(&shop).await;
    assert_eq!(found["intentCount"], 4);
    assert_eq!(
        found["orphanedIntents"],
        serde_json::json!(["pi_2", "pi_1"])
    );
    assert_eq!(
        (&found["lateCount"], &found["foreignCount"]),
        (&1.into(), &1.into())
    );
    for intent in &intents[..2] {
        assert_eq!(shop.provider.refunded(intent), 250_000);
    }
    assert_eq!(shop.provider.refunded(&foreign), 0);
    // The third was ours and had not been heard of.
    assert_eq!(shop.provider.refunded(&intents[2]), 0);
    assert_eq!(fan.seat("A3").await, "BOOKED");
    let again = reconcile(&shop).await;
    assert_eq!(shop.provider.refund_count(), 2);
    assert_eq!(again["orphanedIntents"], serde_json::json!([]));
}

#[tokio::test]
async fn money_that_is_booked_during_the_comparison_stays() {
    let shop = TestShop::new().await;
    let (fan, other) = (shop.fan(), shop.fan());
    let hold = fan.held(&["A1"]).await;
    shop.provider.mood(Mood::LosesAnswers);
    assert_eq!(fan.pay(&hold).await.status, 503);
    shop.provider.mood(Mood::Up);
    shop.provider.pay("pi_1");
    let late_hold = other.held(&["A2"]).await;
    let late = other.intent(&late_hold).await;
    shop.provider.pay(&late);
    // Both are on one page, the newer first: while it is worked on, the older is booked.
    let mut working = shop.provider.delay_next_fetch();
    let booked = async {
        working.arrived().await;
        let intent = fan.intent(&hold).await;
        assert_eq!(intent, "pi_1");
        assert_eq!(fan.confirm(&hold, &intent).await.status, 200);
        working.release();
    };
    let (found, ()) = tokio::join!(reconcile(&shop), booked);
    assert_eq!(found["orphanedIntents"], serde_json::json!([]));
    assert_eq!(found["lateCount"], 1);
    assert_eq!(shop.provider.refund_count(), 0);
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn what_the_provider_refuses_to_tell_of_is_left_and_the_others_are_compared() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    let gone_hold = fan.held(&["A2"]).await;
    let gone = fan.intent(&gone_hold).await;
    shop.provider.pay(&gone);
    shop.meddle("delete from payments where intent_id = 'pi_2'")
        .await;
    shop.provider.dispute(&intent, 500, "needs_response");
    shop.provider.mood(Mood::ForgetsIntents);
    let found = reconcile(&shop).await;
    assert_eq!(found["lateCount"], 1);
    assert_eq!(found["orphanedIntents"], serde_json::json!(["pi_2"]));
    assert_eq!(found["disputes"].as_array().unwrap().len(), 1);
    assert_eq!(shop.provider.refunded(&intent), 0);
    shop.provider.mood(Mood::Up);
    shop.clock.advance(Duration::from_mins(1));
    shop.settle().await;
    assert_eq!(fan.seat("A1").await, "BOOKED");
}

#[tokio::test]
async fn money_is_ours_after_a_change_of_the_address() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    // One whose payment is gone, and one whose intent we have not heard of.
    let gone_hold = fan.held(&["A1"]).await;
    let gone = fan.intent(&gone_hold).await;
    let hold = fan.held(&["A2"]).await;
    shop.provider.mood(Mood::LosesAnswers);
    assert_eq!(fan.pay(&hold).await.status, 503);
    shop.provider.mood(Mood::Up);
    for intent in [gone.as_str(), "pi_2"] {
        shop.provider.pay(intent);
        shop.provider.made_before_a_move(intent);
    }
    shop.meddle("delete from payments where intent_id = 'pi_1'")
        .await;
    let found = reconcile(&shop).await;
    assert_eq!(found["foreignCount"], 0);
    assert_eq!(found["lateCount"], 1);
    assert_eq!(found["orphanedIntents"], serde_json::json!(["pi_1"]));
    assert_eq!(shop.provider.refunded(&gone), 250_000);
    assert_eq!(fan.seat("A2").await, "BOOKED");
}

#[tokio::test]
async fn a_refund_whose_failure_nobody_told_is_made_again() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay_wrongly(&intent, 700);
    assert_eq!(fan.confirm(&hold, &intent).await.status, 402);
    shop.settle().await;
    shop.provider.refund_becomes(&intent, "failed");
    assert_eq!(reconcile(&shop).await["lateCount"], 1);
    shop.clock.advance(Duration::from_mins(1));
    shop.settle().await;
    assert_eq!(shop.provider.refunded(&intent), 700);
    shop.assert_clean().await;
}

#[tokio::test]
async fn one_process_compares_and_goes_on_where_the_last_one_ended() {
    let shop = TestShop::new().await;
    let other = shop.another_process().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    shop.provider.mood(Mood::Down);
    shop.process.booking.reconcile_once().await.unwrap();
    shop.provider.mood(Mood::Up);
    // The other has to wait until it is time again.
    other.booking.reconcile_once().await.unwrap();
    other.booking.refresh_once().await.unwrap();
    let there = fan.at(other.router.clone());
    assert_eq!(there.seat("A1").await, "HELD");
    shop.clock.advance(Duration::from_mins(5));
    other.booking.reconcile_once().await.unwrap();
    assert_eq!(there.seat("A1").await, "BOOKED");
    let admin = Fan::new(shop.process.booking.admin().0);
    shop.provider.mood(Mood::Down);
    let answer = admin
        .post("/admin/v1/reconcile", &serde_json::json!({}))
        .await;
    assert_eq!((answer.status, answer.code()), (503, "payment-unavailable"));
}

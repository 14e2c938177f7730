//! Money that goes back without us: refunds made at the provider, and disputes.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection;

use crate::cancel::with_policy;
use crate::fake_provider::FakeProvider;
use crate::fan::{Answer, Fan};
use crate::test_shop::TestShop;

/// A fan who bought `seats`: the fan, the booking's path and the intent.
async fn bought(shop: &TestShop, seats: &[&str]) -> (Fan, String, String) {
    let (fan, booking, intent) = shop.bought(seats).await;
    let id = booking["bookingId"].as_str().unwrap();
    (fan, format!("/api/v1/bookings/{id}"), intent)
}

async fn reconcile(shop: &TestShop) -> Value {
    let admin = Fan::new(shop.process.booking.admin().0);
    let answer = admin.post("/admin/v1/reconcile", &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

fn id_of(booking: &str) -> &str {
    booking.rsplit('/').next().unwrap()
}

/// What the ledger says that the provider holds for us.
async fn held_at_provider(shop: &TestShop) -> i64 {
    let mut database = shop.database.connect().await;
    let sum = "select coalesce(sum(amount_minor), 0)::bigint from ledger where account = 'gateway'";
    let held = sqlx::query_scalar(sum)
        .fetch_one(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    held
}

fn assert_void(booking: &Answer, refunded: i64) {
    assert_eq!(booking.json["status"], "CANCELLED", "{}", booking.text);
    assert_eq!(booking.json["refundedMinor"], refunded);
    assert_eq!(booking.json["tickets"], json!([]));
}

#[tokio::test]
async fn a_full_refund_at_the_provider_voids_the_tickets_and_frees_the_seats() {
    let shop = TestShop::new().await;
    let (fan, booking, intent) = bought(&shop, &["A1", "A2"]).await;
    let qr = fan.get(&booking).await.json["tickets"][0]["qrSvg"].clone();
    assert_eq!(fan.get(qr.as_str().unwrap()).await.status, 200);
    let refund = shop.provider.refund_by_hand(&intent, 500_000);
    let body = shop
        .provider
        .refund_event("evt_1", "refund.created", &refund);
    assert_eq!(shop.deliver(body).await, 200);
    let body = FakeProvider::returned_event("evt_2", "charge.refunded", &intent);
    assert_eq!(shop.deliver(body).await, 200);
    shop.settle().await;
    assert_void(&fan.get(&booking).await, 500_000);
    assert_eq!(fan.get(qr.as_str().unwrap()).await.status, 404);
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    assert_eq!(held_at_provider(&shop).await, 0);
    shop.assert_clean().await;
    // It is named as long as the comparison looks back so far, and needs nobody.
    let report = reconcile(&shop).await;
    assert_eq!(report["refundedBookings"], json!([id_of(&booking)]));
    assert_eq!(report["partlyRefundedBookings"], json!([]));
    // The fan may buy again, and the seat is sold once more.
    bought(&shop, &["A1"]).await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_partial_refund_keeps_the_tickets_and_is_named_until_the_rest_goes_back() {
    let shop = TestShop::new().await;
    let (fan, booking, intent) = bought(&shop, &["A1"]).await;
    shop.provider.refund_by_hand(&intent, 100);
    // No webhook came: the comparison finds it.
    let report = reconcile(&shop).await;
    assert_eq!(report["partlyRefundedBookings"], json!([id_of(&booking)]));
    let seen = fan.get(&booking).await;
    assert_eq!(
        (&seen.json["status"], &seen.json["refundedMinor"]),
        (&json!("CONFIRMED"), &json!(100))
    );
    assert_eq!(held_at_provider(&shop).await, 249_900);
    shop.assert_clean().await;
    shop.provider.refund_by_hand(&intent, 249_900);
    let report = reconcile(&shop).await;
    assert_eq!(report["refundedBookings"], json!([id_of(&booking)]));
    assert_void(&fan.get(&booking).await, 250_000);
    assert_eq!(held_at_provider(&shop).await, 0);
    shop.assert_clean().await;
}

/// What the check counts as broken.
async fn broken(shop: &TestShop) -> Vec<String> {
    let report = shop.process.booking.check().await.unwrap();
    let broken = report.invariants.into_iter().filter(|it| it.violations > 0);
    broken.map(|it| it.name[..3].to_owned()).collect()
}

#[tokio::test]
async fn a_refund_at_the_provider_that_fails_later_is_named_until_the_money_is_back() {
    let shop = TestShop::new().await;
    let (fan, booking, intent) = bought(&shop, &["A1"]).await;
    let told = async |event: &str, kind: &str, refund: &str| {
        let body = shop.provider.refund_event(event, kind, refund);
        assert_eq!(shop.deliver(body).await, 200);
        shop.settle().await;
    };
    let refund = shop.provider.refund_by_hand(&intent, 250_000);
    told("evt_1", "refund.created", &refund).await;
    assert_void(&fan.get(&booking).await, 250_000);
    shop.provider.refund_becomes(&intent, "failed");
    told("evt_2", "refund.failed", &refund).await;
    let seen = fan.get(&booking).await;
    assert_eq!(seen.json["status"], "CANCELLED", "{}", seen.text);
    assert_eq!(seen.json["tickets"], json!([]));
    assert_eq!(held_at_provider(&shop).await, 250_000);
    assert_eq!(broken(&shop).await, ["I09"]);
    let named = |amount: i64| {
        json!([{"intentId": intent, "bookingId": id_of(&booking), "amountMinor": amount,
            "currency": "INR"}])
    };
    assert_eq!(reconcile(&shop).await["failedRefunds"], named(250_000));
    // It is named for as long as the money is here, not only for the day that is compared.
    shop.clock.advance(Duration::from_hours(24 * 30));
    shop.settle().await;
    assert_eq!(reconcile(&shop).await["failedRefunds"], named(250_000));
    // A part given back leaves the rest to give back.
    let part = shop.provider.refund_by_hand(&intent, 50_000);
    told("evt_3", "refund.created", &part).await;
    assert_eq!(reconcile(&shop).await["failedRefunds"], named(200_000));
    assert_eq!(broken(&shop).await, ["I09"]);
    let rest = shop.provider.refund_by_hand(&intent, 200_000);
    told("evt_4", "refund.created", &rest).await;
    assert_eq!(reconcile(&shop).await["failedRefunds"], json!([]));
    assert_eq!(held_at_provider(&shop).await, 0);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_part_that_failed_to_go_back_is_named_until_somebody_refunds_again() {
    let shop = TestShop::new().await;
    let (fan, booking, intent) = bought(&shop, &["A1"]).await;
    shop.provider.refund_by_hand(&intent, 100);
    reconcile(&shop).await;
    shop.provider.refund_becomes(&intent, "failed");
    let report = reconcile(&shop).await;
    assert_eq!(report["failedRefunds"][0]["amountMinor"], 100);
    assert_eq!(report["failedRefunds"][0]["bookingId"], id_of(&booking));
    assert_eq!(fan.get(&booking).await.json["status"], "CONFIRMED");
    assert_eq!(broken(&shop).await, ["I09"]);
    shop.clock.advance(Duration::from_mins(1));
    shop.provider.refund_by_hand(&intent, 100);
    assert_eq!(reconcile(&shop).await["failedRefunds"], json!([]));
    shop.settle().await;
    shop.assert_clean().await;
}

/// A payment of another amount than was asked for, which the provider has refused to give back for
/// so long that it was given up.
async fn refund_given_up(shop: &TestShop) -> String {
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay_wrongly(&intent, 700);
    shop.provider.refuse_refunds(100);
    assert_eq!(fan.confirm(&hold, &intent).await.status, 402);
    for _ in 0..15 {
        shop.settle().await;
        shop.clock.advance(Duration::from_hours(1));
    }
    intent
}

#[tokio::test]
async fn a_refund_of_ours_that_was_given_up_is_named() {
    let shop = TestShop::new().await;
    let intent = refund_given_up(&shop).await;
    let report = reconcile(&shop).await;
    let named = json!([{"intentId": intent, "amountMinor": 700, "currency": "INR"}]);
    assert_eq!(report["failedRefunds"], named);
    assert_eq!(broken(&shop).await, ["I09"]);
    shop.provider.refund_by_hand(&intent, 700);
    assert_eq!(reconcile(&shop).await["failedRefunds"], json!([]));
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_dispute_voids_the_tickets_and_one_that_is_won_brings_the_money_back() {
    let shop = TestShop::new().await;
    let (fan, booking, intent) = bought(&shop, &["A1"]).await;
    let event = |id: &str, kind: &str| FakeProvider::returned_event(id, kind, &intent);
    // A mere inquiry takes no money.
    shop.provider
        .dispute(&intent, 250_000, "warning_needs_response");
    shop.deliver(event("evt_0", "charge.dispute.created")).await;
    shop.settle().await;
    assert_eq!(fan.get(&booking).await.json["status"], "CONFIRMED");
    shop.provider.dispute(&intent, 250_000, "needs_response");
    shop.deliver(event("evt_1", "charge.dispute.funds_withdrawn"))
        .await;
    shop.settle().await;
    assert_void(&fan.get(&booking).await, 250_000);
    assert_eq!(held_at_provider(&shop).await, 0);
    shop.assert_clean().await;
    assert_eq!(reconcile(&shop).await["disputes"], json!(["dp_0"]));
    for (round, status, held) in [(2, "won", 250_000), (3, "lost", 0)] {
        shop.provider.dispute(&intent, 250_000, status);
        let id = format!("evt_{round}");
        shop.deliver(event(&id, "charge.dispute.closed")).await;
        shop.settle().await;
        assert_eq!(held_at_provider(&shop).await, held, "{status}");
        // Money that a bank left to the seller is owed to nobody.
        assert_eq!(reconcile(&shop).await["failedRefunds"], json!([]));
        shop.assert_clean().await;
    }
}

#[tokio::test]
async fn a_won_dispute_gives_the_fan_back_what_it_had_taken_over() {
    let policy = json!({"freeUntilHours": 0, "keptFeeMinor": 5_000});
    let shop = TestShop::with(with_policy(policy)).await;
    let (fan, booking, intent) = bought(&shop, &["A1"]).await;
    let event = |id: &str, kind: &str| FakeProvider::returned_event(id, kind, &intent);
    // The fan cancels and asks the bank for the money as well, before anything went back.
    shop.provider.dispute(&intent, 250_000, "needs_response");
    let cancelled = fan.post(&format!("{booking}/cancel"), &json!({})).await;
    assert_eq!(cancelled.json["amountMinor"], 245_000, "{}", cancelled.text);
    shop.deliver(event("evt_1", "charge.dispute.funds_withdrawn"))
        .await;
    shop.process.booking.inbox_once().await.unwrap();
    shop.settle().await;
    assert_eq!(shop.provider.refund_count(), 0);
    assert_eq!(held_at_provider(&shop).await, 0);
    shop.assert_clean().await;
    // The bank decides for the seller: what was promised to the fan is owed once more.
    shop.provider.dispute(&intent, 250_000, "won");
    shop.deliver(event("evt_2", "charge.dispute.closed")).await;
    shop.settle().await;
    shop.clock.advance(Duration::from_secs(60));
    shop.settle().await;
    assert_eq!(shop.provider.refunded(&intent), 245_000);
    assert_eq!(held_at_provider(&shop).await, 5_000);
    assert_eq!(reconcile(&shop).await["failedRefunds"], json!([]));
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_refund_by_hand_pays_what_we_could_not_give_back() {
    let shop = TestShop::new().await;
    let intent = refund_given_up(&shop).await;
    shop.provider.refund_by_hand(&intent, 200);
    reconcile(&shop).await;
    assert_eq!(held_at_provider(&shop).await, 500);
    let refund = shop.provider.refund_by_hand(&intent, 500);
    let body = shop
        .provider
        .refund_event("evt_1", "refund.updated", &refund);
    shop.deliver(body).await;
    shop.settle().await;
    assert_eq!(held_at_provider(&shop).await, 0);
    assert_eq!(shop.provider.balance(), 0);
    shop.assert_clean().await;
}

#[tokio::test]
async fn more_than_was_taken_is_named_and_not_entered() {
    let shop = TestShop::new().await;
    let (fan, booking, intent) = bought(&shop, &["A1"]).await;
    let refund = shop.provider.refund_by_hand(&intent, 250_001);
    assert_eq!(
        reconcile(&shop).await["unexplainedReturns"],
        json!([refund])
    );
    assert_eq!(fan.get(&booking).await.json["status"], "CONFIRMED");
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_refund_that_is_known_before_its_payment_is_entered_with_it() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    shop.provider.refund_by_hand(&intent, 250_000);
    let body = FakeProvider::returned_event("evt_1", "charge.refunded", &intent);
    shop.deliver(body).await;
    shop.settle().await;
    let answer = fan.confirm(&hold, &intent).await;
    assert_eq!(
        (answer.status, &answer.json["status"]),
        (200, &json!("CANCELLED"))
    );
    shop.assert_clean().await;
}

#[tokio::test]
async fn somebody_elses_payment_is_done_at_the_first_look() {
    let shop = TestShop::new().await;
    let foreign = shop.provider.pay_elsewhere(900);
    for n in 0..100 {
        assert_eq!(shop.webhook(&format!("evt_{n}"), &foreign).await, 200);
    }
    let body = FakeProvider::returned_event("evt_r", "charge.refunded", &foreign);
    assert_eq!(shop.deliver(body).await, 200);
    // Settling does not move the clock: nothing waits for another look.
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_webhook_with_a_character_that_no_database_takes_is_stored() {
    let shop = TestShop::new().await;
    let object = json!({"id": "cus_1", "description": "\u{0}", "metadata": {"a\u{0}b": "\u{0}c"}});
    let body = json!({"id": "evt_1\u{0}", "type": "customer.\u{0}created",
        "data": {"object": object}});
    for _ in 0..2 {
        assert_eq!(shop.deliver(body.to_string()).await, 200);
    }
    shop.settle().await;
    shop.assert_clean().await;
}

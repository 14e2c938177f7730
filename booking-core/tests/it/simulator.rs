//! Against the payment simulator itself: the outcomes that its test methods promise.

use std::sync::Mutex;

use contract::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::against_fraud::one_address;
use crate::fan::{Answer, Fan, intent_of};
use crate::test_shop::{TestShop, eventually, show_file};
use crate::test_simulator::Simulator;

async fn shop(simulator: &Simulator) -> TestShop {
    TestShop::against_fraud(show_file(), Some(&simulator.url), one_address()).await
}

/// Confirms until the outcome is no longer open. Told to slow down, it asks again later, as a
/// fan's page does.
pub(crate) async fn outcome(fan: &Fan, hold: &str, intent: &str) -> Answer {
    let last = Mutex::new(None);
    eventually("an outcome", || async {
        let answer = fan.confirm(hold, intent).await;
        let open = matches!(answer.status, 202 | 429);
        *last.lock().unwrap() = Some(answer);
        !open
    })
    .await;
    last.into_inner().unwrap().unwrap()
}

/// Endings of a payment, with the status of the confirmation and its reason.
pub(crate) const ENDINGS: &[(&str, u16, Option<&str>)] = &[
    ("pm_card_visa", 200, None),
    (
        "pm_card_chargeDeclinedInsufficientFunds",
        402,
        Some("insufficient-funds"),
    ),
    ("pm_sim_timeout_charged", 200, None),
    ("pm_sim_invalid_number", 402, Some("invalid-card")),
    ("pm_card_chargeDeclined", 402, Some("invalid-card")),
    (
        "pm_card_chargeDeclinedExpiredCard",
        402,
        Some("expired-card"),
    ),
    ("pm_card_chargeDeclinedFraudulent", 402, Some("fraud")),
    ("pm_sim_processing_succeeds", 200, None),
    (
        "pm_card_chargeDeclinedProcessingError",
        402,
        Some("processing"),
    ),
    ("pm_sim_bank_timeout_succeeds", 200, None),
    ("pm_sim_bank_timeout_fails", 402, Some("bank-timeout")),
    (
        "pm_sim_duplicate_transaction",
        402,
        Some("duplicate-transaction"),
    ),
    ("pm_sim_currency_declined", 402, Some("currency-conversion")),
    ("pm_sim_amount_mismatch", 402, Some("amount-mismatch")),
    ("pm_sim_customer_cancels", 402, Some("user-cancelled")),
];

#[tokio::test]
async fn each_failure_has_its_reason_and_money_is_never_lost() {
    let simulator = Simulator::start().await;
    let shop = shop(&simulator).await;
    for &(method, status, reason) in ENDINGS {
        let fan = shop.fan();
        let best = json!({"quantity": 1});
        let held = fan.post("/api/v1/shows/eras-mumbai-1/holds", &best).await;
        assert_eq!(held.status, 201, "{}", held.text);
        let path = format!("/api/v1/holds/{}", held.json["holdId"].as_str().unwrap());
        let intent = fan.intent(&path).await;
        simulator.pay(&intent, method).await;
        let answer = outcome(&fan, &path, &intent).await;
        assert_eq!(answer.status, status, "{method}: {}", answer.text);
        assert_eq!(answer.json["reason"].as_str(), reason, "{method}");
        // What can be tried again is tried again, with a card that works.
        if answer.json["retryable"] == true {
            let intent = fan.intent(&path).await;
            simulator.pay(&intent, "pm_card_visa").await;
            assert_eq!(outcome(&fan, &path, &intent).await.status, 200, "{method}");
        }
    }
    shop.clock.advance(std::time::Duration::from_secs(301));
    shop.settle().await;
    shop.assert_clean().await;
    let mut database = shop.database.connect().await;
    let sold: (i64,) = sqlx::query_as("select sum(amount_minor)::bigint from bookings")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(simulator.balance().await, sold.0);
}

#[tokio::test]
async fn a_customer_who_has_to_do_something_keeps_the_hold_waiting() {
    let simulator = Simulator::start().await;
    let shop = shop(&simulator).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    simulator
        .pay(&intent, "pm_card_threeDSecure2Required")
        .await;
    assert_eq!(fan.confirm(&hold, &intent).await.status, 202);
    assert_eq!(fan.get(&hold).await.json["status"], "PAYING");
    let again = fan.pay(&hold).await;
    assert_eq!(intent_of(&again), intent);
    assert_eq!(again.json["status"], "REQUIRES_ACTION");
}

#[tokio::test]
async fn a_provider_that_is_down_is_asked_again_for_the_same_intent() {
    let simulator = Simulator::start().await;
    let shop = shop(&simulator).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    for (kind, reason) in [
        ("pm_sim_gateway_down", "gateway-down"),
        ("pm_sim_rate_limited", "gateway-rate-limit"),
        ("pm_sim_key_in_use", "duplicate-transaction"),
    ] {
        simulator
            .fault(&json!({"kind": kind, "on": "create"}))
            .await;
        let answer = fan.pay(&hold).await;
        assert_eq!(
            answer.code(),
            "payment-unavailable",
            "{kind}: {}",
            answer.text
        );
        assert_eq!(answer.json["reason"], reason);
    }
    let intent = fan.intent(&hold).await;
    simulator.pay(&intent, "pm_card_visa").await;
    assert_eq!(fan.confirm(&hold, &intent).await.status, 200);
    shop.assert_clean().await;
    assert_eq!(simulator.balance().await, 250_000);
}

#[tokio::test]
async fn what_a_dashboard_and_a_bank_do_is_found_by_the_comparison() {
    let simulator = Simulator::start().await;
    let shop = shop(&simulator).await;
    let admin = Fan::new(shop.process.booking.admin().0);
    let mut sold = Vec::new();
    for seat in ["A1", "A2"] {
        let fan = shop.fan();
        let hold = fan.held(&[seat]).await;
        let intent = fan.intent(&hold).await;
        simulator.pay(&intent, "pm_card_visa").await;
        assert_eq!(outcome(&fan, &hold, &intent).await.status, 200);
        sold.push((fan, intent));
    }
    let dispute = json!({"payment_intent": sold[0].1});
    simulator.call("_sim/disputes", &dispute).await;
    let url = format!("{}/v1/refunds", simulator.url);
    let form = [("payment_intent", sold[1].1.as_str())];
    let request = simulator
        .client
        .post(url)
        .bearer_auth("sk_test")
        .form(&form);
    let refund: Value = request.send().await.unwrap().json().await.unwrap();
    // The simulator's clock is the real one: look at all of it.
    let behind = SystemClock.now().since(shop.clock.now());
    shop.clock
        .advance(behind + std::time::Duration::from_mins(1));
    let report = admin.post("/admin/v1/reconcile", &json!({})).await;
    assert_eq!(
        report.json["refundedBookings"].as_array().unwrap().len(),
        2,
        "{}",
        report.text
    );
    assert_eq!(report.json["disputes"].as_array().unwrap().len(), 1);
    for (seat, (fan, _)) in ["A1", "A2"].iter().zip(&sold) {
        assert_eq!(fan.seat(seat).await, "AVAILABLE");
    }
    shop.assert_clean().await;
    // A refund that fails afterwards is taken out of the books again.
    let path = format!("_sim/refunds/{}/fail", refund["id"].as_str().unwrap());
    simulator.call(&path, &json!({})).await;
    let report = admin.post("/admin/v1/reconcile", &json!({})).await;
    // Its customer has neither tickets nor money: a person has to look.
    let failed = &report.json["failedRefunds"];
    assert_eq!(failed[0]["intentId"], sold[1].1.as_str(), "{}", report.text);
    assert_eq!(failed.as_array().unwrap().len(), 1);
    let check = shop.process.booking.check().await.unwrap();
    let broken = check.invariants.iter().filter(|it| it.violations > 0);
    let broken: Vec<&str> = broken.map(|it| &it.name[..3]).collect();
    assert_eq!(broken, ["I09"]);
}

#[tokio::test]
async fn refunds_that_wait_at_a_bank_or_fail_there_reach_their_end() {
    let simulator = Simulator::start().await;
    let mut file = show_file();
    file["refundPolicy"] = json!({"freeUntilHours": 0});
    let shop = TestShop::with_provider_at(file, Some(simulator.url.clone())).await;
    let mut cancelled = Vec::new();
    for (seat, method) in [
        ("A1", "pm_card_pendingRefund"),
        ("A2", "pm_sim_refund_fails_once"),
    ] {
        let fan = shop.fan();
        let hold = fan.held(&[seat]).await;
        let intent = fan.intent(&hold).await;
        simulator.pay(&intent, method).await;
        let booked = outcome(&fan, &hold, &intent).await;
        let booking = format!(
            "/api/v1/bookings/{}",
            booked.json["bookingId"].as_str().unwrap()
        );
        let done = fan.post(&format!("{booking}/cancel"), &json!({})).await;
        assert_eq!(done.status, 202, "{}", done.text);
        cancelled.push((fan, booking));
    }
    // Both are under way, and the books know.
    shop.settle().await;
    for (fan, booking) in &cancelled {
        let refunded = fan.get(booking).await.json["refundedMinor"].as_i64();
        assert_eq!(refunded.unwrap_or_default(), 0, "{booking}");
    }
    shop.assert_clean().await;
    for (fan, booking) in &cancelled {
        eventually("the money goes back", || async {
            shop.settle().await;
            shop.clock.advance(std::time::Duration::from_mins(1));
            fan.get(booking).await.json["refundedMinor"] == 250_000
        })
        .await;
    }
    assert_eq!(simulator.balance().await, 0);
    shop.assert_clean().await;
}

#[tokio::test]
async fn kronur_are_charged_as_the_provider_counts_them() {
    let simulator = Simulator::start().await;
    let mut file = show_file();
    file["currency"] = json!("ISK");
    file["categories"][0]["priceMinor"] = json!(5000);
    let shop = TestShop::with_provider_at(file, Some(simulator.url.clone())).await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    simulator.pay(&intent, "pm_card_visa").await;
    let answer = outcome(&fan, &hold, &intent).await;
    assert_eq!(
        (answer.status, &answer.json["amountMinor"]),
        (200, &json!(5000))
    );
    assert_eq!(simulator.balance().await, 500_000);
    shop.assert_clean().await;
}

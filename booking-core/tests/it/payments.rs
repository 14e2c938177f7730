//! Paying, confirming, and everything that can come in between.

use std::time::Duration;

use contract::PaymentId;
use futures_util::future::join_all;
use serde_json::json;

use crate::fake_provider::Mood;
use crate::fan::intent_of;
use crate::test_shop::{TestShop, show_file};

#[tokio::test]
async fn a_paid_hold_becomes_a_booking() {
    let mut file = show_file();
    file["room"] = json!("eras");
    let shop = TestShop::with(file).await;
    let fan = shop.fan().with_pass("eras", 1);
    let hold = fan.held(&["A1", "A2"]).await;
    let started = fan.pay(&hold).await;
    assert_eq!(started.status, 201, "{}", started.text);
    assert_eq!(started.json["amountMinor"], 500_000);
    assert_eq!(started.json["status"], "CREATED");
    let intent = &intent_of(&started);
    let pay_url = format!(
        "{}/pay/{intent}?client_secret={intent}_secret",
        shop.provider.url
    );
    assert_eq!(started.json["redirectUrl"], pay_url);
    assert_eq!(started.json["payUrl"], pay_url);

    let early = fan.confirm(&hold, intent).await;
    assert_eq!(
        (early.status, &early.json["status"]),
        (202, &json!("PROCESSING"))
    );
    assert!(early.headers.contains_key("retry-after"));

    shop.provider.pay(intent);
    let confirmed = fan.confirm(&hold, intent).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    assert_eq!(confirmed.json["status"], "CONFIRMED");
    assert_eq!(confirmed.json["tickets"].as_array().unwrap().len(), 2);
    assert_eq!(confirmed.headers["ropeline-command"], "end-session");
    assert_eq!(confirmed.headers["ropeline-room"], "eras");
    let booking = format!(
        "/api/v1/bookings/{}",
        confirmed.json["bookingId"].as_str().unwrap()
    );
    // The session is over, the booking stays visible.
    assert_eq!(
        fan.clone().without_pass().get(&booking).await.json,
        confirmed.json
    );
    // Nor does looking at it again end a session that began later.
    let later = fan.clone().without_pass().with_pass("eras", 2);
    let later = later.confirm(&hold, intent).await;
    assert_eq!(later.json, confirmed.json);
    assert!(!later.headers.contains_key("ropeline-command"));
    assert_eq!(shop.fan().get(&booking).await.status, 404);
    assert_eq!(fan.seat("A1").await, "BOOKED");
    assert_eq!(fan.get(&hold).await.json["status"], "CONFIRMED");
    assert_eq!(fan.delete(&hold).await.code(), "conflict");
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_payment_has_a_name_of_our_own_and_the_providers_still_finds_it() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let started = fan.pay(&hold).await;
    let (own, intent) = (started.json["paymentIntentId"].clone(), intent_of(&started));
    let payment: PaymentId = own.as_str().unwrap().parse().unwrap();
    // The provider hears our name, in what it keeps of the intent and in the way back.
    let told = shop.provider.metadata(&intent);
    assert_eq!(told["payment_id"], payment.to_string());
    let back = format!("{}/return?payment={payment}", hold.replace("/api/v1", ""));
    assert!(told["return_url"].ends_with(&back), "{told:?}");
    // Another payment's name is none of this hold's, however well formed.
    let other = fan.held(&["A2"]).await;
    let other = fan.pay(&other).await.json["paymentIntentId"].clone();
    let confirm = format!("{hold}/confirm");
    for wrong in [
        other,
        json!("pay_00000000000000000000000000000000"),
        json!(""),
    ] {
        let refused = fan.post(&confirm, &json!({"paymentIntentId": wrong})).await;
        assert_eq!(refused.json["field"], "paymentIntentId", "{}", refused.text);
    }
    shop.provider.pay(&intent);
    let booked = fan.post(&confirm, &json!({"paymentIntentId": own})).await;
    assert_eq!(booked.status, 200, "{}", booked.text);
    assert!(!booked.text.contains(&intent), "{}", booked.text);
    // Who began to pay with an earlier version was told the provider's name.
    let earlier = json!({"paymentIntentId": intent});
    assert_eq!(fan.post(&confirm, &earlier).await.json, booked.json);
    // However the provider leads back.
    for query in [
        format!("payment={payment}"),
        format!("payment_intent={intent}"),
    ] {
        let page = hold.replace("/api/v1", "");
        let back = fan.copied().get(&format!("{page}/return?{query}")).await;
        assert_eq!(back.status, 303, "{query} {}", back.text);
    }
}

#[tokio::test]
async fn the_same_payment_is_offered_until_it_is_decided() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intents = join_all((0..8).map(|_| fan.pay(&hold))).await;
    assert!(
        intents.iter().all(|answer| answer.status == 201),
        "{intents:?}"
    );
    let first = &intents[0].json["paymentIntentId"];
    assert!(
        intents
            .iter()
            .all(|answer| &answer.json["paymentIntentId"] == first)
    );
    assert_eq!(shop.provider.intent_count(), 1);
    let coupon = json!({"email": "fan@example.com", "couponCode": "FREE"});
    let refused = fan.post(&format!("{hold}/payments"), &coupon).await;
    assert_eq!((refused.status, refused.code()), (409, "coupon-not-valid"));
    let wrong = fan
        .post(&format!("{hold}/payments"), &json!({"email": "fan"}))
        .await;
    assert_eq!((wrong.status, &wrong.json["field"]), (422, &json!("email")));
    assert_eq!(shop.fan().pay(&hold).await.status, 404);
    let unknown = fan.confirm(&hold, "pi_unknown").await;
    assert_eq!(
        (unknown.status, &unknown.json["field"]),
        (422, &json!("paymentIntentId"))
    );
}

#[tokio::test]
async fn a_declined_card_keeps_the_hold_and_another_attempt_may_succeed() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let mut intents = Vec::new();
    for (decline, reason, retryable) in [
        ("insufficient_funds", "insufficient-funds", true),
        ("fraudulent", "fraud", false),
        ("expired_card", "expired-card", true),
        ("issuer_not_available", "bank-timeout", true),
    ] {
        let intent = fan.intent(&hold).await;
        shop.provider.decline(&intent, "card_declined", decline);
        let refused = fan.confirm(&hold, &intent).await;
        assert_eq!((refused.status, refused.code()), (402, "payment-failed"));
        assert_eq!(refused.json["reason"], reason);
        assert_eq!(refused.json["retryable"], retryable);
        assert_eq!(fan.get(&hold).await.json["status"], "ACTIVE");
        intents.push(intent);
    }
    let intent = fan.intent(&hold).await;
    // No earlier attempt can be paid any more: that would charge the fan twice.
    for earlier in &intents {
        assert_eq!(shop.provider.status(earlier), "canceled");
    }
    shop.sells(&fan, &hold, &intent).await;
}

#[tokio::test]
async fn a_failed_payment_that_succeeds_after_all_is_booked() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider
        .decline(&intent, "card_declined", "insufficient_funds");
    assert_eq!(fan.confirm(&hold, &intent).await.status, 402);
    // Another card on the same page of the provider.
    shop.provider.pay(&intent);
    assert_eq!(fan.confirm(&hold, &intent).await.status, 200);
    shop.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_confirmations_at_two_processes_make_one_booking() {
    let shop = TestShop::new().await;
    let other = shop.another_process().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1", "A2"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    let answers = join_all((0..12).map(|n| {
        let router = if n % 2 == 0 {
            &shop.process.router
        } else {
            &other.router
        };
        let fan = fan.at(router.clone());
        let (hold, intent) = (&hold, &intent);
        async move { fan.confirm(hold, intent).await }
    }))
    .await;
    let first = &answers[0].json["bookingId"];
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(&answer.json["bookingId"], first);
    }
    shop.settle().await;
    shop.assert_clean().await;
    assert_eq!(shop.provider.balance(), 500_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_webhook_three_times_at_once_makes_one_booking() {
    let shop = TestShop::new().await;
    let other = shop.another_process().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    let statuses = join_all((0..3).map(|_| shop.webhook("evt_1", &intent))).await;
    assert_eq!(statuses, [200, 200, 200]);
    assert_eq!(shop.webhook("evt_2", &intent).await, 200);
    let (here, there) = tokio::join!(
        shop.process.booking.inbox_once(),
        other.booking.inbox_once()
    );
    assert_eq!(here.unwrap() + there.unwrap(), 2);
    assert_eq!(fan.get(&hold).await.json["status"], "CONFIRMED");
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_webhook_without_a_good_signature_is_refused() {
    let shop = TestShop::new().await;
    let path = "/api/v1/payments/simulator/webhook";
    let body = r#"{"id": "evt_1", "type": "payment_intent.succeeded"}"#;
    let unsigned = shop.fan().post_text(path, body.to_owned()).await;
    assert_eq!((unsigned.status, unsigned.code()), (400, "bad-request"));
    let signature = crate::test_shop::sign(&shop.clock, body);
    let signed = shop.fan().with_header("stripe-signature", &signature);
    assert_eq!(
        signed
            .post_text(path, body.replace("evt_1", "evt_2"))
            .await
            .status,
        400
    );
    assert_eq!(signed.post_text(path, body.to_owned()).await.status, 200);
    let elsewhere = "/api/v1/payments/paypal/webhook";
    assert_eq!(
        signed.post_text(elsewhere, body.to_owned()).await.status,
        404
    );
    shop.clock.advance(Duration::from_secs(301));
    assert_eq!(signed.post_text(path, body.to_owned()).await.status, 400);
}

#[tokio::test]
async fn an_open_payment_keeps_the_sweeper_away_and_is_closed_before_the_seats_go() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.clock.advance(Duration::from_secs(301));
    assert_eq!(shop.process.booking.sweep_once().await.unwrap(), 0);
    assert_eq!(fan.seat("A1").await, "HELD");
    // Only a proven cancel frees the seat.
    shop.provider.mood(Mood::Down);
    assert_eq!(shop.process.booking.poll_once().await.unwrap(), 1);
    assert_eq!(fan.seat("A1").await, "HELD");
    shop.provider.mood(Mood::Up);
    shop.clock.advance(Duration::from_secs(10));
    shop.settle().await;
    assert_eq!(shop.provider.status(&intent), "canceled");
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    assert_eq!(fan.confirm(&hold, &intent).await.code(), "hold-expired");
    shop.assert_clean().await;
}

#[tokio::test]
async fn paid_in_the_last_second_is_paid() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    shop.clock.advance(Duration::from_secs(301));
    shop.settle().await;
    assert_eq!(fan.get(&hold).await.json["status"], "CONFIRMED");
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_bank_that_takes_its_time_keeps_the_seats_until_the_hard_deadline() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.set_status(&intent, "processing");
    assert_eq!(fan.confirm(&hold, &intent).await.status, 202);
    assert_eq!(fan.get(&hold).await.json["status"], "PAYING");
    shop.clock.advance(Duration::from_mins(10));
    shop.settle().await;
    assert_eq!(fan.seat("A1").await, "HELD");
    shop.clock.advance(Duration::from_mins(15));
    shop.settle().await;
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    // The money comes after all, and the seat is still free.
    shop.provider.pay(&intent);
    shop.clock.advance(Duration::from_mins(2));
    shop.settle().await;
    assert_eq!(fan.get(&hold).await.json["status"], "CONFIRMED");
    assert_eq!(fan.seat("A1").await, "BOOKED");
    shop.assert_clean().await;
}

#[tokio::test]
async fn money_that_comes_too_late_for_the_seats_goes_back() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1", "A2"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.set_status(&intent, "processing");
    fan.confirm(&hold, &intent).await;
    shop.clock.advance(Duration::from_secs(1201));
    shop.settle().await;
    shop.fan().held(&["A2"]).await;
    shop.provider.pay(&intent);
    assert_eq!(shop.webhook("evt_1", &intent).await, 200);
    shop.provider.refuse_refunds(2);
    for _ in 0..4 {
        shop.settle().await;
        shop.clock.advance(Duration::from_secs(10));
    }
    assert_eq!(shop.provider.refunded(&intent), 500_000);
    assert_eq!(shop.provider.balance(), 0);
    let answer = fan.confirm(&hold, &intent).await;
    assert_eq!((answer.status, answer.code()), (410, "hold-expired"));
    assert_eq!(answer.json["refunding"], true);
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_wrong_amount_is_never_a_booking() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay_wrongly(&intent, 250_100);
    let answer = fan.confirm(&hold, &intent).await;
    assert_eq!((answer.status, answer.code()), (402, "payment-failed"));
    assert_eq!(answer.json["reason"], "amount-mismatch");
    assert_eq!(answer.json["retryable"], false);
    shop.settle().await;
    assert_eq!(shop.provider.balance(), 0);
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_cancelled_payment_that_succeeds_after_all_does_not_buy_twice() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let first = fan.intent(&hold).await;
    shop.provider
        .decline(&first, "card_declined", "insufficient_funds");
    fan.confirm(&hold, &first).await;
    let second = fan.intent(&hold).await;
    shop.provider.pay(&second);
    assert_eq!(fan.confirm(&hold, &second).await.status, 200);
    // The bank speaks late about the attempt that was cancelled.
    shop.provider.pay(&first);
    shop.webhook("evt_late", &first).await;
    shop.settle().await;
    assert_eq!(shop.provider.refunded(&first), 250_000);
    assert_eq!(shop.provider.refunded(&second), 0);
    shop.assert_clean().await;
}

#[tokio::test]
async fn giving_up_a_hold_closes_its_payment() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    assert_eq!(fan.delete(&hold).await.status, 204);
    assert_eq!(shop.provider.status(&intent), "canceled");
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    let answer = fan.confirm(&hold, &intent).await;
    assert_eq!(answer.json["reason"], "user-cancelled");
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_provider_that_refuses_or_rests_is_named() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    for (mood, reason) in [
        (Mood::Down, "gateway-down"),
        (Mood::RateLimited, "gateway-rate-limit"),
    ] {
        shop.provider.mood(mood);
        let answer = fan.pay(&hold).await;
        assert_eq!((answer.status, answer.code()), (503, "payment-unavailable"));
        assert_eq!(answer.json["reason"], reason);
        assert!(answer.headers.contains_key("retry-after"));
    }
    shop.provider.mood(Mood::RefusesCurrency);
    let answer = fan.pay(&hold).await;
    assert_eq!((answer.status, answer.code()), (402, "payment-failed"));
    assert_eq!(answer.json["reason"], "currency-conversion");
    shop.provider.mood(Mood::Up);
    let intent = fan.intent(&hold).await;
    shop.sells(&fan, &hold, &intent).await;
}

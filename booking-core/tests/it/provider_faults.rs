//! A provider that speaks late, not at all, or repeats what it should forget.

use std::time::Duration;

use serde_json::json;
use sqlx::Connection;

use crate::fake_provider::Mood;
use crate::fan::intent_of;
use crate::test_shop::{TestShop, eventually};

#[tokio::test]
async fn a_proven_cancel_is_not_reopened_by_a_late_answer() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let first = fan.intent(&hold).await;
    shop.provider
        .decline(&first, "card_declined", "insufficient_funds");
    assert_eq!(fan.confirm(&hold, &first).await.status, 402);
    shop.clock.advance(Duration::from_secs(16));
    // A poller hears "declined", and hears it late: the fan has begun a second attempt meanwhile,
    // for which the first was cancelled.
    let mut late = shop.provider.delay_next_fetch();
    let again = async {
        late.arrived().await;
        let second = fan.intent(&hold).await;
        assert_eq!(shop.provider.status(&first), "canceled");
        late.release();
        second
    };
    let (polled, second) = tokio::join!(shop.process.booking.poll_once(), again);
    assert_eq!(polled.unwrap(), 1);
    shop.provider.pay(&second);
    assert_eq!(fan.confirm(&hold, &second).await.status, 200);
    shop.clock.advance(Duration::from_hours(2));
    shop.settle().await;
    shop.clock.advance(Duration::from_hours(2));
    assert_eq!(shop.process.booking.poll_once().await.unwrap(), 0);
    shop.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hard_deadline_does_not_wait_for_the_provider() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    let other = fan.held(&["A2"]).await;
    fan.intent(&other).await;
    shop.provider.mood(Mood::Hangs);
    shop.clock
        .advance(Duration::from_mins(20) + Duration::from_secs(1));
    // The sweeper needs no answer.
    shop.process.booking.sweep_once().await.unwrap();
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    assert_eq!(fan.seat("A2").await, "AVAILABLE");
    assert_eq!(fan.get(&hold).await.json["status"], "EXPIRED");
    // The money comes after all.
    shop.provider.mood(Mood::Up);
    shop.provider.pay(&intent);
    shop.clock.advance(Duration::from_mins(1));
    shop.settle().await;
    assert_eq!(fan.get(&hold).await.json["status"], "CONFIRMED");
    assert_eq!(fan.seat("A1").await, "BOOKED");
    shop.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_past_the_hard_deadline_gives_up_before_asking() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.mood(Mood::Hangs);
    shop.clock
        .advance(Duration::from_mins(20) + Duration::from_secs(1));
    let asking = fan.confirm(&hold, &intent);
    let given_up = eventually("the end of patience", || async {
        fan.seat("A1").await == "AVAILABLE"
    });
    futures_util::future::select(Box::pin(asking), Box::pin(given_up)).await;
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
}

#[tokio::test]
async fn an_error_that_the_provider_repeats_for_ever_ends_the_attempt_only() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    shop.provider.mood(Mood::StoresErrors);
    let unknown = fan.pay(&hold).await;
    assert_eq!(
        (unknown.status, unknown.code()),
        (503, "payment-unavailable")
    );
    shop.provider.mood(Mood::Up);
    // The key is spent; the fan hears it once and pays with the next.
    let spent = fan.pay(&hold).await;
    assert_eq!((spent.status, spent.code()), (402, "payment-failed"));
    assert_eq!(spent.json["reason"], "gateway-down");
    assert_eq!(spent.json["retryable"], true);
    let intent = fan.intent(&hold).await;
    shop.sells(&fan, &hold, &intent).await;
}

#[tokio::test]
async fn a_corrected_address_is_where_the_tickets_go() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let intent = fan.intent(&hold).await;
    let corrected = json!({"email": "right@example.com"});
    let again = fan.post(&format!("{hold}/payments"), &corrected).await;
    assert_eq!(intent_of(&again), intent);
    shop.provider.pay(&intent);
    assert_eq!(fan.confirm(&hold, &intent).await.status, 200);
    let mut database = shop.database.connect().await;
    let email: String = sqlx::query_scalar("select email from bookings")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(email, "right@example.com");
    database.close().await.unwrap();
}

#[tokio::test]
async fn one_webhook_that_breaks_keeps_no_other_waiting() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let mut paid = Vec::new();
    for seat in ["A1", "A2", "A3"] {
        let hold = fan.held(&[seat]).await;
        let intent = fan.intent(&hold).await;
        shop.provider.pay(&intent);
        assert_eq!(shop.webhook(&format!("evt_{seat}"), &intent).await, 200);
        paid.push(hold);
    }
    shop.meddle("update payments set failure_reason = 'nonsense' where intent_id = 'pi_1'")
        .await;
    assert_eq!(shop.process.booking.inbox_once().await.unwrap(), 3);
    assert_eq!(fan.get(&paid[1]).await.json["status"], "CONFIRMED");
    assert_eq!(fan.get(&paid[2]).await.json["status"], "CONFIRMED");
    // What broke it is mended, and its turn comes again.
    shop.meddle("update payments set failure_reason = null where intent_id = 'pi_1'")
        .await;
    shop.clock.advance(Duration::from_mins(2));
    shop.settle().await;
    assert_eq!(fan.get(&paid[0]).await.json["status"], "CONFIRMED");
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_hold_without_its_seats_keeps_no_other_from_expiring() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let broken = fan.held(&["A1", "A2"]).await;
    shop.clock.advance(Duration::from_secs(1));
    fan.held(&["B1"]).await;
    fan.held(&["B2"]).await;
    shop.meddle(
        "update show_seats set status = 'AVAILABLE', hold_id = null, version = version + 1
         where show_no = 1 and hold_id is not null
            and seat_no = (select min(seat_no) from show_seats where hold_id is not null)",
    )
    .await;
    shop.clock.advance(Duration::from_secs(301));
    assert_eq!(shop.process.booking.sweep_once().await.unwrap(), 2);
    assert_eq!(fan.seat("B1").await, "AVAILABLE");
    assert_eq!(fan.seat("B2").await, "AVAILABLE");
    // The broken one is left for a person, and is not met again at once.
    let mut database = shop.database.connect().await;
    let open: Vec<uuid::Uuid> =
        sqlx::query_scalar("select hold_id from holds where status = 'ACTIVE'")
            .fetch_all(&mut database)
            .await
            .unwrap();
    assert_eq!(open.len(), 1);
    assert!(broken.ends_with(&contract::HoldId::new(open[0]).to_string()));
    database.close().await.unwrap();
    assert_eq!(shop.process.booking.sweep_once().await.unwrap(), 0);
}

#[tokio::test]
async fn a_count_that_drifted_keeps_no_other_hold_from_expiring() {
    let shop = TestShop::new().await;
    shop.fan().held(&["A1"]).await;
    shop.clock.advance(Duration::from_secs(1));
    let fan = shop.fan();
    fan.held(&["B1"]).await;
    shop.meddle(
        "update owner_ticket_counts set ticket_count = 0
         where owner = (select limit_owner from holds order by created_at limit 1)",
    )
    .await;
    shop.clock.advance(Duration::from_secs(301));
    assert_eq!(shop.process.booking.sweep_once().await.unwrap(), 1);
    assert_eq!(fan.seat("B1").await, "AVAILABLE");
}

#[tokio::test]
async fn an_intent_made_for_an_attempt_that_was_closed_is_cancelled() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let mut late = shop.provider.delay_next_create();
    let closed = async {
        late.arrived().await;
        // Another call of the attempt was refused meanwhile.
        shop.meddle(
            "update payments set status = 'FAILED', failure_reason = 'gateway-down',
                provider_open = false;
             update holds set payment_open = false",
        )
        .await;
        late.release();
    };
    let (answer, ()) = tokio::join!(fan.pay(&hold), closed);
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert_eq!(answer.code(), "payment-unavailable");
    assert_eq!(shop.provider.status("pi_1"), "requires_payment_method");
    shop.clock.advance(Duration::from_secs(301));
    shop.settle().await;
    assert_eq!(shop.provider.status("pi_1"), "canceled");
    shop.assert_clean().await;
}

#[tokio::test]
async fn of_two_intents_the_stored_one_is_shown() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let mut late = shop.provider.delay_next_create();
    let stored = async {
        late.arrived().await;
        shop.meddle(
            "update payments set intent_id = 'pi_other', client_secret = 'pi_other_secret'",
        )
        .await;
        late.release();
    };
    let (answer, ()) = tokio::join!(fan.pay(&hold), stored);
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(intent_of(&answer), "pi_other");
}

#[tokio::test]
async fn one_fan_does_not_stop_the_payments_of_all() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    // The calls to create an intent fail, and those to fetch it: all of them are of one hold.
    shop.provider.mood(Mood::Down);
    for _ in 0..5 {
        assert_eq!(fan.pay(&hold).await.status, 503);
    }
    shop.provider.mood(Mood::Up);
    let intent = fan.intent(&hold).await;
    shop.provider.mood(Mood::Down);
    for _ in 0..8 {
        assert_eq!(fan.confirm(&hold, &intent).await.status, 202);
    }
    assert!(!shop.process.booking.payments_have_stopped());
    // A second one proves that it is the provider.
    let other = shop.fan();
    let other_hold = other.held(&["A2"]).await;
    assert_eq!(other.pay(&other_hold).await.status, 503);
    assert!(shop.process.booking.payments_have_stopped());
}

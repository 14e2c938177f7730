//! Purchases that a person decides about: nothing of the tickets leaves before, everything goes back
//! after a refusal.

use std::time::Duration;

use contract::{Clock, Timestamp};
use serde_json::{Value, json};
use sqlx::{Connection, Executor};

use crate::against_fraud::strict;
use crate::cancel::admin;
use crate::fan::{Fan, intent_of};
use crate::suspicious::{assert_says_nothing, confirmed, points, started, waiting};
use crate::test_shop::{TestShop, show_file};

/// A shop in which two seats of the front row of a new customer are put aside.
async fn shop() -> TestShop {
    TestShop::against_fraud(show_file(), None, strict(30)).await
}

/// A fan whose purchase of two seats waits: the fan, the booking's path, its id and the intent.
async fn put_aside(shop: &TestShop, seats: &[&str], email: &str) -> (Fan, String, String, String) {
    let fan = shop.fan();
    let hold = fan.held(seats).await;
    let started = started(&fan, &hold, email).await;
    assert_eq!(started.status, 201, "{}", started.text);
    let intent = intent_of(&started);
    shop.provider.pay(&intent);
    let booked = confirmed(&fan, &hold, &started).await;
    assert_eq!(booked.status, 200, "{}", booked.text);
    assert_eq!(booked.json["withheld"], true, "{}", booked.text);
    assert_says_nothing(&booked);
    let id = booked.json["bookingId"].as_str().unwrap().to_owned();
    (fan, format!("/api/v1/bookings/{id}"), id, intent)
}

/// Mails with tickets that were sent so far.
async fn mails(shop: &TestShop) -> i64 {
    let mut database = shop.database.connect().await;
    let sent = "select count(*) from notices where kind = 'BOOKING_CONFIRMED' and status = 'SENT'";
    let sent = sqlx::query_scalar(sent).fetch_one(&mut database).await;
    database.close().await.unwrap();
    sent.unwrap()
}

async fn decide(shop: &TestShop, id: &str, verb: &str) -> crate::fan::Answer {
    let body = json!({"note": "looked at it"});
    let path = format!("/admin/v1/reviews/{id}/{verb}");
    admin(shop).post(&path, &body).await
}

#[tokio::test]
async fn nothing_of_a_ticket_leaves_before_it_is_approved() {
    let shop = shop().await;
    let (fan, booking, id, _) = put_aside(&shop, &["A1", "A2"], "new@example.com").await;
    shop.settle().await;
    assert_eq!(mails(&shop).await, 0);
    let seen = fan.get(&booking).await;
    let ticket = seen.json["tickets"][0]["ticketId"].as_str().unwrap();
    assert_eq!(seen.json["tickets"][0]["qr"], Value::Null);
    let svg = format!("{booking}/tickets/{ticket}/qr.svg");
    let pdf = format!("{booking}/tickets.pdf");
    assert_eq!(fan.get(&svg).await.status, 404);
    let refused = fan.get(&pdf).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert_says_nothing(&refused);
    // The seats are sold, and the books are in order.
    assert_eq!(fan.seat("A1").await, "BOOKED");
    shop.assert_clean().await;
    let review = admin(&shop).get(&format!("/admin/v1/reviews/{id}")).await;
    assert_eq!(review.json["state"], "WAITING", "{}", review.text);
    assert_eq!(points(&review.json, "high-value"), 60);
    // Hours later it still waits, and is no mail that hangs.
    shop.clock.advance(Duration::from_hours(6));
    shop.settle().await;
    assert_eq!((mails(&shop).await, waiting(&shop).await.len()), (0, 1));
    shop.process.booking.mail_backlog_once().await.unwrap();
    assert_eq!(shop.process.booking.mail_advice(), None);

    let approved = decide(&shop, &id, "approve").await;
    assert_eq!(approved.json["state"], "APPROVED", "{}", approved.text);
    shop.settle().await;
    assert_eq!(mails(&shop).await, 1);
    assert!(fan.get(&booking).await.json["tickets"][0]["qr"].is_string());
    assert_eq!(fan.get(&svg).await.status, 200);
    assert_eq!(fan.get(&pdf).await.status, 200);
    assert!(waiting(&shop).await.is_empty());
    // Again it changes nothing, and it cannot be refused any more.
    assert_eq!(decide(&shop, &id, "approve").await.status, 200);
    assert_eq!(decide(&shop, &id, "refuse").await.status, 409);
    shop.settle().await;
    assert_eq!(mails(&shop).await, 1);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_refused_purchase_is_void_and_refunded_whole() {
    let shop = shop().await;
    let (fan, booking, id, intent) = put_aside(&shop, &["A1", "A2"], "new@example.com").await;
    let refused = decide(&shop, &id, "refuse").await;
    assert_eq!(refused.json["state"], "REFUSED", "{}", refused.text);
    assert_eq!(refused.json["bookingStatus"], "CANCELLED");
    shop.settle().await;
    assert_eq!(shop.provider.refunded(&intent), 500_000);
    assert_eq!(shop.provider.balance(), 0);
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    let seen = fan.get(&booking).await;
    assert_eq!(seen.json["status"], "CANCELLED");
    assert_says_nothing(&seen);
    // Two decisions at once are one.
    let (a, b) = tokio::join!(decide(&shop, &id, "refuse"), decide(&shop, &id, "refuse"));
    assert_eq!((a.status, b.status), (200, 200));
    assert_eq!(decide(&shop, &id, "approve").await.status, 409);
    shop.settle().await;
    assert_eq!(shop.provider.refund_count(), 1);
    assert_eq!(
        decide(&shop, "bkg_00000000000000000000000000000001", "refuse")
            .await
            .status,
        404
    );
    shop.clock.advance(Duration::from_mins(5));
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_refusal_that_died_half_way_is_carried_out() {
    let shop = shop().await;
    let (_, _, _, intent) = put_aside(&shop, &["A1", "A2"], "new@example.com").await;
    let mut database = shop.database.connect().await;
    sqlx::query("update reviews set state = 'REFUSED', decided_at = $1")
        .bind(time::OffsetDateTime::from(shop.clock.now()))
        .execute(&mut database)
        .await
        .unwrap();
    shop.settle().await;
    assert_eq!(
        mails(&shop).await,
        0,
        "a refused purchase gives no tickets out"
    );
    shop.clock.advance(Duration::from_mins(3));
    let broken = shop.process.booking.check().await.unwrap();
    let names: Vec<_> = broken
        .invariants
        .iter()
        .filter(|it| it.violations > 0)
        .collect();
    assert!(
        names.len() == 1 && names[0].name.starts_with("I58"),
        "{names:?}"
    );
    assert_eq!(shop.process.booking.reviews_once().await.unwrap(), 1);
    shop.settle().await;
    assert_eq!(shop.provider.refunded(&intent), 500_000);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_review_is_approved_by_time_only_where_that_is_set() {
    let mut settings = strict(30);
    settings.approve_after = Some(Duration::from_hours(12));
    let shop = TestShop::against_fraud(show_file(), None, settings).await;
    put_aside(&shop, &["A1", "A2"], "new@example.com").await;
    shop.clock.advance(Duration::from_hours(11));
    assert_eq!(shop.process.booking.reviews_once().await.unwrap(), 0);
    let never = shop.another_process_against(strict(30)).await;
    shop.clock.advance(Duration::from_hours(2));
    assert_eq!(never.booking.reviews_once().await.unwrap(), 0);
    assert_eq!(shop.process.booking.reviews_once().await.unwrap(), 1);
    shop.settle().await;
    assert_eq!(mails(&shop).await, 1);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_review_that_waits_until_the_show_is_told() {
    let shop = shop().await;
    let (_, _, id, _) = put_aside(&shop, &["A1", "A2"], "new@example.com").await;
    let booking = &shop.process.booking;
    booking.reviews_once().await.unwrap();
    assert_eq!(booking.review_advice(), None);
    let soon = Timestamp::parse("2026-12-23T20:00:00Z").unwrap();
    shop.clock.advance(soon.since(shop.clock.now()));
    booking.reviews_once().await.unwrap();
    assert!(booking.review_advice().unwrap().starts_with("1 purchase"));
    assert_eq!(waiting(&shop).await[0]["urgent"], true);
    decide(&shop, &id, "refuse").await;
    booking.reviews_once().await.unwrap();
    assert_eq!(booking.review_advice(), None);
}

#[tokio::test]
async fn a_purchase_that_was_cancelled_meanwhile_is_not_decided() {
    let shop = TestShop::against_fraud(
        crate::cancel::with_policy(json!({"freeUntilHours": 0})),
        None,
        strict(30),
    )
    .await;
    let (fan, booking, id, intent) = put_aside(&shop, &["A1", "A2"], "new@example.com").await;
    let cancelled = fan.post(&format!("{booking}/cancel"), &json!({})).await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    assert!(waiting(&shop).await.is_empty());
    assert_eq!(decide(&shop, &id, "approve").await.status, 409);
    shop.settle().await;
    assert_eq!(shop.provider.refunded(&intent), 500_000);
    shop.assert_clean().await;
}

#[tokio::test]
async fn money_that_came_too_late_for_a_suspicious_hold_goes_back_as_ever() {
    let shop = shop().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1", "A2"]).await;
    let started = started(&fan, &hold, "new@example.com").await;
    let intent = intent_of(&started);
    shop.provider.set_status(&intent, "processing");
    confirmed(&fan, &hold, &started).await;
    shop.clock.advance(Duration::from_mins(30));
    shop.settle().await;
    shop.fan().held(&["A1"]).await;
    shop.provider.pay(&intent);
    shop.clock.advance(Duration::from_mins(2));
    shop.settle().await;
    assert_eq!(shop.provider.refunded(&intent), 500_000);
    assert!(waiting(&shop).await.is_empty());
}

/// The numbers of the invariants that `breach` breaks; it is taken back.
async fn broken_by(shop: &TestShop, breach: &'static str, mend: &'static str) -> String {
    let mut database = shop.database.connect().await;
    database.execute(breach).await.unwrap();
    let report = shop.process.booking.check().await.unwrap();
    database.execute(mend).await.unwrap();
    database.close().await.unwrap();
    let broken = report.invariants.iter().filter(|it| it.violations != 0);
    let names: Vec<&str> = broken.map(|it| &it.name[..3]).collect();
    names.join(" ")
}

#[tokio::test]
async fn every_breach_about_reviews_is_noticed() {
    let shop = shop().await;
    let (_, _, id, _) = put_aside(&shop, &["A1", "A2"], "a@example.com").await;
    put_aside(&shop, &["A3", "A4"], "b@example.com").await;
    decide(&shop, &id, "refuse").await;
    shop.settle().await;
    shop.clock.advance(Duration::from_mins(5));
    shop.assert_clean().await;
    for (breach, mend, names) in [
        // A refused purchase whose money stayed.
        (
            "update payments p set refund_reserved_minor = refund_reserved_minor - 1,
                refunded_minor = refunded_minor - 1
             from reviews r where r.hold_id = p.hold_id and r.state = 'REFUSED'",
            "update payments p set refund_reserved_minor = refund_reserved_minor + 1,
                refunded_minor = refunded_minor + 1
             from reviews r where r.hold_id = p.hold_id and r.state = 'REFUSED'",
            "I09 I12 I14 I58",
        ),
        // A refusal that nobody carries out.
        (
            "update reviews set state = 'REFUSED', decided_at = created_at where state = 'WAITING';
             update reviews set note = 'was waiting' where note is null",
            "update reviews set state = 'WAITING', decided_at = null, note = null
             where note = 'was waiting'",
            "I58",
        ),
        (
            "update notices set status = 'SENT', sent_at = created_at
             where kind = 'BOOKING_CONFIRMED' and status = 'DUE'",
            "update notices set status = 'DUE', sent_at = null
             where kind = 'BOOKING_CONFIRMED' and status = 'SENT'",
            "I59",
        ),
        (
            "insert into checkins (show_no, nonce, ticket_digest, ticket_id, direction, result,
                gate, admitted, at, happened_at, received_at)
             select t.show_no, 'nonce-of-a-breach', '\\x00', t.ticket_id, 'in', 'ACCEPTED', 'g',
                true, now(), now(), now()
             from tickets t where t.status = 'ISSUED' limit 1",
            "delete from checkins",
            "I60",
        ),
    ] {
        let found = broken_by(&shop, breach, mend).await;
        let found: Vec<&str> = found.split(' ').collect();
        for name in names.split(' ') {
            assert!(found.contains(&name), "{name} of {found:?}: {breach}");
        }
    }
    shop.assert_clean().await;
}

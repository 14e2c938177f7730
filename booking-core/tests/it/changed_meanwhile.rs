//! What changes between a look and the write that follows: each statement looks again by itself.

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, Executor};

use crate::cancel::{admin, bought, with_policy};
use crate::fake_provider::FakeProvider;
use crate::fan::{Answer, Fan};
use crate::test_shop::TestShop;

const PRICE: i64 = 250_000;

/// The fan confirms a paid hold, and `meanwhile` happens while the provider is asked.
async fn confirmed(shop: &TestShop, fan: &Fan, hold: &str, meanwhile: &'static str) -> Answer {
    let intent = fan.intent(hold).await;
    shop.provider.pay(&intent);
    let mut asked = shop.provider.delay_next_fetch();
    let change = async {
        asked.arrived().await;
        shop.meddle(meanwhile).await;
        asked.release();
    };
    let (answer, ()) = tokio::join!(fan.confirm(hold, &intent), change);
    answer
}

/// Commits what somebody else has written, as soon as a request waits for it.
async fn committed(shop: &TestShop, written: sqlx::Transaction<'_, sqlx::Postgres>) {
    let waits = "select count(*) from pg_stat_activity where datname = current_database()
        and wait_event_type = 'Lock'";
    while shop.count(waits).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    written.commit().await.unwrap();
}

const BOOKINGS: &str = "select count(*) from bookings";

#[tokio::test]
async fn a_hold_whose_price_changes_meanwhile_is_not_booked_with_others() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let change = "update holds set amount_minor = amount_minor + 1";
    let answer = confirmed(&shop, &fan, &hold, change).await;
    assert_ne!(answer.status, 200, "{}", answer.text);
    assert_eq!(shop.count(BOOKINGS).await, 0);
    shop.settle().await;
    assert_eq!(shop.provider.balance(), 0, "the money goes back");
}

#[tokio::test]
async fn a_seat_that_another_has_meanwhile_is_not_booked_with_others() {
    let shop = TestShop::new().await;
    let (fan, other) = (shop.fan(), shop.fan());
    let hold = fan.held(&["A1", "A2"]).await;
    other.held(&["A3"]).await;
    let change = "update show_seats set hold_id = (select hold_id from show_seats s
            join seats n using (show_no, seat_no) where n.seat_id = 'A3')
        where seat_no = (select seat_no from seats where seat_id = 'A2')";
    let answer = confirmed(&shop, &fan, &hold, change).await;
    assert_ne!(answer.status, 200, "{}", answer.text);
    assert_eq!(shop.count(BOOKINGS).await, 0);
    let booked = "select count(*) from show_seats where status = 'BOOKED'";
    assert_eq!(shop.count(booked).await, 0);
}

#[tokio::test]
async fn a_hold_that_has_a_coupon_meanwhile_is_booked_with_what_it_takes_off() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let change = "with made as (
            insert into coupons (coupon_id, code, off_percent, use_count, created_at)
            values (gen_random_uuid(), 'LATE', 10000, 1, now()) returning coupon_id
        ), used as (
            insert into coupon_uses (use_id, coupon_id, hold_id, customer, first_booking, off_minor,
                reserved_at)
            select gen_random_uuid(), coupon_id, hold_id, '\\x00', false, 1000, now()
            from made, holds returning use_id
        )
        update holds set coupon_use_id = use_id from used";
    let answer = confirmed(&shop, &fan, &hold, change).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let noted = "select coalesce(sum(amount_minor), 0)::bigint from ledger
        where account = 'discounts'";
    assert_eq!(shop.count(noted).await, 1000);
}

#[tokio::test]
async fn codes_that_are_tried_at_the_same_time_count_as_those_one_after_the_other() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1"]).await;
    let mut database = shop.database.connect().await;
    let mut others = database.begin().await.unwrap();
    others
        .execute("update holds set coupon_tries = 10")
        .await
        .unwrap();
    let body = json!({"couponCode": "GUESS-11"});
    let path = format!("{hold}/quote");
    let (answer, ()) = tokio::join!(fan.post(&path, &body), committed(&shop, others));
    assert_eq!(answer.json["reason"], "unknown", "{}", answer.text);
    let counted = "select coupon_tries::bigint from holds";
    assert_eq!(shop.count(counted).await, 10);
    let answer = fan.post(&path, &body).await;
    assert_eq!(answer.json["reason"], "too-many-tries", "{}", answer.text);
}

#[tokio::test]
async fn a_ticket_that_has_another_holder_meanwhile_is_not_passed_on() {
    let shop = TestShop::with(with_policy(json!({"freeUntilHours": 0}))).await;
    let (_, booking, _) = bought(&shop, &["A1"]).await;
    let path = format!("{}/transfer", booking.replace("/api/v1/", "/admin/v1/"));
    let pass_on = async |email: &str| {
        let desk = admin(&shop);
        desk.post(&path, &json!({ "email": email })).await
    };
    assert_eq!(pass_on("one@example.org").await.status, 200);
    let mut database = shop.database.connect().await;
    let mut other = database.begin().await.unwrap();
    other
        .execute("update tickets set transfer_id = null")
        .await
        .unwrap();
    let (refused, ()) = tokio::join!(pass_on("two@example.org"), committed(&shop, other));
    assert_eq!(refused.status, 409, "{}", refused.text);
    let transfers = "select count(*) from transfers";
    assert_eq!(shop.count(transfers).await, 1);
}

#[tokio::test]
async fn what_others_gave_back_is_never_asked_for_again() {
    let shop = TestShop::new().await;
    let (_, _, intent) = shop.bought(&["A1"]).await;
    let refund = shop.provider.refund_by_hand(&intent, 100);
    let body = FakeProvider::returned_event("evt_1", "charge.refunded", &intent);
    assert_eq!(shop.deliver(body).await, 200);
    shop.settle().await;
    // The database itself keeps it from looking like a try of ours, which a worker would take up.
    let mut database = shop.database.connect().await;
    let failed = database
        .execute("update refunds set status = 'FAILED'")
        .await;
    assert!(failed.unwrap_err().to_string().contains("refunds_origin"));
    database.close().await.unwrap();
    // An event that names it is about money that returns, and not about a try of ours.
    shop.provider.refund_becomes(&intent, "failed");
    let body = shop
        .provider
        .refund_event("evt_2", "refund.failed", &refund);
    assert_eq!(shop.deliver(body).await, 200);
    shop.settle().await;
    let state = "select origin || ' ' || status from refunds";
    assert_eq!(shop.texts(state).await, ["PROVIDER NEEDS_OPS"]);
    assert_eq!(shop.provider.refund_count(), 1);
    assert_eq!(shop.provider.balance(), PRICE);
}

//! The provider's books are looked at again: what happens long after the first look is found, though
//! every webhook is lost.

use std::time::Duration;

use contract::Clock;
use serde_json::{Value, json};
use sqlx::Connection;

use crate::fan::Fan;
use crate::test_shop::TestShop;

const PRICE: i64 = 250_000;
/// More passes than a round of looks takes.
const PASSES: u32 = 30;

/// The comparison, every five minutes, and everything that is to be done after it.
async fn compared(shop: &TestShop, passes: u32) {
    for _ in 0..passes {
        shop.clock.advance(Duration::from_secs(301));
        shop.provider.at(shop.clock.now());
        shop.process.booking.reconcile_once().await.unwrap();
        shop.settle().await;
    }
}

/// Days in which the gateway runs and nothing happens: the first look has passed over everything.
async fn days(shop: &TestShop, days: u64) {
    compared(shop, 1).await;
    shop.clock.advance(Duration::from_hours(24 * days));
    let done = time::OffsetDateTime::from(shop.clock.now().minus(Duration::from_mins(15)));
    let mut database = shop.database.connect().await;
    sqlx::query("update reconciliation set done_until = $1")
        .bind(done)
        .execute(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    compared(shop, 1).await;
}

async fn new_shop() -> TestShop {
    let shop = TestShop::new().await;
    shop.provider.at(shop.clock.now());
    shop
}

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

#[tokio::test]
async fn money_that_comes_days_after_the_first_look_is_found() {
    let shop = new_shop().await;
    let (fan, late) = (shop.fan(), shop.fan());
    // A first attempt that was closed for a second, and one whose hold has ended.
    let hold = fan.held(&["A1"]).await;
    let first = fan.intent(&hold).await;
    shop.provider
        .decline(&first, "card_declined", "insufficient_funds");
    assert_eq!(fan.confirm(&hold, &first).await.status, 402);
    let second = fan.intent(&hold).await;
    shop.sells(&fan, &hold, &second).await;
    let gone_hold = late.held(&["A2"]).await;
    let gone = late.intent(&gone_hold).await;
    days(&shop, 3).await;
    for intent in [&first, &gone] {
        assert_eq!(shop.provider.status(intent), "canceled");
        shop.provider.pay(intent);
    }
    compared(&shop, PASSES).await;
    assert_eq!(shop.provider.refunded(&first), PRICE);
    assert_eq!(shop.provider.refund_count(), 1);
    assert_eq!(late.seat("A2").await, "BOOKED");
    assert_eq!(shop.provider.balance(), 2 * PRICE);
    assert_eq!(held_at_provider(&shop).await, 2 * PRICE);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_refund_of_a_dashboard_is_found_and_its_failure_weeks_later_too() {
    let shop = new_shop().await;
    let (fan, booking, intent) = shop.bought(&["A1"]).await;
    days(&shop, 2).await;
    shop.provider.refund_by_hand(&intent, PRICE);
    compared(&shop, 5).await;
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    assert_eq!(held_at_provider(&shop).await, 0);
    shop.assert_clean().await;
    days(&shop, 20).await;
    shop.provider.refund_becomes(&intent, "failed");
    compared(&shop, PASSES).await;
    assert_eq!(held_at_provider(&shop).await, PRICE);
    let report = shop.process.booking.check().await.unwrap();
    let broken = report.invariants.iter().filter(|it| it.violations > 0);
    let broken: Vec<&str> = broken.map(|it| &it.name[..3]).collect();
    assert_eq!(broken, ["I09"], "{booking}");
}

#[tokio::test]
async fn an_inquiry_that_takes_the_money_weeks_later_is_found_and_so_is_its_end() {
    let shop = new_shop().await;
    let (fan, booking, intent) = shop.bought(&["A1"]).await;
    let path = format!(
        "/api/v1/bookings/{}",
        booking["bookingId"].as_str().unwrap()
    );
    let status = async || -> Value { fan.get(&path).await.json["status"].clone() };
    shop.provider
        .dispute(&intent, PRICE, "warning_needs_response");
    days(&shop, 40).await;
    assert_eq!(held_at_provider(&shop).await, PRICE);
    shop.provider.dispute(&intent, PRICE, "needs_response");
    compared(&shop, PASSES).await;
    assert_eq!(held_at_provider(&shop).await, 0);
    assert_eq!(status().await, "CANCELLED");
    days(&shop, 60).await;
    shop.provider.dispute(&intent, PRICE, "won");
    compared(&shop, PASSES).await;
    assert_eq!(held_at_provider(&shop).await, PRICE);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_round_is_bounded_and_another_process_goes_on_with_it() {
    let shop = new_shop().await;
    let other = shop.another_process().await;
    let fan = shop.fan();
    for seat in ["A1", "A2", "A3"] {
        let hold = fan.held(&[seat]).await;
        fan.intent(&hold).await;
    }
    days(&shop, 2).await;
    shop.meddle("update reconciliation_again set next_at = '2000-01-01'")
        .await;
    let position = async || -> (bool, i64) {
        let mut database = shop.database.connect().await;
        let row = "select next_at is null, extract(epoch from from_at)::bigint
            from reconciliation_again where listing = 'INTENTS'";
        sqlx::query_as(row).fetch_one(&mut database).await.unwrap()
    };
    let mut before = i64::MIN;
    let mut passes = 0;
    loop {
        passes += 1;
        assert!(passes < 10, "the round does not end");
        let listed = shop.provider.pages_listed();
        shop.clock.advance(Duration::from_secs(301));
        let process = if passes % 2 == 0 {
            &other
        } else {
            &shop.process
        };
        process.booking.reconcile_once().await.unwrap();
        // The first look of five minutes, and the bound.
        assert!(shop.provider.pages_listed() - listed <= 1 + 40);
        let (goes_on, at) = position().await;
        assert!(at > before, "{at} {before}");
        before = at;
        if !goes_on {
            break;
        }
    }
    // Sixty days, and a second page for the day of the three.
    assert_eq!(passes, 2);
    let listed = shop.provider.pages_listed();
    shop.clock.advance(Duration::from_secs(301));
    shop.process.booking.reconcile_once().await.unwrap();
    assert_eq!(shop.provider.pages_listed() - listed, 1);
}

/// Two payments of holds that ended days ago: the bank agrees after all.
async fn late_ones(shop: &TestShop) -> (Fan, [String; 2]) {
    let (fan, other) = (shop.fan(), shop.fan());
    let hold = fan.held(&["A2"]).await;
    let late = fan.intent(&hold).await;
    let hold = other.held(&["A3"]).await;
    let later = other.intent(&hold).await;
    days(shop, 3).await;
    shop.provider.pay(&late);
    shop.provider.pay(&later);
    (fan, [late, later])
}

#[tokio::test]
async fn a_payment_that_the_provider_never_tells_of_keeps_nothing_else_waiting() {
    let shop = new_shop().await;
    let (_, _, bought) = shop.bought(&["A1"]).await;
    let (fan, [late, broken]) = late_ones(&shop).await;
    // It is the first of a page, and of the first listing.
    shop.provider.tells_not_of(&broken);
    shop.provider.refund_by_hand(&bought, PRICE);
    compared(&shop, PASSES).await;
    assert_eq!(fan.seat("A1").await, "AVAILABLE", "the next listing");
    assert_eq!(
        fan.seat("A2").await,
        "BOOKED",
        "{late}, the next of the page"
    );
    assert_eq!(fan.seat("A3").await, "AVAILABLE");
    let desk = Fan::new(shop.process.booking.admin().0);
    let told = desk.post("/admin/v1/reconcile", &json!({})).await;
    assert_eq!(told.json["putOff"], json!([]), "{}", told.text);
    shop.provider.tells_of_all();
    compared(&shop, PASSES).await;
    assert_eq!(fan.seat("A3").await, "BOOKED", "a later round");
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_first_look_that_fails_stops_neither_itself_nor_the_later_looks() {
    let shop = new_shop().await;
    let (fan, _, bought) = shop.bought(&["A1"]).await;
    let other = shop.fan();
    let hold = other.held(&["A2"]).await;
    let broken = other.intent(&hold).await;
    shop.provider.pay(&broken);
    shop.provider.tells_not_of(&broken);
    shop.clock.advance(Duration::from_secs(1));
    let desk = Fan::new(shop.process.booking.admin().0);
    let told = desk.post("/admin/v1/reconcile", &json!({})).await;
    assert_eq!(told.json["putOff"], json!([broken]), "{}", told.text);
    compared(&shop, 4).await;
    let again = shop
        .count("select count(*) from reconciliation_again")
        .await;
    assert_eq!(again, 3, "every listing is looked at again meanwhile");
    shop.provider.refund_by_hand(&bought, PRICE);
    compared(&shop, 10).await;
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    shop.provider.tells_of_all();
    compared(&shop, PASSES).await;
    assert_eq!(fan.seat("A2").await, "BOOKED");
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_page_that_the_provider_does_not_know_is_asked_for_anew() {
    let shop = new_shop().await;
    let (fan, _) = late_ones(&shop).await;
    shop.meddle(
        "update reconciliation_again a set page = 'pi_gone', next_at = null,
            from_at = r.done_until - interval '10 days'
         from reconciliation r where a.listing = 'INTENTS'",
    )
    .await;
    compared(&shop, 4).await;
    assert_eq!(fan.seat("A2").await, "BOOKED");
    shop.assert_clean().await;
}

//! Cancelling bookings: by the fan, by an operator, by show, and against everything that may happen
//! at the same time.

use std::time::Duration;

use contract::{Clock, Timestamp};
use serde_json::{Value, json};
use sqlx::Connection;

use crate::checkin;
use crate::fake_provider::FakeProvider;
use crate::fan::{Answer, Fan};
use crate::test_shop::{TestShop, show_file};

/// The show with a refund policy: full until two days before, half until the start, 50.00 kept.
pub(crate) fn with_policy(policy: Value) -> Value {
    let mut file = show_file();
    file["refundPolicy"] = policy;
    file
}

fn policy() -> Value {
    json!({"freeUntilHours": 48, "shares": [{"untilHours": 0, "percent": 50}],
        "keptFeeMinor": 5_000})
}

async fn shop() -> TestShop {
    TestShop::with(with_policy(policy())).await
}

/// A fan who bought `seats`, the path of the booking, and the intent.
pub(crate) async fn bought(shop: &TestShop, seats: &[&str]) -> (Fan, String, String) {
    let (fan, booking, intent) = shop.bought(seats).await;
    let id = booking["bookingId"].as_str().unwrap();
    (fan, format!("/api/v1/bookings/{id}"), intent)
}

pub(crate) fn admin(shop: &TestShop) -> Fan {
    Fan::new(shop.process.booking.admin().0)
}

fn advance_to(shop: &TestShop, time: &str) {
    let span = Timestamp::parse(time).unwrap().since(shop.clock.now());
    shop.clock.advance(span);
}

async fn cancel(fan: &Fan, booking: &str, body: Value) -> Answer {
    fan.post(&format!("{booking}/cancel"), &body).await
}

#[track_caller]
fn assert_refused(answer: &Answer, rule: &str) {
    assert_eq!(
        (answer.status, answer.code()),
        (409, "not-refundable"),
        "{}",
        answer.text
    );
    assert_eq!(answer.json["rule"], rule, "{}", answer.text);
}

fn tickets(booking: &Answer) -> Vec<String> {
    let tickets = booking.json["tickets"].as_array().unwrap();
    let ids = tickets.iter().map(|it| it["ticketId"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

/// The balance of a ledger account.
async fn balance(shop: &TestShop, account: &str) -> i64 {
    let mut database = shop.database.connect().await;
    let sum = "select coalesce(sum(amount_minor), 0)::bigint from ledger where account = $1";
    let balance = sqlx::query_scalar(sum)
        .bind(account)
        .fetch_one(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    balance
}

#[tokio::test]
async fn a_fan_cancels_by_the_policy_and_the_money_goes_back_once() {
    let shop = shop().await;
    let (fan, booking, intent) = bought(&shop, &["A1", "B1"]).await;
    let offer = fan.get(&format!("{booking}/refund-offer")).await.json;
    assert_eq!(
        (
            &offer["refundable"],
            &offer["amountMinor"],
            &offer["keptMinor"]
        ),
        (&json!(true), &json!(340_000), &json!(10_000)),
        "{offer}"
    );
    let done = cancel(&fan, &booking, json!({"reason": "ill"})).await;
    assert_eq!(done.status, 202, "{}", done.text);
    assert_eq!(
        (
            &done.json["amountMinor"],
            &done.json["keptMinor"],
            &done.json["status"]
        ),
        (&json!(340_000), &json!(10_000), &json!("REQUESTED"))
    );
    assert_eq!(done.json["bookingStatus"], "CANCELLED");
    // The seats are free and the provider was not asked yet.
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    assert_eq!(shop.provider.refund_count(), 0);
    shop.assert_clean().await;
    assert_refused(
        &cancel(&fan, &booking, json!({})).await,
        "already-cancelled",
    );
    shop.settle().await;
    let seen = fan.get(&booking).await.json;
    assert_eq!(
        (&seen["status"], &seen["refundedMinor"], &seen["tickets"]),
        (&json!("CANCELLED"), &json!(340_000), &json!([]))
    );
    assert_eq!(shop.provider.refunded(&intent), 340_000);
    for (account, minor) in [
        ("gateway", 10_000),
        ("kept", -10_000),
        ("bookings", 0),
        ("refunds", 0),
    ] {
        assert_eq!(balance(&shop, account).await, minor, "{account}");
    }
    shop.assert_clean().await;
    // The fan's tickets no longer count, and the seats are sold again.
    bought(&shop, &["A1", "B1"]).await;
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn single_tickets_go_back_one_after_the_other_and_sum_to_the_whole() {
    let shop = shop().await;
    let (fan, booking, intent) = bought(&shop, &["A1", "A2", "B1"]).await;
    let ids = tickets(&fan.get(&booking).await);
    let first = cancel(&fan, &booking, json!({"ticketIds": [ids[1], ids[1]]})).await;
    assert_eq!(
        (first.status, &first.json["amountMinor"]),
        (202, &json!(245_000)),
        "{}",
        first.text
    );
    assert_eq!(first.json["bookingStatus"], "PARTIALLY_CANCELLED");
    let again = cancel(&fan, &booking, json!({"ticketIds": [ids[1]]})).await;
    assert_refused(&again, "already-cancelled");
    let foreign = json!({"ticketIds": ["tkt_0190163d8694739baea51966c26f8ad9"]});
    assert_eq!(cancel(&fan, &booking, foreign).await.status, 422);
    assert_eq!(
        cancel(&fan, &booking, json!({"ticketIds": []}))
            .await
            .status,
        422
    );
    shop.settle().await;
    shop.assert_clean().await;
    let seen = fan.get(&booking).await;
    assert_eq!(tickets(&seen), [ids[0].clone(), ids[2].clone()]);
    assert_eq!(seen.json["refundedMinor"], 245_000);
    // A change of prices changes nothing of what was paid.
    let mut dearer = with_policy(policy());
    dearer["categories"][1]["priceMinor"] = json!(900_000);
    assert_eq!(shop.import(dearer).await.0, 200);
    let rest = cancel(&fan, &booking, json!({})).await;
    assert_eq!(rest.json["amountMinor"], 245_000 + 95_000, "{}", rest.text);
    shop.settle().await;
    shop.assert_clean().await;
    assert_eq!(shop.provider.refunded(&intent), 600_000 - 15_000);
    assert_eq!(balance(&shop, "kept").await, -15_000);
}

#[tokio::test]
async fn the_policy_is_that_of_the_sale_and_ends_with_the_start() {
    let shop = shop().await;
    let (fan, booking, _) = bought(&shop, &["A1"]).await;
    let stranger = shop.fan();
    stranger.with_session().await;
    let (other, with_none, _) = {
        let mut file = show_file();
        file.as_object_mut().unwrap().remove("refundPolicy");
        assert_eq!(shop.import(file).await.0, 200);
        bought(&shop, &["A2"]).await
    };
    let refused = cancel(&other, &with_none, json!({})).await;
    assert_refused(&refused, "no-policy");
    let offer = fan.get(&format!("{booking}/refund-offer")).await.json;
    assert_eq!(offer["amountMinor"], 245_000, "{offer}");
    advance_to(&shop, "2026-12-22T14:00:00.001Z");
    let offer = fan.get(&format!("{booking}/refund-offer")).await.json;
    assert_eq!(offer["amountMinor"], 120_000, "{offer}");
    assert_eq!(offer["until"], "2026-12-24T14:00:00.000Z");
    advance_to(&shop, "2026-12-24T14:00:00.001Z");
    assert_refused(&cancel(&fan, &booking, json!({})).await, "too-late");
    let offer = fan.get(&format!("{booking}/refund-offer")).await.json;
    assert_eq!(
        (&offer["refundable"], &offer["rule"]),
        (&json!(false), &json!("too-late"))
    );
    // Nobody else's booking can be looked at or cancelled.
    for answer in [
        cancel(&stranger, &booking, json!({})).await,
        stranger.get(&format!("{booking}/refund-offer")).await,
        stranger.post(&format!("{booking}/codes"), &json!({})).await,
    ] {
        assert_eq!(answer.status, 404, "{}", answer.text);
    }
}

#[tokio::test]
async fn where_nothing_goes_back_the_provider_is_not_asked() {
    let file = with_policy(json!({"freeUntilHours": 0, "keptFeeMinor": 100_000}));
    let shop = TestShop::with(file).await;
    let (fan, booking, intent) = bought(&shop, &["B1"]).await;
    let done = cancel(&fan, &booking, json!({})).await;
    assert_eq!(
        (done.status, &done.json["amountMinor"], &done.json["status"]),
        (202, &json!(0), &json!("SUCCEEDED"))
    );
    shop.settle().await;
    assert_eq!(shop.provider.refund_count(), 0);
    assert_eq!(shop.provider.refunded(&intent), 0);
    assert_eq!(balance(&shop, "kept").await, -100_000);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_repeat_with_its_key_gets_the_same_answer() {
    let shop = shop().await;
    let (fan, booking, intent) = bought(&shop, &["A1", "A2"]).await;
    let ids = tickets(&fan.get(&booking).await);
    let keyed = fan.clone().with_header("idempotency-key", "k1");
    let body = json!({"ticketIds": [ids[0]]});
    let first = cancel(&keyed, &booking, body.clone()).await;
    let second = cancel(&keyed, &booking, body.clone()).await;
    assert_eq!((first.status, second.status), (202, 202), "{}", second.text);
    assert_eq!(first.json, second.json);
    assert_eq!(second.headers["idempotent-replayed"], "true");
    let other = cancel(&keyed, &booking, json!({"ticketIds": [ids[1]]})).await;
    assert_eq!(other.code(), "idempotency-key-reused", "{}", other.text);
    // Should the stored answer be lost, the effect is found by the key.
    shop.meddle("delete from idempotency_keys").await;
    let third = cancel(&keyed, &booking, body).await;
    assert_eq!(third.json["refundId"], first.json["refundId"]);
    shop.settle().await;
    assert_eq!(shop.provider.refunded(&intent), 245_000);
    shop.assert_clean().await;
}

#[tokio::test]
async fn of_many_tabs_one_cancels_and_money_goes_back_once() {
    let shop = shop().await;
    let other = shop.another_process().await;
    let (fan, booking, intent) = bought(&shop, &["A1", "A2"]).await;
    let tabs = (0..8).map(|nth| {
        let at = if nth % 2 == 0 {
            fan.copied()
        } else {
            fan.copied().at(other.router.clone())
        };
        let booking = booking.clone();
        async move { cancel(&at, &booking, json!({})).await }
    });
    let operator = {
        let desk = admin(&shop);
        let path = format!("/admin/v1{}/refund", booking.trim_start_matches("/api/v1"));
        async move { desk.post(&path, &json!({})).await }
    };
    let (answers, by_operator) =
        futures_util::join!(futures_util::future::join_all(tabs), operator);
    let made = answers.iter().chain([&by_operator]);
    let made: Vec<&Answer> = made.filter(|answer| answer.status == 202).collect();
    assert_eq!(made.len(), 1, "{answers:?} {by_operator:?}");
    let amount = made[0].json["amountMinor"].as_i64().unwrap();
    for answer in answers.iter().chain([&by_operator]) {
        // A busy machine may have no connection in time; such a request has changed nothing.
        if !matches!(answer.status, 202 | 503) {
            assert_refused(answer, "already-cancelled");
        }
    }
    shop.settle().await;
    assert_eq!(shop.provider.refunded(&intent), amount);
    shop.assert_clean().await;
}

#[tokio::test]
async fn an_operator_gives_everything_back_and_it_is_on_record() {
    let shop = TestShop::new().await;
    let (fan, booking, intent) = bought(&shop, &["A1", "A2"]).await;
    let id = booking.rsplit('/').next().unwrap();
    let desk = admin(&shop);
    let ids = tickets(&fan.get(&booking).await);
    let body = json!({"ticketIds": [ids[0]], "reason": "goodwill"});
    let done = desk
        .post(&format!("/admin/v1/bookings/{id}/refund"), &body)
        .await;
    assert_eq!(
        (done.status, &done.json["amountMinor"]),
        (202, &json!(250_000)),
        "{}",
        done.text
    );
    let refused = desk
        .post(
            &format!("/admin/v1/bookings/{id}/refund"),
            &json!({"byPolicy": true}),
        )
        .await;
    assert_refused(&refused, "no-policy");
    shop.settle().await;
    let found = desk.get(&format!("/admin/v1/bookings/{id}")).await.json;
    let record = &found["record"];
    assert_eq!(record["cancellations"][0]["by"], "OPERATOR", "{found}");
    assert_eq!(record["cancellations"][0]["reason"], "goodwill");
    assert_eq!(record["refunds"][0]["status"], "SUCCEEDED");
    assert_eq!(found["booking"]["status"], "PARTIALLY_CANCELLED");
    assert!(found["booking"]["tickets"][0].get("qr").is_none());
    for query in [
        format!("code={}", found["booking"]["code"].as_str().unwrap()),
        "email=FAN@example.com".to_owned(),
        "show=eras-mumbai-1&email=fan@example.com".to_owned(),
    ] {
        let listed = desk.get(&format!("/admin/v1/bookings?{query}")).await.json;
        assert_eq!(listed["bookings"][0]["bookingId"], id, "{query} {listed}");
    }
    assert_eq!(desk.get("/admin/v1/bookings").await.status, 422);
    let none = desk.get("/admin/v1/bookings?code=XXX").await.json;
    assert_eq!(none["bookings"], json!([]));
    assert_eq!(shop.provider.refunded(&intent), 250_000);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_ticket_that_was_used_does_not_go_back_by_its_fan() {
    let shop = shop().await;
    let (fan, booking, _) = bought(&shop, &["A1", "A2"]).await;
    let ids = tickets(&fan.get(&booking).await);
    shop.meddle(
        "update tickets set status = 'CHECKED_IN' where seat_no = (select min(seat_no) from tickets)",
    )
    .await;
    assert_refused(&cancel(&fan, &booking, json!({})).await, "checked-in");
    let offer = fan.get(&format!("{booking}/refund-offer")).await.json;
    assert_eq!(offer["tickets"].as_array().unwrap().len(), 1, "{offer}");
    let one = cancel(&fan, &booking, json!({"ticketIds": [ids[1]]})).await;
    assert_eq!(one.status, 202, "{}", one.text);
    let id = booking.rsplit('/').next().unwrap();
    let path = format!("/admin/v1/bookings/{id}/refund");
    let desk = admin(&shop);
    // An operator has to say so, and then the policy has no part in it.
    assert_refused(&desk.post(&path, &json!({})).await, "checked-in");
    let both = json!({"evenUsed": true, "byPolicy": true});
    assert_eq!(desk.post(&path, &both).await.status, 422);
    let rest = desk.post(&path, &json!({"evenUsed": true})).await;
    assert_eq!(rest.json["amountMinor"], 250_000, "{}", rest.text);
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn whoever_comes_in_while_it_is_cancelled_keeps_the_ticket_or_loses_it_before() {
    let shop = shop().await;
    advance_to(&shop, "2026-12-24T13:00:00Z");
    let north = checkin::with_token(&shop.fan(), &checkin::token(&shop, "North").await);
    for round in 0..10 {
        let seat = format!("A{}", round + 1);
        let (fan, booking, _) = bought(&shop, &[&seat]).await;
        let ticket = fan.get(&booking).await.json["tickets"][0]["qr"].clone();
        let scan = checkin::scan(ticket.as_str().unwrap(), round, "in", shop.clock.now());
        let (cancelled, scanned) = futures_util::join!(
            cancel(&fan, &booking, json!({})),
            north.post("/checkin/v1/scans", &scan)
        );
        assert_eq!(scanned.status, 200, "{}", scanned.text);
        let entered = scanned.json["result"] == "ACCEPTED";
        assert_eq!(cancelled.status == 202, !entered, "{}", cancelled.text);
        shop.settle().await;
        shop.assert_clean().await;
    }
}

#[tokio::test]
async fn what_a_bank_takes_back_does_not_go_back_as_well() {
    for order in ["cancel first", "bank first", "both at once"] {
        let shop = shop().await;
        let (fan, booking, intent) = bought(&shop, &["A1"]).await;
        shop.provider.dispute(&intent, 250_000, "needs_response");
        let told = FakeProvider::returned_event("evt_1", "charge.dispute.funds_withdrawn", &intent);
        assert_eq!(shop.deliver(told).await, 200);
        let cancels = cancel(&fan, &booking, json!({}));
        let bank = shop.process.booking.inbox_once();
        let answer = match order {
            "cancel first" => {
                let answer = cancels.await;
                bank.await.unwrap();
                answer
            }
            "bank first" => {
                bank.await.unwrap();
                cancels.await
            }
            _ => {
                let (answer, bank) = futures_util::join!(cancels, bank);
                bank.unwrap();
                answer
            }
        };
        if order != "both at once" {
            assert_eq!(answer.status == 202, order == "cancel first", "{order}");
        }
        shop.settle().await;
        assert_eq!(shop.provider.refund_count(), 0, "{order}");
        let seen = fan.get(&booking).await.json;
        assert_eq!(
            (&seen["status"], &seen["refundedMinor"]),
            (&json!("CANCELLED"), &json!(250_000)),
            "{order}"
        );
        assert_eq!(balance(&shop, "gateway").await, 0, "{order}");
        shop.assert_clean().await;
    }
}

#[tokio::test]
async fn a_refund_by_hand_pays_a_cancellation_and_nothing_goes_back_twice() {
    let shop = shop().await;
    let (fan, booking, intent) = bought(&shop, &["A1", "A2"]).await;
    let ids = tickets(&fan.get(&booking).await);
    let one = cancel(&fan, &booking, json!({"ticketIds": [ids[0]]})).await;
    assert_eq!(one.json["amountMinor"], 245_000);
    // More than is left: a part of it pays what the shop promised.
    shop.provider.refund_by_hand(&intent, 300_000);
    let told = FakeProvider::returned_event("evt_1", "charge.refunded", &intent);
    shop.deliver(told).await;
    shop.process.booking.inbox_once().await.unwrap();
    shop.settle().await;
    assert!(shop.provider.refunded(&intent) <= 500_000);
    shop.assert_clean().await;
    // The rest is what is left of the money.
    let rest = cancel(&fan, &booking, json!({})).await;
    assert_eq!(rest.status, 202, "{}", rest.text);
    shop.settle().await;
    assert!(shop.provider.refunded(&intent) <= 500_000);
    assert!(shop.provider.balance() >= 0);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_refund_that_the_provider_refuses_is_named_for_a_person() {
    let shop = shop().await;
    let (fan, booking, intent) = bought(&shop, &["A1", "A2"]).await;
    let ids = tickets(&fan.get(&booking).await);
    shop.provider.refuse_refunds(100);
    let one = cancel(&fan, &booking, json!({"ticketIds": [ids[0]]})).await;
    assert_eq!(one.status, 202);
    for _ in 0..15 {
        shop.settle().await;
        shop.clock.advance(Duration::from_hours(1));
    }
    let report = shop.process.booking.check().await.unwrap();
    let broken = report.invariants.iter().filter(|it| it.violations > 0);
    let broken: Vec<&str> = broken.map(|it| &it.name[..3]).collect();
    assert_eq!(broken, ["I09"]);
    let report = admin(&shop).post("/admin/v1/reconcile", &json!({})).await;
    assert_eq!(
        report.json["failedRefunds"][0]["amountMinor"], 245_000,
        "{}",
        report.text
    );
    shop.provider.refund_by_hand(&intent, 245_000);
    admin(&shop).post("/admin/v1/reconcile", &json!({})).await;
    shop.settle().await;
    shop.assert_clean().await;
    assert_eq!(fan.get(&booking).await.json["refundedMinor"], 245_000);
}

#[tokio::test]
async fn a_process_that_dies_with_a_refund_under_way_leaves_it_to_the_others() {
    let shop = shop().await;
    let (fan, booking, intent) = bought(&shop, &["A1"]).await;
    let doomed = shop.another_process().await;
    let at = fan.at(doomed.router.clone());
    assert_eq!(cancel(&at, &booking, json!({})).await.status, 202);
    doomed.kill().await;
    shop.settle().await;
    assert_eq!(shop.provider.refunded(&intent), 245_000);
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_cancelled_show_refunds_everyone_and_goes_on_where_it_was_stopped() {
    let shop = shop().await;
    let mut fans = Vec::new();
    for seats in [["A1", "A2"], ["A3", "A4"], ["B1", "B2"], ["B3", "B4"]] {
        fans.push(bought(&shop, &seats).await);
    }
    let (fan, booking, _) = &fans[0];
    let ids = tickets(&fan.get(booking).await);
    cancel(fan, booking, json!({"ticketIds": [ids[0]]})).await;
    let held = shop.fan();
    let late = held.held(&["B5"]).await;
    let late_intent = held.intent(&late).await;
    let unpaid = shop.fan();
    let unpaid_hold = unpaid.held(&["B6"]).await;
    let desk = admin(&shop);
    let body = json!({"reason": "The soloist is ill."});
    let path = "/admin/v1/shows/eras-mumbai-1/cancel";
    let begun = desk.post(path, &body).await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    assert_eq!(begun.json["bookingsLeft"], 4);
    // Nothing is sold any more, and fans need not ask.
    assert_eq!(shop.fan().hold(&["A9"]).await.code(), "sale-not-open");
    assert_eq!(unpaid.pay(&unpaid_hold).await.code(), "hold-expired");
    let asked = cancel(&fans[1].0, &fans[1].1, json!({})).await;
    assert_refused(&asked, "show-cancelled");
    // One process cancels some and dies.
    let doomed = shop.another_process().await;
    doomed.booking.show_cancel_once().await.unwrap();
    doomed.kill().await;
    while shop.process.booking.show_cancel_once().await.unwrap() > 0 {}
    // Money that arrives afterwards makes a booking that is cancelled as well, or goes back.
    shop.provider.pay(&late_intent);
    held.confirm(&late, &late_intent).await;
    while shop.process.booking.show_cancel_once().await.unwrap() > 0 {}
    shop.settle().await;
    for (fan, booking, intent) in &fans {
        let seen = fan.get(booking).await.json;
        assert_eq!(seen["status"], "CANCELLED", "{seen}");
        let kept = if booking == &fans[0].1 { 5_000 } else { 0 };
        let paid = seen["amountMinor"].as_i64().unwrap();
        assert_eq!(shop.provider.refunded(intent), paid - kept);
    }
    assert_eq!(shop.provider.balance(), 5_000);
    let progress = desk
        .get("/admin/v1/shows/eras-mumbai-1/cancellation")
        .await
        .json;
    assert_eq!(
        (&progress["done"], &progress["bookingsLeft"]),
        (&json!(true), &json!(0)),
        "{progress}"
    );
    let again = desk.post(path, &body).await;
    assert_eq!((again.status, &again.json["done"]), (202, &json!(true)));
    shop.assert_clean().await;
    let unknown = desk.post("/admin/v1/shows/nope/cancel", &json!({})).await;
    assert_eq!(unknown.status, 404);
}

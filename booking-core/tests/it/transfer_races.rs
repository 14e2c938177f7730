//! Passing tickets on against a cancellation, a scan and another transfer: exactly one wins.

use std::time::Duration;

use contract::{Clock, Timestamp};
use futures_util::future::join3;
use serde_json::{Value, json};

use crate::cancel::{admin, bought, with_policy};
use crate::checkin::scan;
use crate::test_shop::TestShop;
use crate::transfers::{code_of, id, qr};

/// A shop an hour before the show.
async fn shop() -> TestShop {
    let shop = TestShop::with(with_policy(json!({"freeUntilHours": 0}))).await;
    let doors = Timestamp::parse("2026-12-24T13:00:00Z").unwrap();
    shop.clock.advance(doors.since(shop.clock.now()));
    shop
}

const SEATS: [&str; 8] = ["A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8"];

#[tokio::test]
async fn of_a_transfer_a_cancellation_and_a_scan_one_wins() {
    let shop = shop().await;
    let mut wins = [0; 3];
    for (no, seat) in (1..).zip(SEATS) {
        let (fan, booking, _) = bought(&shop, &[seat]).await;
        let view = fan.get(&booking).await.json;
        let desk = admin(&shop);
        let admins = booking.replace("/api/v1/", "/admin/v1/");
        let (pass_on, cancel) = (format!("{admins}/transfer"), format!("{booking}/cancel"));
        let (to, all) = (json!({"email": "friend@example.org"}), json!({}));
        let entry = scan(&qr(&view, 0).unwrap(), no, "in", shop.clock.now());
        let (passed, cancelled, entered) = join3(
            desk.post(&pass_on, &to),
            fan.post(&cancel, &all),
            desk.post("/checkin/v1/scans", &entry),
        )
        .await;
        let won = [
            passed.status == 200,
            cancelled.status == 202,
            entered.json["result"] == "ACCEPTED",
        ];
        let said = format!("{} {} {}", passed.text, cancelled.text, entered.text);
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{said}");
        for (count, won) in wins.iter_mut().zip(won) {
            *count += i32::from(won);
        }
        shop.assert_clean().await;
    }
    assert_eq!(wins.iter().sum::<i32>(), 8, "{wins:?}");
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn of_two_transfers_with_one_code_one_wins() {
    let shop = shop().await;
    let mut known: Vec<String> = Vec::new();
    for seat in &SEATS[..3] {
        let (fan, booking, _) = bought(&shop, &[seat]).await;
        let known_now: Vec<&str> = known.iter().map(String::as_str).collect();
        let code = code_of(&shop, &fan, &booking, &known_now).await;
        let tries = ["one@example.org", "two@example.org"].map(|email| {
            let (fan, path) = (fan.copied(), format!("{booking}/transfer"));
            let wish = json!({"email": email, "code": code});
            async move { fan.post(&path, &wish).await.status }
        });
        let mut statuses = futures_util::future::join_all(tries).await;
        statuses.sort_unstable();
        assert_eq!(statuses[0], 200, "{statuses:?}");
        assert!(statuses[1] == 403 || statuses[1] == 409, "{statuses:?}");
        known.push(code);
        shop.clock.advance(Duration::from_secs(1));
    }
    // Two operators at once make two transfers one after the other, and the last holder has it.
    let (_, booking, _) = bought(&shop, &["A9"]).await;
    let admins = booking.replace("/api/v1/", "/admin/v1/");
    let tries = ["one@example.org", "two@example.org"].map(|email| {
        let (desk, path) = (admin(&shop), format!("{admins}/transfer"));
        async move { desk.post(&path, &json!({ "email": email })).await.status }
    });
    assert_eq!(futures_util::future::join_all(tries).await, [200, 200]);
    shop.settle().await;
    shop.assert_clean().await;
    let view: Value = admin(&shop).get(&admins).await.json;
    assert_eq!(view["record"]["transfers"].as_array().unwrap().len(), 2);
    assert!(!id(&view["booking"], 0).is_empty());
}

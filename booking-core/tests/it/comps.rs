//! Tickets that are given away.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::cancel::{admin, bought};
use crate::check::violated;
use crate::fan::{Answer, Fan, SHOW, hold_path};
use crate::guests::mails;
use crate::test_shop::{TestShop, show_file};
use crate::transfers::{qr, scanned, to_doors, with_link};

const COMPS: &str = "/admin/v1/shows/eras-mumbai-1/comps";

async fn give(desk: &Fan, body: &Value) -> Answer {
    desk.post(COMPS, body).await
}

fn of_seats(seats: &[&str]) -> Value {
    json!({"seatIds": seats, "email": "guest@example.com"})
}

fn best(quantity: u32) -> Value {
    json!({"quantity": quantity, "email": "guest@example.com"})
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str) {
    let found = (answer.status, answer.code());
    assert_eq!(found, (status, code), "{}", answer.text);
}

/// A show with a fee and a tax, whose sale is not open yet.
fn priced() -> Value {
    let mut file = show_file();
    file["saleOpensAt"] = json!("2026-12-20T00:00:00Z");
    file["fees"] = json!([{"name": "Order", "per": "booking", "amountMinor": 5_000}]);
    file["taxes"] = json!([{"name": "City tax", "percent": 5, "included": false}]);
    file
}

#[tokio::test]
async fn a_guest_gets_tickets_that_cost_nothing_and_goes_in_with_them() {
    let shop = TestShop::with(priced()).await;
    let desk = admin(&shop);
    let body = json!({"seatIds": ["A2", "A1"], "email": " guest@example.com ",
        "name": "Ada  Lovelace", "reason": "press"});
    let given = give(&desk, &body).await;
    assert_eq!(given.status, 201, "{}", given.text);
    assert_eq!(given.json["seatIds"], json!(["A1", "A2"]));
    assert_eq!(given.json["faceMinor"], 505_000);
    assert_eq!(given.json["ticketIds"].as_array().unwrap().len(), 2);
    assert_eq!(shop.fan().seat("A1").await, "BOOKED");
    let id = given.json["bookingId"].as_str().unwrap();
    let record = desk.get(&format!("/admin/v1/bookings/{id}")).await.json;
    assert_eq!(
        record["record"]["comp"],
        json!({"faceMinor": 505_000, "reason": "press"})
    );
    let view = &record["booking"];
    assert_eq!(
        (&view["amountMinor"], &view["status"]),
        (&json!(0), &json!("CONFIRMED"))
    );
    let lines = view["lines"].as_array().unwrap();
    let of_kind = |kind: &str| lines.iter().find(|line| line["kind"] == kind).unwrap();
    assert_eq!(of_kind("ticket")["amountMinor"], 500_000);
    assert_eq!(of_kind("discount")["name"], "Complimentary");
    assert_eq!(of_kind("discount")["amountMinor"], -505_000);
    assert!(
        lines
            .iter()
            .all(|line| line["kind"] != "tax" || line["amountMinor"] == 0)
    );
    // The mail has the link, and with the ticket its guest goes in.
    let (guest, _) = with_link(&shop, "booking-confirmed").await;
    let seen = guest.get(&format!("/api/v1/bookings/{id}")).await.json;
    assert_eq!(seen["tickets"][0]["holderName"], "Ada Lovelace", "{seen}");
    let code = qr(&seen, 0).unwrap();
    to_doors(&shop);
    assert_eq!(scanned(&shop, &code, 1).await, "ACCEPTED");
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn the_limit_of_customers_does_not_bind_and_is_not_used_up() {
    let shop = TestShop::new().await;
    let desk = admin(&shop);
    // Customers may have four.
    let given = give(
        &desk,
        &json!({"quantity": 8, "category": "PREMIUM",
        "email": "fan@example.com"}),
    )
    .await;
    assert_eq!(given.status, 201, "{}", given.text);
    assert_eq!(given.json["seatIds"].as_array().unwrap().len(), 8);
    let (fan, _, _) = bought(&shop, &["B1", "B2", "B3", "B4"]).await;
    assert_eq!(fan.hold(&["B5"]).await.code(), "ticket-limit");
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn what_cannot_be_given_away_is_refused_and_changes_nothing() {
    let shop = TestShop::new().await;
    let desk = admin(&shop);
    shop.fan().held(&["A1"]).await;
    let taken = give(&desk, &of_seats(&["A1", "A2"])).await;
    assert_refused(&taken, 409, "seats-unavailable");
    assert_eq!(taken.json["seatIds"], json!(["A1"]));
    assert_eq!(shop.fan().seat("A2").await, "AVAILABLE");
    // Another process holds a seat that this one believes to be free.
    let other = shop.another_process().await;
    let elsewhere = shop.fan().at(other.router.clone());
    elsewhere.held(&["A3"]).await;
    let taken = give(&desk, &of_seats(&["A3", "A4"])).await;
    assert_refused(&taken, 409, "seats-unavailable");
    assert_eq!(taken.json["seatIds"], json!(["A3"]));
    for body in [
        json!({"seatIds": ["A5"], "quantity": 1, "email": "guest@example.com"}),
        json!({"email": "guest@example.com"}),
        json!({"seatIds": ["A5"], "email": "guest"}),
        json!({"seatIds": ["Z9"], "email": "guest@example.com"}),
        json!({"quantity": 1, "category": "NONE", "email": "guest@example.com"}),
        json!({"quantity": 21, "email": "guest@example.com"}),
    ] {
        assert_refused(&give(&desk, &body).await, 422, "validation-failed");
    }
    assert_refused(&give(&desk, &best(20)).await, 409, "seats-unavailable");
    let unknown = desk
        .post("/admin/v1/shows/nothing/comps", &of_seats(&["A5"]))
        .await;
    assert_eq!(unknown.status, 404);
    let cancelled = desk
        .post("/admin/v1/shows/eras-mumbai-1/cancel", &json!({}))
        .await;
    assert_eq!(cancelled.status, 202);
    assert_refused(&give(&desk, &best(1)).await, 409, "sale-not-open");
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn the_same_key_gives_once_also_at_the_same_time() {
    let shop = TestShop::new().await;
    let other = shop.another_process().await;
    let desks = [admin(&shop), Fan::new(other.booking.admin().0)];
    let keyed = desks.map(|desk| desk.with_header("idempotency-key", "press-1"));
    let body = best(2);
    let answers = join_all((0..8).map(|nth| give(&keyed[nth % 2], &body))).await;
    let first = answers.iter().find(|answer| answer.status == 201).unwrap();
    for answer in &answers {
        assert_eq!(
            (answer.status, &answer.json),
            (201, &first.json),
            "{}",
            answer.text
        );
    }
    let again = give(&keyed[1], &best(3)).await;
    assert_refused(&again, 422, "idempotency-key-reused");
    let sold = keyed[0].get("/admin/v1/shows/eras-mumbai-1/bookings").await;
    assert_eq!(sold.json["bookings"].as_array().unwrap().len(), 1);
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_repeat_at_the_same_time_reads_what_the_first_made_and_no_refusal() {
    let shop = TestShop::new().await;
    let other = shop.another_process().await;
    let desks = [admin(&shop), Fan::new(other.booking.admin().0)];
    let asked = [&["A1", "A2"][..], &["A3"], &["B1", "B2", "B3"]].map(of_seats);
    for (round, body) in asked.iter().enumerate() {
        let key = format!("guest-{round}");
        let keyed = desks
            .clone()
            .map(|desk| desk.with_header("idempotency-key", &key));
        let answers = join_all((0..10).map(|nth| give(&keyed[nth % 2], body))).await;
        let made = give(&keyed[0], body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        // A busy database answers nothing, and nobody is refused.
        for answer in answers.iter().filter(|answer| answer.status != 503) {
            assert_eq!(
                (answer.status, &answer.json),
                (201, &made.json),
                "{}",
                answer.text
            );
        }
        // Without the key, or with another one, the seats are gone.
        assert_refused(&give(&desks[0], body).await, 409, "seats-unavailable");
    }
    shop.settle().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn in_a_rush_of_fans_no_seat_is_given_away_and_sold() {
    let shop = TestShop::new().await;
    let other = shop.another_process().await;
    let desk = Fan::new(other.booking.admin().0);
    let fans = (0..60).map(|nth| {
        let (fan, desk, provider) = (shop.fan(), desk.clone(), shop.provider.clone());
        async move {
            if nth % 3 == 0 {
                let seat = format!("A{}", nth / 6 + 1);
                let body = if nth % 2 == 0 {
                    of_seats(&[&seat])
                } else {
                    best(1)
                };
                let given = give(&desk, &body).await;
                assert!([201, 409, 503].contains(&given.status), "{}", given.text);
                return u64::from(given.status == 201);
            }
            let taken = fan.best(1).await;
            if taken.status != 201 {
                return 0;
            }
            let hold = hold_path(&taken);
            let intent = fan.intent(&hold).await;
            provider.pay(&intent);
            let booked = fan.confirm(&hold, &intent).await;
            assert_eq!(booked.status, 200, "{}", booked.text);
            1
        }
    });
    let sold: u64 = join_all(fans).await.into_iter().sum();
    shop.settle().await;
    shop.assert_clean().await;
    let map = shop.fan().get(&format!("{SHOW}/seatmap")).await;
    let seats = map.json["seats"].as_array().unwrap();
    let booked = seats.iter().filter(|seat| seat["status"] == "BOOKED");
    assert_eq!(booked.count() as u64, sold);
    assert!(sold >= 10, "{sold}");
}

#[tokio::test]
async fn what_was_given_away_is_cancelled_and_stands_apart_in_the_figures() {
    let shop = TestShop::new().await;
    let desk = admin(&shop);
    bought(&shop, &["A1"]).await;
    let given = give(&desk, &of_seats(&["A2", "A3"])).await;
    let id = given.json["bookingId"].as_str().unwrap();
    let one = json!({"ticketIds": [given.json["ticketIds"][0]]});
    let cancelled = desk
        .post(&format!("/admin/v1/bookings/{id}/refund"), &one)
        .await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    assert_eq!(cancelled.json["amountMinor"], 0);
    assert_eq!(shop.fan().seat("A2").await, "AVAILABLE");
    shop.settle().await;
    while shop.process.booking.sales_once().await.unwrap() > 0 {}
    let sales = desk.get("/admin/v1/sales").await.json;
    let of = |value: &Value, names: [&str; 4]| names.map(|name| value[name].as_i64().unwrap());
    assert_eq!(
        of(
            &sales["shows"][0],
            ["bookings", "bookedMinor", "compBookings", "compFaceMinor"]
        ),
        [1, 250_000, 1, 500_000]
    );
    assert_eq!(
        of(
            &sales["categories"][0],
            [
                "ticketsSold",
                "ticketsCancelled",
                "compTickets",
                "compTicketsCancelled"
            ]
        ),
        [1, 0, 2, 1]
    );
    let sold = desk
        .get("/admin/v1/shows/eras-mumbai-1/bookings")
        .await
        .json;
    let faces: Vec<&Value> = sold["bookings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|booking| &booking["compFaceMinor"])
        .collect();
    assert_eq!(faces, [&Value::Null, &json!(500_000)]);
    // A guest has not bought, so a coupon for first bookings is still theirs.
    let coupon = json!({"code": "FIRST", "percent": 10, "firstBooking": true});
    desk.post("/admin/v1/coupons", &coupon).await;
    let fan = shop.fan();
    let hold = fan.held(&["B1"]).await;
    let pay = json!({"email": "guest@example.com", "couponCode": "FIRST"});
    let paid = fan.post(&format!("{hold}/payments"), &pay).await;
    assert_eq!(paid.status, 201, "{}", paid.text);
    assert!(mails(&shop, "tickets-cancelled").await.len() == 1);
    shop.assert_clean().await;
}

#[tokio::test]
async fn every_breach_of_what_is_given_away_is_noticed() {
    let shop = TestShop::new().await;
    let given = give(&admin(&shop), &of_seats(&["A1"])).await;
    assert_eq!(given.status, 201, "{}", given.text);
    shop.settle().await;
    shop.assert_clean().await;
    for (breach, names) in [
        ("update comps set face_minor = face_minor + 1", "I61"),
        ("update comps set currency = 'EUR'", "I61"),
        (
            "update ledger set amount_minor = amount_minor + 1 where account = 'comps'",
            "I13 I61",
        ),
        (
            "delete from ledger where account in ('comps', 'list-prices')",
            "I61",
        ),
        // Whoever is not a guest has a limit.
        (
            "delete from comps; delete from ledger where account in ('comps', 'list-prices');
             update owner_ticket_counts set ticket_count = 9",
            "I17 I20",
        ),
    ] {
        assert_eq!(violated(&shop, breach).await, names, "{breach}");
    }
    shop.assert_clean().await;
}

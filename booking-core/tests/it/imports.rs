//! Importing while a sale runs, days at the venue, shows of several days.

use std::time::Duration;

use contract::{Clock, Timestamp};
use serde_json::{Value, json};
use sqlx::Executor;

use crate::fan::{Fan, SHOW, hold_path};
use crate::test_shop::{TestShop, eventually, show_file};

#[tokio::test]
async fn a_day_is_the_day_at_the_venue() {
    let shop = TestShop::new().await;
    for (show, city, zone, starts_at, day, not) in [
        (
            "night-nyc",
            "nyc",
            "America/New_York",
            "2026-11-29T01:00:00Z",
            "2026-11-28",
            "2026-11-29",
        ),
        (
            "night-pune",
            "pune",
            "Asia/Kolkata",
            "2026-12-01T01:00:00+05:30",
            "2026-12-01",
            "2026-11-30",
        ),
    ] {
        let mut file = show_file();
        file["showId"] = json!(show);
        file["city"]["cityId"] = json!(city);
        file["city"]["timeZone"] = json!(zone);
        file["startsAt"] = json!(starts_at);
        assert_eq!(shop.import(file).await.0, 201);
        let fan = shop.fan();
        for (date, count) in [(day, 1), (not, 0)] {
            let path = format!("/api/v1/cities/{city}/shows?date={date}");
            let shows = fan.get(&path).await.json["shows"].as_array().unwrap().len();
            let page = fan.get(&format!("/cities/{city}?date={date}")).await;
            assert_eq!(shows, count, "{show} on {date}");
            let linked = page.text.contains(&format!("/shows/{show}"));
            assert_eq!((page.status, linked), (200, count == 1), "{show} on {date}");
        }
    }
}

#[tokio::test]
async fn an_import_during_a_sale_leaves_free_seats_free() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    fan.held(&["A1"]).await;
    // The import gets as far as the prices and has to wait there.
    let mut blocker = shop.database.connect().await;
    blocker
        .execute("begin; select 1 from show_categories for update")
        .await
        .unwrap();
    let mut file = show_file();
    file["title"] = json!("Renamed");
    let mut dearer = file.clone();
    dearer["categories"][0]["priceMinor"] = json!(260_000);
    let import = shop.import(dearer);
    let sale = async {
        eventually("the import waits", || async {
            let mut connection = shop.database.connect().await;
            let waiting: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock'
                    and datname = current_database()",
            )
            .fetch_one(&mut connection)
            .await
            .unwrap();
            waiting > 0
        })
        .await;
        let held = shop.fan().hold(&["A2", "A3"]).await;
        blocker.execute("rollback").await.unwrap();
        held
    };
    let ((status, body), held) = tokio::join!(import, sale);
    assert_eq!(held.status, 201, "{}", held.text);
    assert_eq!(status, 200, "{body}");
    shop.assert_clean().await;
}

#[tokio::test]
async fn seats_that_somebody_has_locked_are_not_said_to_be_taken() {
    let shop = TestShop::new().await;
    // As an import does that changes the layout of a show that nobody has bought of yet.
    let mut blocker = shop.database.connect().await;
    blocker
        .execute(
            "begin; select 1 from show_seats s join seats using (show_no, seat_no)
             where seat_id in ('A1', 'A2') for no key update of s",
        )
        .await
        .unwrap();
    let fan = shop.fan();
    let named = fan.hold(&["A1"]).await;
    assert_eq!((named.status, named.code()), (503, "booking-busy"));
    assert!(named.headers.contains_key("retry-after"));
    assert_eq!(fan.seat("A1").await, "AVAILABLE");
    // What is taken besides is named, and nothing else.
    shop.fan().held(&["A3"]).await;
    let other = shop.another_process().await;
    let there = shop.fan().at(other.router.clone());
    let both = there.hold(&["A2", "A3"]).await;
    assert_eq!((both.status, both.code()), (409, "seats-unavailable"));
    assert_eq!(both.json["seatIds"], json!(["A3"]));
    blocker.execute("rollback").await.unwrap();
    fan.held(&["A1", "A2"]).await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn an_import_whose_outcome_is_not_known_says_so() {
    let shop = TestShop::new().await;
    let process = shop.another_process().await;
    let admin = Fan::new(process.booking.admin().0);
    process.kill().await;
    let mut file = show_file();
    file["title"] = json!("Renamed");
    let open = admin.post("/admin/v1/shows", &file).await;
    assert_eq!((open.status, open.code()), (503, "database-unavailable"));
    let detail = open.json["detail"].as_str().unwrap();
    assert!(detail.contains("may still complete"), "{detail}");
    assert!(open.headers.contains_key("retry-after"));
}

/// A show that began almost a day ago and is sold for two more.
fn festival(now: Timestamp) -> Value {
    let day = Duration::from_hours(24);
    let mut file = show_file();
    file["showId"] = json!("festival");
    file["startsAt"] = json!(now.minus(day).plus(Duration::from_mins(2)));
    file["saleClosesAt"] = json!(now.plus(day * 2));
    file["endsAt"] = json!(now.plus(day * 3));
    file
}

#[tokio::test]
async fn an_event_of_several_days_is_sold_and_its_tickets_are_good_to_the_end() {
    let shop = TestShop::new().await;
    let file = festival(shop.clock.now());
    assert_eq!(shop.import(file).await.0, 201);
    let path = "/api/v1/shows/festival";
    let fan = shop.fan();
    let wish = json!({"seatIds": ["A1"]});
    let hold = hold_path(&fan.post(&format!("{path}/holds"), &wish).await);
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    let booked = fan.confirm(&hold, &intent).await;
    let bought = booked.json["bookingId"].as_str().unwrap();
    let day = Duration::from_hours(24);
    shop.clock.advance(Duration::from_mins(3));
    shop.process.booking.refresh_once().await.unwrap();
    assert_eq!(fan.get(path).await.json["saleStatus"], "OPEN");
    let another = fan
        .post(&format!("{path}/holds"), &json!({"seatIds": ["A2"]}))
        .await;
    assert_eq!(another.status, 201, "{}", another.text);
    // On the last evening the door opens, and weeks later the page still shows the ticket.
    shop.clock.advance(day * 3);
    let page = format!("/bookings/{bought}");
    let api = format!("/api/v1/bookings/{bought}");
    let ticket = fan.get(&api).await.json["tickets"][0]["qr"].clone();
    let key = shop.process.booking.ticket_verifier();
    let checked = booking_core::verify_ticket(ticket.as_str().unwrap(), &key, shop.clock.now());
    assert!(checked.is_ok(), "{checked:?}");
    shop.clock.advance(day * 30);
    shop.process.booking.refresh_once().await.unwrap();
    assert_eq!(fan.get(path).await.status, 404, "it is no longer offered");
    assert_eq!(fan.get(&page).await.status, 200);
    assert_eq!(fan.get(&api).await.status, 200);
    let ended = fan.get(SHOW).await;
    assert_eq!(ended.status, 200, "a show to come stays");
}

#[tokio::test]
async fn seat_maps_are_taken_as_theatres_have_them() {
    let shop = TestShop::new().await;
    let rows = |rows: Vec<String>| json!(rows);
    let digits = json!([{"name": "Stalls", "category": "PREMIUM", "seatsPerRow": 20,
        "rows": rows((1..=20).map(|row| row.to_string()).collect()), "blocked": ["1-11"]}]);
    let two = json!([
        {"name": "STALLS", "category": "PREMIUM", "rows": ["A", "B"], "seatsPerRow": 2},
        {"name": "BALCONY", "category": "REGULAR", "rows": ["A", "B"], "seatsPerRow": 2}
    ]);
    let scripts = json!([{"name": "S", "category": "PREMIUM", "seatsPerRow": 2,
        "rows": ["Å", "Ö", "א", "Row 5"]}]);
    for (show, sections, seat, row) in [
        ("digits", digits, "11-1", "11"),
        ("two", two, "BALCONY-B-2", "B"),
        ("scripts", scripts, "_C5_-1", "Å"),
    ] {
        let mut file = show_file();
        file["showId"] = json!(show);
        file["sections"] = sections;
        let (status, body) = shop.import(file.clone()).await;
        assert_eq!(status, 201, "{body}");
        let fan = shop.fan();
        let map = fan.get(&format!("/api/v1/shows/{show}/seatmap")).await.json;
        let found = map["seats"].as_array().unwrap().iter();
        let found: Vec<&Value> = found.filter(|it| it["seatId"] == seat).collect();
        assert_eq!(found.len(), 1, "{show}");
        assert_eq!(found[0]["row"], row);
        let wish = json!({"seatIds": [seat]});
        let held = fan
            .post(&format!("/api/v1/shows/{show}/holds"), &wish)
            .await;
        assert_eq!(held.status, 201, "{}", held.text);
        // Ids stay: the show may be renamed now that a seat is held.
        file["title"] = json!("Renamed");
        let (status, body) = shop.import(file).await;
        assert_eq!(
            (status, &body["changed"]),
            (200, &json!(["title"])),
            "{body}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_taken_is_told_by_field_and_changes_nothing() {
    let shop = TestShop::new().await;
    for (pointer, value, field) in [
        ("/title", json!("A\u{0}B"), "title"),
        ("/genre", json!("\u{0}"), "genre"),
        ("/venue/address", json!("\u{0}"), "venue.address"),
        ("/categories/0/name", json!("P\u{0}"), "categories[0].name"),
        ("/city/timeZone", json!("IST"), "city.timeZone"),
        ("/room", json!("nowhere"), "room"),
        ("/startsAt", json!("2001-01-01T00:00:00Z"), "startsAt"),
        ("/ticketLimit", json!(50), "ticketLimit"),
    ] {
        let mut file = show_file();
        file["showId"] = json!("refused");
        if pointer == "/room" {
            file["room"] = value;
        } else if let Some(place) = file.pointer_mut(pointer) {
            *place = value;
        }
        let (status, body) = shop.import(file).await;
        assert_eq!((status, &body["field"]), (422, &json!(field)), "{body}");
    }
    assert_eq!(shop.fan().get("/api/v1/shows/refused").await.status, 404);
    let mut faulty = show_file();
    faulty["title"] = json!("");
    faulty["holdSeconds"] = json!(1);
    let (_, body) = shop.import(faulty).await;
    assert_eq!(body["faults"].as_array().map(Vec::len), Some(2), "{body}");
}

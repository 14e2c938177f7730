//! What the audit log says of changes that the booking core makes for operators.

use std::sync::Arc;

use axum::body::Body;
use booking_core::Booking;
use contract::ManualClock;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use test_support::database::TestDatabase;
use tower::ServiceExt;

use crate::desk::Desk;
use crate::holder::empty_shop;
use crate::serving::within;

const SHOWS: &str = "/admin/v1/shows";

/// A booking core whose payment provider cannot be reached.
async fn booking(database: &TestDatabase) -> Booking {
    let nowhere = "http://127.0.0.1:1".to_owned();
    empty_shop(&database.url(), nowhere, Arc::new(ManualClock::default())).await
}

fn show() -> Value {
    json!({
        "showId": "sale",
        "city": { "cityId": "mumbai", "name": "Mumbai", "country": "IN",
            "timeZone": "Asia/Kolkata" },
        "title": "Sale", "venue": { "name": "Lake", "address": "Powai" },
        "startsAt": "2035-12-21T13:30:00Z", "currency": "INR",
        "categories": [
            { "category": "FRONT", "name": "Front", "priceMinor": 450_000 },
            { "category": "BACK", "name": "Back", "priceMinor": 90_000 },
        ],
        "sections": [
            { "name": "Water", "category": "FRONT", "rows": ["A"], "seatsPerRow": 5 },
            { "name": "Shore", "category": "BACK", "rows": ["B"], "seatsPerRow": 5 },
        ],
    })
}

/// The records of `target`, oldest first.
async fn records_of(desk: &Desk, target: &str) -> Vec<Value> {
    let audit = desk.ask(Method::GET, "/admin/v1/audit", Value::Null).await;
    let records = audit.json["records"].as_array().unwrap();
    let of_target = records.iter().filter(|it| it["target"] == target);
    of_target.rev().cloned().collect()
}

async fn hold(booking: &Booking, seat: &str) {
    let request = Request::post("/api/v1/shows/sale/holds")
        .header("content-type", "application/json")
        .body(Body::from(json!({ "seatIds": [seat] }).to_string()))
        .unwrap();
    let held = booking.router().oneshot(request).await.unwrap();
    assert_eq!(held.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn what_is_refused_by_its_content_is_refused_by_the_description() {
    let database = TestDatabase::create().await;
    let booking = booking(&database).await;
    let desk = Desk::with_booking(database, &booking);
    let api = desk.ask(Method::GET, "/admin/v1/openapi.json", Value::Null);
    let api = api.await.json;
    let schema = |name: &str| &api["components"]["schemas"][name]["properties"];
    let file = schema("ShowFile");
    assert_eq!(file["ticketLimit"]["maximum"], 20);
    assert!(file["currency"]["enum"].is_array());
    let settings = schema("RoomSettings");
    assert_eq!(settings["paths"]["maxItems"], 64);
    assert!(settings["paths"]["items"]["pattern"].is_string());
    assert_eq!(settings["challenge"]["pattern"], "^none$");
}

#[tokio::test]
async fn an_import_is_recorded_under_its_show_with_what_it_changed() {
    let database = TestDatabase::create().await;
    let booking = booking(&database).await;
    let desk = Desk::with_booking(database, &booking);
    let import = async |file: &Value, status: u16| {
        let answer = desk.ask(Method::POST, SHOWS, file.clone()).await;
        assert_eq!(answer.status, status, "{}", answer.json);
    };
    import(&show(), 201).await;
    let mut dearer = show();
    dearer["categories"][1]["priceMinor"] = json!(95_000);
    dearer["title"] = json!("The Sale");
    import(&dearer, 200).await;
    import(&dearer, 200).await;
    hold(&booking, "A1").await;
    let mut smaller = dearer.clone();
    smaller["sections"][0]["seatsPerRow"] = json!(4);
    import(&smaller, 409).await;
    let mut faulty = dearer.clone();
    faulty["ticketLimit"] = json!(50);
    import(&faulty, 422).await;
    // Not the form of a show file, but its show can be read.
    import(&json!({"showId": "sale", "title": 7}), 422).await;

    let records = records_of(&desk, "sale").await;
    assert_eq!(records.len(), 6, "{records:?}");
    for record in &records {
        assert_eq!(
            (&record["action"], &record["actor"]),
            (&json!("show.import"), &json!("admin"))
        );
    }
    let (made, changed) = (&records[0], &records[1]);
    assert_eq!(made["before"], Value::Null);
    assert_eq!(made["after"]["seatCount"], 10);
    assert_eq!(
        made["after"]["categories"]["BACK"],
        json!({"name": "Back", "priceMinor": 90_000})
    );
    assert_eq!(
        (&changed["before"], &changed["after"]),
        (
            &json!({"title": "Sale", "categories": {"BACK": {"priceMinor": 90_000}}}),
            &json!({"title": "The Sale", "categories": {"BACK": {"priceMinor": 95_000}}}),
        )
    );
    assert_eq!(
        (&records[2]["before"], &records[2]["after"]),
        (&json!({}), &json!({}))
    );
    let refused = records[3..].iter().map(|it| (&it["before"], &it["after"]));
    let conflict = json!({"status": 409, "problem": "conflict"});
    let invalid = json!({"status": 422, "problem": "validation-failed"});
    assert!(
        refused.eq([
            (&Value::Null, &conflict),
            (&Value::Null, &invalid),
            (&Value::Null, &invalid)
        ]),
        "{records:?}"
    );
}

#[tokio::test]
async fn an_import_that_nobody_waits_for_is_recorded_to_its_end() {
    let database = TestDatabase::create().await;
    let mut held_up = PgConnection::connect(&database.url()).await.unwrap();
    let booking = booking(&database).await;
    let desk = Desk::with_booking(database, &booking);
    held_up.execute("begin; lock table shows").await.unwrap();
    let begun = async || {
        loop {
            if let Some(record) = records_of(&desk, SHOWS).await.pop() {
                return record;
            }
        }
    };
    let record = loop {
        tokio::select! {
            // On a busy machine the lock may be waited for in vain before the record is looked at.
            _given_up = desk.ask(Method::POST, SHOWS, show()) => {}
            record = begun() => break record,
        }
    };
    assert_eq!(record["action"], "show.import");
    assert_eq!(record["after"], Value::Null);
    held_up.execute("commit").await.unwrap();
    // However the import ends: on a busy machine it may have waited for the lock in vain.
    let recorded = async {
        loop {
            let audit = desk.ask(Method::GET, "/admin/v1/audit", Value::Null).await;
            let records = audit.json["records"].as_array().unwrap();
            let record = records.iter().find(|it| it["id"] == record["id"]).unwrap();
            if record["after"] != Value::Null {
                return;
            }
        }
    };
    within("the end of the record", recorded).await;
}

#[tokio::test]
async fn what_names_no_show_and_what_concerns_the_provider_is_recorded_too() {
    let database = TestDatabase::create().await;
    let booking = booking(&database).await;
    let desk = Desk::with_booking(database, &booking);
    let unread = desk.ask_as("admin", Method::POST, SHOWS, "{").await;
    assert_eq!(unread.status, 400);
    let records = records_of(&desk, SHOWS).await;
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["action"], "show.import");
    assert_eq!(
        records[0]["after"],
        json!({"status": 400, "problem": "bad-request"})
    );
    let compared = desk
        .ask(Method::POST, "/admin/v1/reconcile", Value::Null)
        .await;
    assert_eq!(compared.status, 503, "{}", compared.json);
    let records = records_of(&desk, "simulator").await;
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["action"], "payments.reconcile");
    assert_eq!(
        records[0]["after"],
        json!({"status": 503, "problem": "payment-unavailable"})
    );
}

#[tokio::test]
async fn scanners_are_recorded_without_their_tokens() {
    let database = TestDatabase::create().await;
    let booking = booking(&database).await;
    let desk = Desk::with_booking(database, &booking);
    assert_eq!(desk.ask(Method::POST, SHOWS, show()).await.status, 201);
    let wish = json!({ "showId": "sale", "gate": "North" });
    let made = desk.ask(Method::POST, "/admin/v1/scanners", wish).await;
    assert_eq!(made.status, 201, "{}", made.json);
    let id = made.json["scanner"]["scannerId"].as_str().unwrap();
    let path = format!("/admin/v1/scanners/{id}");
    assert_eq!(
        desk.ask(Method::DELETE, &path, Value::Null).await.status,
        204
    );
    let records = records_of(&desk, id).await;
    let actions: Vec<_> = records
        .iter()
        .map(|it| it["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["scanner.create", "scanner.revoke"]);
    assert_eq!(records[0]["after"], made.json["scanner"]);
    let token = made.json["token"].as_str().unwrap();
    assert!(!format!("{records:?}").contains(token));
    // Whoever may only look makes no scanner.
    let wish = json!({ "showId": "sale", "gate": "South" }).to_string();
    let refused = desk
        .ask_as("viewer", Method::POST, "/admin/v1/scanners", &wish)
        .await;
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn a_cancelled_show_and_a_refund_are_on_record() {
    let database = TestDatabase::create().await;
    let booking = booking(&database).await;
    let desk = Desk::with_booking(database, &booking);
    assert_eq!(desk.ask(Method::POST, SHOWS, show()).await.status, 201);
    let path = format!("{SHOWS}/sale/cancel");
    let order = json!({ "reason": "Flood" });
    for _ in 0..2 {
        let cancelled = desk.ask(Method::POST, &path, order.clone()).await;
        assert_eq!(cancelled.status, 202, "{}", cancelled.json);
        assert_eq!(cancelled.json["done"], true);
    }
    let records = records_of(&desk, "sale").await;
    let cancels = records.iter().filter(|it| it["action"] == "show.cancel");
    let befores: Vec<&Value> = cancels.clone().map(|it| &it["before"]).collect();
    assert_eq!(
        befores,
        [&json!({"cancelled": false}), &json!({"cancelled": true})]
    );
    for record in cancels {
        assert_eq!(record["after"]["bookingsLeft"], 0, "{record}");
        assert_eq!(record["after"]["reason"], "Flood");
    }
    let shown = desk
        .ask(Method::GET, &format!("{SHOWS}/sale"), Value::Null)
        .await;
    assert_eq!(shown.json["saleStatus"], "CANCELLED");
    let unknown = "bkg_0190163d8694739baea51966c26f8ad9";
    for (path, action) in [
        ("refund", "booking.refund"),
        ("resend", "booking.resend"),
        ("links/revoke", "links.revoke"),
    ] {
        let path = format!("/admin/v1/bookings/{unknown}/{path}");
        let refused = desk.ask(Method::POST, &path, json!({})).await;
        assert_eq!(refused.status, 404, "{path} {}", refused.json);
        let records = records_of(&desk, unknown).await;
        let last = records.last().unwrap();
        assert_eq!(last["action"], action);
        assert_eq!(last["after"]["problem"], "not-found", "{last}");
    }
}

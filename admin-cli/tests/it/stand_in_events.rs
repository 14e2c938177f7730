//! The stand-in's log of events, its one subscription, and its sales.

use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::answers::answer;

/// Events in the log.
const HEAD: u64 = 2500;
/// Every so many events is a booking, the others are scans.
const BOOKING_EVERY: u64 = 1000;

pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let told = |status: StatusCode| async move { answer(status, &subscription(true)) };
    Router::new()
        .route("/events", get(events))
        .route(
            "/events/erase",
            post(|| async { answer(StatusCode::OK, &json!({ "erased": true })) }),
        )
        .route("/sales", get(sales))
        .route(
            "/subscriptions",
            get(|| async {
                answer(
                    StatusCode::OK,
                    &json!({ "subscriptions": [subscription(false)] }),
                )
            })
            .post(move |body: Bytes| async move {
                let asked: Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(asked["url"], "https://crm.example/hook");
                assert_eq!(
                    (&asked["types"], &asked["after"]),
                    (&json!(["refund.made"]), &json!(0))
                );
                told(StatusCode::CREATED).await
            }),
        )
        .route(
            "/subscriptions/{id}/rotate",
            post(move || told(StatusCode::OK)),
        )
        .route(
            "/subscriptions/{id}/deliveries",
            get(|| async {
                answer(
                    StatusCode::OK,
                    &json!({ "deliveries": [{
                "position": 7, "type": "refund.made", "status": "FAILED", "attemptCount": 80,
                "triedAt": null, "lastError": "answered 500" }] }),
                )
            }),
        )
        .route(
            "/subscriptions/{id}/deliveries/retry",
            post(|| async { answer(StatusCode::OK, &json!({ "retriedCount": 3 })) }),
        )
        .route(
            "/subscriptions/{id}/test",
            post(|| async {
                answer(
                    StatusCode::OK,
                    &json!({ "taken": false, "answerStatus": 500, "error": "answered 500" }),
                )
            }),
        )
}

async fn events(Query(query): Query<HashMap<String, String>>) -> Response {
    let number = |name: &str| query[name].parse::<u64>().unwrap();
    let (after, limit) = (number("after"), number("limit"));
    let only_bookings = query["types"] == "booking.confirmed";
    let kind = |position: u64| match position % BOOKING_EVERY {
        0 => "booking.confirmed",
        _ => "ticket.scanned",
    };
    let events: Vec<Value> = (after + 1..=HEAD)
        .filter(|position| !only_bookings || kind(*position) == "booking.confirmed")
        .take(usize::try_from(limit).unwrap())
        .map(|position| {
            json!({
                "id": format!("evt_{position}"), "position": position, "type": kind(position),
                "version": 1, "timestamp": "2026-11-22T10:00:00.000Z",
                "data": { "bookingId": "bkg_1", "show": { "showId": "eras-mumbai-1" } },
            })
        })
        .collect();
    let next = match events.last() {
        Some(last) if events.len() as u64 == limit => last["position"].clone(),
        _ => json!(HEAD),
    };
    answer(
        StatusCode::OK,
        &json!({ "events": events, "next": next, "head": HEAD }),
    )
}

fn subscription(with_secret: bool) -> Value {
    let mut view = json!({
        "subscriptionId": "sub_0190163d8694739baea51966c26f8ad9", "url": "https://crm.example/hook",
        "description": "", "types": ["refund.made"], "status": "DISABLED",
        "disabledBecause": "the receiver answered 410 Gone", "failingSince": null, "position": 7,
        "dueCount": 1, "failedCount": 2, "createdAt": "2026-11-22T10:00:00.000Z",
    });
    if with_secret {
        view["secret"] = json!("whsec_c2VjcmV0");
    }
    view
}

async fn sales(Query(query): Query<HashMap<String, String>>) -> Response {
    let mut category = json!({
        "showId": "eras-mumbai-1", "category": "Front, left", "currency": "INR", "ticketsSold": 3,
        "soldMinor": 1_500_000, "ticketsCancelled": 1, "cancelledMinor": 500_000,
        "netMinor": 1_000_000,
    });
    if query["hourly"] == "true" {
        category["hour"] = json!("2026-11-22T10:00:00.000Z");
    }
    answer(
        StatusCode::OK,
        &json!({
            "asOf": "2026-11-22T10:00:00.000Z",
            "shows": [{
                "showId": "eras-mumbai-1", "currency": "INR", "bookings": 2, "bookedMinor": 1_500_000,
                "refundedMinor": 495_000, "keptMinor": 5_000, "netMinor": 1_005_000, "entries": 1,
            }],
            "categories": [category],
            "rooms": [{ "room": "eras", "calls": 8, "buyers": 2 }],
        }),
    )
}

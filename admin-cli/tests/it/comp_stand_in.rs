//! A stand-in for the gateway's part of giving tickets away, and of invoices.

use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, RawPathParams};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use contract::{Problem, ProblemCode};
use serde_json::{Value, json};

use crate::review_stand_in::BOOKING;

/// The gateway's part.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/shows/{show}/comps", post(give))
        .route("/invoices", get(invoices))
        .route("/invoices/{number}", get(invoice))
}

async fn give(headers: HeaderMap, body: Bytes) -> Response {
    if headers
        .get("idempotency-key")
        .is_some_and(|key| key == "taken")
    {
        let problem = Problem::new(ProblemCode::SeatsUnavailable);
        return (StatusCode::CONFLICT, axum::Json(problem)).into_response();
    }
    let order: Value = serde_json::from_slice(&body).unwrap();
    let seats = match (&order["seatIds"], &order["quantity"], &order["category"]) {
        (seats, Value::Null, Value::Null) if seats.is_array() => seats.clone(),
        (Value::Null, quantity, _) if *quantity == 2 => json!(["A-1", "A-2"]),
        _ => return StatusCode::UNPROCESSABLE_ENTITY.into_response(),
    };
    let ticket = BOOKING.replace("bkg", "tkt");
    let given = json!({
        "bookingId": BOOKING, "code": "K7M2RRX9B", "showId": "eras", "ticketIds": [ticket, ticket],
        "seatIds": seats, "faceMinor": 500_000, "currency": "INR",
    });
    (StatusCode::CREATED, axum::Json(given)).into_response()
}

fn document(number: &str) -> Value {
    let credit = number.contains('C');
    json!({
        "number": number, "kind": if credit { "CREDIT_NOTE" } else { "INVOICE" },
        "ofNumber": credit.then_some("2026-000001"), "bookingId": BOOKING,
        "bookingCode": "K7M2RRX9B", "email": "a@example.com", "showId": "eras",
        "amountMinor": 11_900, "taxMinor": 1_900, "currency": "EUR",
        "lines": [{"kind": "ticket", "name": "Stalls", "amountMinor": 11_900},
            {"kind": "tax", "name": "VAT", "amountMinor": 1_900, "percent": 19, "included": true}],
        "seller": {"name": "Example Concerts", "address": ["Main Street 1"], "taxNumber": "DE1"},
        "issuedAt": "2026-12-01T10:00:00.000Z",
    })
}

/// Two pages.
async fn invoices(Query(query): Query<HashMap<String, String>>) -> Response {
    let page = match query.get("after").map(String::as_str) {
        Some("0") => json!({"invoices": [document("2026-000001")], "next": 7}),
        _ => json!({"invoices": [document("2026-C000001")]}),
    };
    axum::Json(page).into_response()
}

async fn invoice(params: RawPathParams) -> Response {
    let number = params.iter().next().map_or("", |(_, number)| number);
    if number == "2026-000009" {
        let problem = Problem::new(ProblemCode::NotFound);
        return (StatusCode::NOT_FOUND, axum::Json(problem)).into_response();
    }
    axum::Json(document(number)).into_response()
}

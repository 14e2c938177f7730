//! A stand-in for the gateway's part of giving tickets away.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use contract::{Problem, ProblemCode};
use serde_json::{Value, json};

use crate::review_stand_in::BOOKING;

/// The gateway's part.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/shows/{show}/comps", post(give))
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

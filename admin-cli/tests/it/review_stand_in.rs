//! A stand-in for the gateway's part of reviews.

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use contract::{Problem, ProblemCode};
use serde_json::{Value, json};

pub(crate) const BOOKING: &str = "bkg_0190163d8694739baea51966c26f8ad9";
const THEN: &str = "2026-12-01T10:00:00.000Z";

/// The gateway's part.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/reviews", get(list))
        .route("/reviews/{booking}", get(show))
        .route("/reviews/{booking}/approve", post(approve))
        .route("/reviews/{booking}/refuse", post(refuse))
}

fn in_review(state: &str, note: &Value) -> Value {
    json!({
        "bookingId": BOOKING, "code": "K7M2RRX9B", "showId": "eras-mumbai-1", "startsAt": THEN,
        "urgent": true, "email": "a@example.com", "bookingStatus": "CONFIRMED", "ticketCount": 2,
        "amountMinor": 500_000, "currency": "INR", "state": state, "score": 140,
        "createdAt": THEN, "decidedAt": null, "byTime": false, "note": note, "signals": [
            {"signal": "card-customers", "amount": 7, "points": 80},
            {"signal": "card-limit", "amount": 1, "points": 60}],
    })
}

async fn list() -> Response {
    let reviews = [in_review("WAITING", &Value::Null)];
    axum::Json(json!({ "reviews": reviews })).into_response()
}

async fn show() -> Response {
    axum::Json(in_review("WAITING", &Value::Null)).into_response()
}

/// Approving conflicts unless there is a note.
async fn approve(body: Bytes) -> Response {
    let order: Value = serde_json::from_slice(&body).unwrap();
    if order["note"].is_null() {
        let problem = Problem::new(ProblemCode::Conflict).detail("It was decided otherwise.");
        return (StatusCode::CONFLICT, axum::Json(problem)).into_response();
    }
    axum::Json(in_review("APPROVED", &order["note"])).into_response()
}

async fn refuse(body: Bytes) -> Response {
    let order: Value = serde_json::from_slice(&body).unwrap();
    axum::Json(in_review("REFUSED", &order["note"])).into_response()
}

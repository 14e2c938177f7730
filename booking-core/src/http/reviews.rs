//! The operators' API for purchases that a person decides about.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::{BookingId, Problem, ProblemCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ApiJson, ApiPath, ApiResult, Audited};

use super::cancel::REASON_CHARS_MAX;
use super::problems::{invalid, not_found};
use crate::handle::Booking;
use crate::store::reviews::ReviewState;
use crate::vetting::reviewing::{Review, ReviewOutcome};

pub(super) fn routes() -> OpenApiRouter<Booking> {
    OpenApiRouter::default()
        .routes(routes!(list))
        .routes(routes!(review))
        .routes(routes!(approve))
        .routes(routes!(refuse))
}

/// Reviews.
#[derive(Serialize, ToSchema)]
struct Reviews {
    /// Those that wait, the most urgent first, at most 200.
    reviews: Vec<Review>,
}

/// List the purchases that wait for a review
#[utoipa::path(
    get, path = "/admin/v1/reviews", operation_id = "reviews", tag = "booking",
    responses(
        (status = 200, description = "The reviews", body = Reviews),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn list(State(booking): State<Booking>) -> ApiResult<ApiJson<Reviews>> {
    let reviews = booking.reviews().await?;
    Ok(ApiJson(Reviews { reviews }))
}

/// Read the review of a booking: why it was put aside, and what was decided
#[utoipa::path(
    get, path = "/admin/v1/reviews/{bookingId}", operation_id = "review_read", tag = "booking",
    params(("bookingId" = BookingId, Path, description = "The booking")),
    responses(
        (status = 200, description = "The review", body = Review),
        (status = 404, description = "not-found: the booking is in no review", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn review(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
) -> ApiResult<ApiJson<Review>> {
    let found = booking.review(booking_id).await?;
    found.map(ApiJson).ok_or_else(not_found)
}

/// The body of a decision. All fields may be absent.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReviewDecision {
    /// Why, for the record.
    #[serde(default)]
    #[schema(max_length = 500)]
    note: Option<String>,
}

/// Approve a purchase: its tickets are sent
#[utoipa::path(
    post, path = "/admin/v1/reviews/{bookingId}/approve", operation_id = "review_approve",
    tag = "booking",
    params(("bookingId" = BookingId, Path, description = "The booking")),
    request_body = ReviewDecision,
    responses(
        (status = 200, description = "It is approved, now or before", body = Review),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 409, description = "conflict: it was refused or cancelled", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn approve(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    ApiJson(decision): ApiJson<ReviewDecision>,
) -> Response {
    decide(&booking, booking_id, ReviewState::Approved, decision).await
}

/// Refuse a purchase: its booking is cancelled and the whole price goes back
#[utoipa::path(
    post, path = "/admin/v1/reviews/{bookingId}/refuse", operation_id = "review_refuse",
    tag = "booking",
    params(("bookingId" = BookingId, Path, description = "The booking")),
    request_body = ReviewDecision,
    responses(
        (status = 200, description = "It is refused, now or before", body = Review),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 409, description = "conflict: it was approved or cancelled", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn refuse(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    ApiJson(decision): ApiJson<ReviewDecision>,
) -> Response {
    decide(&booking, booking_id, ReviewState::Refused, decision).await
}

async fn decide(
    booking: &Booking,
    booking_id: BookingId,
    state: ReviewState,
    decision: ReviewDecision,
) -> Response {
    let mut audited = Audited {
        target: Some(booking_id.to_string()),
        ..Audited::default()
    };
    let decided = async {
        let note = decision.note.filter(|note| !note.trim().is_empty());
        let is_long = |note: &String| note.chars().count() > REASON_CHARS_MAX;
        if note.as_ref().is_some_and(is_long) {
            let what = format!("must have at most {REASON_CHARS_MAX} characters");
            return Err(invalid("note", &what));
        }
        Ok(booking.review_decide(booking_id, state, note).await?)
    };
    let refusal = match decided.await {
        Ok(ReviewOutcome::Decided(before, after)) => {
            audited.before = Some(recorded(&before));
            audited.after = Some(recorded(&after));
            return audited.on(ApiJson(*after).into_response());
        }
        Ok(ReviewOutcome::Settled(now)) => {
            audited.before = Some(recorded(&now));
            Problem::new(ProblemCode::Conflict)
                .detail("It was decided otherwise, or its booking was cancelled.")
                .into()
        }
        Ok(ReviewOutcome::NotFound) => not_found(),
        Err(error) => error,
    };
    audited.on(refusal.into_response())
}

/// A review for the audit log: nothing about its customer.
fn recorded(review: &Review) -> Value {
    json!({
        "state": review.state,
        "bookingStatus": review.booking_status,
        "score": review.score,
        "note": review.note,
    })
}

//! Paying, confirming, and the provider's webhooks.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use contract::booking::{
    Booking as BookingView, ConfirmRequest, Hold, Payment, PaymentRequest, Processing,
};
use contract::coupon::{Quote, QuoteRequest};
use contract::{HoldId, Problem, ProblemCode, principal};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;
use web::{ApiError, ApiJson, ApiPath, ApiResult};

use super::idempotent::{self, Accepted, RequestKey};
use super::problems::{
    coupon_not_valid, hold_expired, invalid, not_found, payment_failed, payment_unavailable,
};
use super::risk;
use crate::confirm_outcome::ConfirmKey;
use crate::confirm_outcome::ConfirmOutcome;
use crate::confirm_queue::ConfirmTurn;
use crate::coupons::QuoteOutcome;
use crate::database::Turns;
use crate::handle::Booking;
use crate::holds::Once;
use crate::payment_outcome::PaymentOutcome;
use crate::payments::webhooks::WebhookReceipt;
use crate::store::idempotency::StoredAnswer;

/// `Retry-After` while the outcome of a payment is open, in seconds.
const CONFIRM_AGAIN_SECONDS: u64 = 1;

/// Starts a payment for a hold.
#[utoipa::path(
    post, path = "/holds/{holdId}/payments",
    params(
        ("holdId" = HoldId, Path, description = "The hold"),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[ \\t]*[!-~]{1,255}[ \\t]*$",
            description = "Idempotency key: a repeated request has no further effect")
    ),
    request_body = PaymentRequest,
    responses(
        (status = 201, body = Payment),
        (status = 402, body = Problem, description = "payment-failed"),
        (status = 403, body = Problem, description = "challenge-required, with the `challenge`"),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "coupon-not-valid with a `reason`, request-in-progress"),
        (status = 410, body = Problem, description = "hold-expired"),
        (status = 422, body = Problem),
        (status = 503, body = Problem, description = "payment-unavailable, database-unavailable")
    )
)]
pub(super) async fn payment_start(
    State(booking): State<Booking>,
    ApiPath(hold_id): ApiPath<HoldId>,
    headers: HeaderMap,
    ApiJson(mut request): ApiJson<PaymentRequest>,
) -> ApiResult<Response> {
    let customer = booking.customer(&headers);
    let proof = request.proof.take();
    let path = format!("/holds/{hold_id}/payments");
    let key = RequestKey::read(&headers, &path, &request)?;
    let key_use = key.map(|key| key.used_by_owner(&customer, &headers));
    let keys = Turns::of_any(booking.0.pools.money.clone());
    let hold = hold_id.uuid();
    let work = move |booking: Booking| async move {
        risk::before_payment(&booking, &customer, hold_id, &request.email, proof).await?;
        let coupon = request.coupon_code.as_deref();
        let started = booking.payment_start(&customer, hold_id, &request.email, coupon);
        respond_payment(started.await?)
    };
    idempotent::once(&booking, keys, key_use, hold, Accepted::IsOpen, work).await?
}

fn respond_payment(started: PaymentOutcome) -> ApiResult<Response> {
    match started {
        PaymentOutcome::Started(payment) => {
            Ok((StatusCode::CREATED, ApiJson(payment)).into_response())
        }
        PaymentOutcome::InvalidEmail => Err(invalid("email", "is not an e-mail address")),
        PaymentOutcome::NotFound => Err(not_found()),
        PaymentOutcome::HoldEnded => Err(hold_expired(false)),
        PaymentOutcome::Failed(reason) => Err(payment_failed(reason)),
        PaymentOutcome::CouponNotValid(reason) => Err(coupon_not_valid(reason)),
        PaymentOutcome::Unanswered {
            reason,
            retry_after,
        } => Err(payment_unavailable(reason, retry_after)),
    }
}

/// Tells what a hold costs with a coupon. Nothing is reserved or changed.
#[utoipa::path(
    post, path = "/holds/{holdId}/quote",
    params(("holdId" = HoldId, Path, description = "The hold")),
    request_body = QuoteRequest,
    responses(
        (status = 200, body = Quote),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "coupon-not-valid, with a `reason`"),
        (status = 410, body = Problem, description = "hold-expired"),
        (status = 422, body = Problem)
    )
)]
pub(super) async fn quote(
    State(booking): State<Booking>,
    ApiPath(hold_id): ApiPath<HoldId>,
    headers: HeaderMap,
    ApiJson(request): ApiJson<QuoteRequest>,
) -> ApiResult<ApiJson<Quote>> {
    let customer = booking.customer(&headers);
    let (code, email) = (request.coupon_code, request.email);
    let quoted = booking.coupon_quote(&customer, hold_id, code, email);
    read_quote(quoted.await?).map(ApiJson)
}

/// The quote, or the refusal as a problem.
pub(crate) fn read_quote(outcome: QuoteOutcome) -> ApiResult<Quote> {
    match outcome {
        QuoteOutcome::Quoted(quote) => Ok(quote),
        QuoteOutcome::NotFound => Err(not_found()),
        QuoteOutcome::HoldEnded => Err(hold_expired(false)),
        QuoteOutcome::InvalidEmail => Err(invalid("email", "is not an e-mail address")),
        QuoteOutcome::NotValid(reason) => Err(coupon_not_valid(reason)),
    }
}

/// Takes the coupon off a hold, which costs what it did before. A payment that is under way is
/// closed, because its price is no longer the hold's.
#[utoipa::path(
    delete, path = "/holds/{holdId}/coupon",
    params(("holdId" = HoldId, Path, description = "The hold")),
    responses(
        (status = 200, body = Hold, description = "It has none, now or before"),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "coupon-not-valid, with a `reason`"),
        (status = 410, body = Problem, description = "hold-expired: it is paid or over"),
        (status = 503, body = Problem, description = "payment-unavailable, database-unavailable")
    )
)]
pub(super) async fn coupon_off(
    State(booking): State<Booking>,
    ApiPath(hold_id): ApiPath<HoldId>,
    headers: HeaderMap,
) -> ApiResult<ApiJson<Hold>> {
    let customer = booking.customer(&headers);
    if let Some(refusal) = booking.coupon_off(&customer, hold_id).await? {
        return Err(refused(refusal));
    }
    let hold = booking.hold(&customer, hold_id).await?;
    hold.map(ApiJson).ok_or_else(not_found)
}

/// A refusal as a problem.
pub(crate) fn refused(outcome: PaymentOutcome) -> ApiError {
    match respond_payment(outcome) {
        Err(error) => error,
        Ok(_) => not_found(),
    }
}

/// Turns a paid hold into a booking.
#[utoipa::path(
    post, path = "/holds/{holdId}/confirm",
    params(
        ("holdId" = HoldId, Path, description = "The hold"),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[ \\t]*[!-~]{1,255}[ \\t]*$",
            description = "Idempotency key: a repeated request has no further effect")
    ),
    request_body = ConfirmRequest,
    responses(
        (status = 200, body = BookingView),
        (status = 202, body = Processing, description = "The outcome is open: ask again"),
        (status = 402, body = Problem, description = "payment-failed"),
        (status = 404, body = Problem),
        (status = 410, body = Problem, description = "hold-expired"),
        (status = 422, body = Problem),
        (status = 503, body = Problem, description =
            "booking-busy, database-unavailable: nothing was asked yet")
    )
)]
pub(super) async fn confirm(
    State(booking): State<Booking>,
    ApiPath(hold_id): ApiPath<HoldId>,
    headers: HeaderMap,
    ApiJson(request): ApiJson<ConfirmRequest>,
) -> ApiResult<Response> {
    let customer = booking.customer(&headers);
    let path = format!("/holds/{hold_id}/confirm");
    let key = RequestKey::read(&headers, &path, &request)?;
    let key_use = key.map(|key| key.used_by_owner(&customer, &headers));
    // Before anything is read.
    let permit = match booking.confirm_turn().await {
        ConfirmTurn::Granted(permit) => permit,
        ConfirmTurn::Later => return Ok(processing()),
        ConfirmTurn::Full => return Err(ProblemCode::BookingBusy.into()),
    };
    let key = key_use.clone().map(|key_use| ConfirmKey {
        key_use,
        answer_of: booked,
    });
    let payment = &request.payment_intent_id;
    let confirmed = booking.confirm_once(permit, &customer, hold_id, payment, key);
    let confirmed = match confirmed.await? {
        Once::Known(known) => return idempotent::repeat(known),
        Once::Now(confirmed) => confirmed,
    };
    let response = respond_confirm(confirmed.outcome).unwrap_or_else(IntoResponse::into_response);
    match key_use {
        Some(key_use) if !confirmed.is_answered => {
            idempotent::keep(&booking, key_use, hold_id.uuid(), response).await
        }
        _ => Ok(response),
    }
}

/// The response to a repeated confirmation.
fn booked(booking: &BookingView) -> StoredAnswer {
    StoredAnswer {
        status: StatusCode::OK.as_u16(),
        headers: json!({ CONTENT_TYPE.as_str(): "application/json" }),
        // Serialisation cannot fail: a booking contains only strings and numbers.
        body: serde_json::to_vec(booking).unwrap_or_default(),
    }
}

/// The response while the outcome of a payment is open.
fn processing() -> Response {
    let retry_after = [(RETRY_AFTER, HeaderValue::from(CONFIRM_AGAIN_SECONDS))];
    let processing = ApiJson(Processing {
        status: "PROCESSING".to_owned(),
    });
    (StatusCode::ACCEPTED, retry_after, processing).into_response()
}

fn respond_confirm(outcome: ConfirmOutcome) -> ApiResult<Response> {
    match outcome {
        ConfirmOutcome::Booked {
            booking,
            ends_session,
        } => {
            let mut response = ApiJson(*booking).into_response();
            if let Some(room) = &ends_session {
                principal::end_session(room, response.headers_mut());
            }
            Ok(response)
        }
        ConfirmOutcome::Processing => Ok(processing()),
        ConfirmOutcome::Failed(reason) => Err(payment_failed(reason)),
        ConfirmOutcome::HoldEnded { refunding } => Err(hold_expired(refunding)),
        ConfirmOutcome::NotFound => Err(not_found()),
        ConfirmOutcome::UnknownPayment => {
            Err(invalid("paymentIntentId", "is not a payment of this hold"))
        }
    }
}

/// Receives the webhooks of a payment provider.
#[utoipa::path(
    post, path = "/payments/{provider}/webhook",
    params(("provider" = String, Path, description = "The provider's name: stripe, razorpay or simulator")),
    request_body(content = String, content_type = "application/json"),
    responses(
        (status = 200, description = "The event is stored"),
        (status = 400, body = Problem, description = "The signature is not valid"),
        (status = 404, body = Problem, description = "No such provider is configured"),
        (status = 503, body = Problem, description = "database-unavailable: deliver it again")
    )
)]
pub(super) async fn webhook(
    State(booking): State<Booking>,
    ApiPath(provider): ApiPath<String>,
    headers: HeaderMap,
    request: Request,
) -> ApiResult<StatusCode> {
    if booking.0.providers.find(&provider).is_none() {
        return Err(not_found());
    }
    let body = web::extract::read_body(request, &booking).await?;
    match booking.webhook_store(provider, headers, body).await? {
        WebhookReceipt::UnknownProvider => Err(not_found()),
        WebhookReceipt::Stored => Ok(StatusCode::OK),
        WebhookReceipt::BadSignature => Err(Problem::new(ProblemCode::BadRequest)
            .detail("The signature is not valid.")
            .into()),
        WebhookReceipt::Unreadable => Err(Problem::new(ProblemCode::BadRequest)
            .detail("This is not an event.")
            .into()),
    }
}

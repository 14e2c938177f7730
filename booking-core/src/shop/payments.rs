//! Paying for a hold, and the return from the provider.

use axum::extract::State;
use axum::response::Response;
use contract::booking::HoldStatus;
use contract::{HoldId, Problem, ProblemCode, principal};
use http::{HeaderMap, Method, StatusCode};
use pages::shop::{ElsewherePage, ProcessingPage};
use serde::Deserialize;
use web::reader::is_speculative;
use web::{ApiError, ApiForm, ApiPath, ApiQuery, ApiResult};

use super::page::{page, see_other};
use super::{challenge, holds};
use crate::bookings::PaymentSeen;
use crate::confirm_outcome::ConfirmOutcome;
use crate::confirm_queue::{ConfirmPermit, ConfirmTurn};
use crate::handle::Booking;
use crate::http::payments::{read_quote, refused};
use crate::http::problems::{
    coupon_not_valid, hold_expired, invalid, not_found, payment_unavailable,
};
use crate::http::risk;
use crate::money::FailureReason;
use crate::payment_outcome::PaymentOutcome;

/// The payment form of a hold's page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PaymentForm {
    email: String,
    #[serde(rename = "couponCode")]
    coupon_code: Option<String>,
    /// The solution of a challenge.
    proof: Option<String>,
}

/// The query of the return URL.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Returned {
    /// Our payment id.
    payment: Option<String>,
    /// The provider's intent id, which it appends. Payments of earlier versions return with this
    /// only.
    payment_intent: Option<String>,
}

pub(super) async fn payment_start(
    State(booking): State<Booking>,
    ApiPath(hold_id): ApiPath<HoldId>,
    headers: HeaderMap,
    ApiForm(form): ApiForm<PaymentForm>,
) -> ApiResult<Response> {
    let customer = booking.customer(&headers);
    let proof = form.proof.filter(|proof| !proof.is_empty());
    let gate = risk::before_payment(&booking, &customer, hold_id, &form.email, proof).await;
    if let Err(error) = gate {
        return stopped(&booking, &headers, hold_id, form.email, error).await;
    }
    let outcome = booking
        .payment_start(&customer, hold_id, &form.email, form.coupon_code.as_deref())
        .await?;
    let error = match outcome {
        PaymentOutcome::Started(payment) => {
            let own = format!(
                "/holds/{hold_id}/return?payment={}",
                payment.payment_intent_id
            );
            return Ok(see_other(payment.redirect_url.as_deref().unwrap_or(&own)));
        }
        PaymentOutcome::NotFound => return Err(not_found()),
        // The hold's page shows its state.
        PaymentOutcome::HoldEnded => return Ok(see_other(&format!("/holds/{hold_id}"))),
        PaymentOutcome::InvalidEmail => invalid("email", "this is not an e-mail address"),
        PaymentOutcome::Failed(reason) => failed(reason),
        PaymentOutcome::CouponNotValid(reason) => coupon_not_valid(reason),
        PaymentOutcome::Unanswered {
            reason,
            retry_after,
        } => payment_unavailable(reason, retry_after),
    };
    let found = holds::find(&booking, &headers, hold_id).await?;
    Ok(holds::refuse(&booking, found, form.email, &error))
}

/// Shows the hold's page with its price with a coupon, which the payment form then contains.
pub(super) async fn quote(
    State(booking): State<Booking>,
    ApiPath(hold_id): ApiPath<HoldId>,
    headers: HeaderMap,
    ApiForm(form): ApiForm<PaymentForm>,
) -> ApiResult<Response> {
    let customer = booking.customer(&headers);
    let (code, email) = (form.coupon_code.unwrap_or_default(), form.email);
    let asked = Some(email.clone());
    let quoted = booking.coupon_quote(&customer, hold_id, code, asked);
    let quoted = read_quote(quoted.await?);
    let found = holds::find(&booking, &headers, hold_id).await?;
    Ok(match quoted {
        Ok(quote) => holds::with_quote(&booking, found, email, quote),
        Err(error) => holds::refuse(&booking, found, email, &error),
    })
}

/// Takes the coupon off and shows the hold's page, which costs what it did before.
pub(super) async fn coupon_off(
    State(booking): State<Booking>,
    ApiPath(hold_id): ApiPath<HoldId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let customer = booking.customer(&headers);
    match booking.coupon_off(&customer, hold_id).await? {
        // The hold's page shows its state.
        None | Some(PaymentOutcome::HoldEnded) => Ok(see_other(&format!("/holds/{hold_id}"))),
        Some(PaymentOutcome::NotFound) => Err(not_found()),
        Some(refusal) => {
            let error = refused(refusal);
            let found = holds::find(&booking, &headers, hold_id).await?;
            Ok(holds::refuse(&booking, found, String::new(), &error))
        }
    }
}

/// What a customer sees whose payment is not started.
async fn stopped(
    booking: &Booking,
    headers: &HeaderMap,
    hold_id: HoldId,
    email: String,
    error: ApiError,
) -> ApiResult<Response> {
    let (action, back) = (
        format!("/holds/{hold_id}/payments"),
        format!("/holds/{hold_id}"),
    );
    let fields = vec![("email".to_owned(), email.clone())];
    if let Some(page) = challenge::page_of(&error, action, fields, back) {
        return Ok(page);
    }
    if error.problem().code != ProblemCode::PaymentFailed {
        return Err(error);
    }
    let found = holds::find(booking, headers, hold_id).await?;
    let failed = failed(FailureReason::Fraud);
    Ok(holds::refuse(booking, found, email, &failed))
}

pub(super) async fn payment_return(
    State(booking): State<Booking>,
    ApiPath(hold_id): ApiPath<HoldId>,
    ApiQuery(returned): ApiQuery<Returned>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    // Confirming ends the session, so a prefetch must not confirm.
    let only_looks = method == Method::HEAD || is_speculative(&headers);
    let named = returned.payment.or(returned.payment_intent);
    let Some(named) = named.filter(|_| !only_looks) else {
        return without_intent(&booking, &headers, hold_id).await;
    };
    let permit = match booking.confirm_turn().await {
        ConfirmTurn::Granted(permit) => permit,
        ConfirmTurn::Later => return processing(&booking, &headers, hold_id).await,
        ConfirmTurn::Full => return Err(ProblemCode::BookingBusy.into()),
    };
    let customer = booking.customer(&headers);
    let confirmed = booking.confirm(permit.clone(), &customer, hold_id, &named);
    match confirmed.await? {
        ConfirmOutcome::Booked {
            booking: booked,
            ends_session,
        } => {
            let mut response = see_other(&format!("/bookings/{}", booked.booking_id));
            if let Some(room) = &ends_session {
                principal::end_session(room, response.headers_mut());
            }
            Ok(response)
        }
        ConfirmOutcome::Processing => processing(&booking, &headers, hold_id).await,
        ConfirmOutcome::Failed(reason) => {
            let found = holds::find(&booking, &headers, hold_id).await?;
            Ok(holds::refuse(
                &booking,
                found,
                String::new(),
                &failed(reason),
            ))
        }
        ConfirmOutcome::HoldEnded { refunding } => Err(hold_expired(refunding)),
        ConfirmOutcome::NotFound => elsewhere(&booking, permit, hold_id, &named).await,
        ConfirmOutcome::UnknownPayment => Err(not_found()),
    }
}

/// A customer who returned without a payment id: the state is read from the hold.
async fn without_intent(
    booking: &Booking,
    headers: &HeaderMap,
    hold_id: HoldId,
) -> ApiResult<Response> {
    let (hold, _) = holds::find(booking, headers, hold_id).await?;
    match (hold.status, hold.booking_id) {
        (HoldStatus::Confirmed, Some(id)) => Ok(see_other(&format!("/bookings/{id}"))),
        (HoldStatus::Paying, _) => processing(booking, headers, hold_id).await,
        _ => Ok(see_other(&format!("/holds/{hold_id}"))),
    }
}

async fn processing(
    booking: &Booking,
    headers: &HeaderMap,
    hold_id: HoldId,
) -> ApiResult<Response> {
    let (hold, show) = holds::find(booking, headers, hold_id).await?;
    let html = pages::shop::processing(&ProcessingPage { hold, show });
    Ok(page(StatusCode::ACCEPTED, html))
}

/// A customer who paid in one browser and returned in another. The tickets stay hidden, because
/// only the first browser can prove that they are its own.
async fn elsewhere(
    booking: &Booking,
    permit: ConfirmPermit,
    hold_id: HoldId,
    named: &str,
) -> ApiResult<Response> {
    let seen = booking.payment_seen(permit, hold_id, named).await?;
    let stands = match seen.ok_or_else(not_found)? {
        PaymentSeen::Checking => ElsewherePage::Checking,
        PaymentSeen::Arrived => ElsewherePage::Arrived,
        PaymentSeen::GoesBack => ElsewherePage::GoesBack,
        PaymentSeen::NotPaid => ElsewherePage::NotPaid,
    };
    Ok(page(StatusCode::OK, pages::shop::elsewhere(stands)))
}

fn failed(reason: FailureReason) -> ApiError {
    Problem::new(ProblemCode::PaymentFailed)
        .detail(said(reason))
        .with("reason", reason.as_str())
        .into()
}

/// The failure reason as advice to the customer.
fn said(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::InsufficientFunds => {
            "The bank says there is not enough money for this. Another card may help."
        }
        FailureReason::NetworkTimeout | FailureReason::GatewayDown => {
            "The payment provider did not answer. Please try again."
        }
        FailureReason::InvalidCard => "The bank did not accept the card. Check it or use another.",
        FailureReason::ExpiredCard => "The card has expired. Please use another.",
        FailureReason::Fraud => {
            "The payment was not accepted. Your bank or the seller can help you further."
        }
        FailureReason::ThreeDSecure => "The bank could not make sure that it is you. Try again.",
        FailureReason::Processing => "The bank is still working on it. Wait a moment.",
        FailureReason::BankTimeout => "The bank did not answer. Please try again.",
        FailureReason::GatewayRateLimit => "Many are paying right now. Try again in a moment.",
        FailureReason::DuplicateTransaction => "This payment was already made once.",
        FailureReason::CurrencyConversion => "The card cannot pay in this currency.",
        FailureReason::CouponPayment => {
            "The coupon is for other ways to pay, so nothing is kept. Your seats are still held: pay \
             with a card that the coupon is for, or without the coupon."
        }
        FailureReason::AmountMismatch => "The amount was not right, so nothing is kept.",
        FailureReason::SessionExpired => "The time to pay ran out.",
        FailureReason::UserCancelled => "You cancelled the payment.",
    }
}

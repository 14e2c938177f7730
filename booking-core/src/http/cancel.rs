//! Cancelling a booking: what would go back, one-time codes, the cancellation itself.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::refund::{CancelRequest, Cancellation, CodeSent, RefundOffer, RefundRule};
use contract::{BookingId, Problem, ProblemCode, RefundId, TicketId};
use http::{HeaderMap, StatusCode};
use web::{ApiError, ApiJson, ApiPath, ApiResult};

use super::idempotent::{self, Accepted, RequestKey};
use super::problems::{invalid, not_found};
use super::transfer::{code_not_valid, code_required};
use crate::cancelling::{CancelOutcome, FansCancel};
use crate::config::GUEST_MAILS_EVERY;
use crate::database::Turns;
use crate::guests::MailAsked;
use crate::handle::Booking;
use crate::store::cancellations::CancellationRow;

/// Longest reason that is stored, in characters.
pub(crate) const REASON_CHARS_MAX: usize = 500;

/// Reads what would go back if the customer cancelled now, by the refund policy of the show.
#[utoipa::path(
    get, path = "/bookings/{bookingId}/refund-offer",
    params(("bookingId" = BookingId, Path, description = "The booking")),
    responses((status = 200, body = RefundOffer), (status = 404, body = Problem))
)]
pub(super) async fn refund_offer(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
) -> ApiResult<ApiJson<RefundOffer>> {
    let customer = booking.customer(&headers);
    let offer = booking.refund_offer(&customer, booking_id).await?;
    offer.map(ApiJson).ok_or_else(not_found)
}

/// Mails a one-time code to the address that the booking was made with. It can be tried five times
/// within ten minutes, and a newer code takes its place.
#[utoipa::path(
    post, path = "/bookings/{bookingId}/codes",
    params(("bookingId" = BookingId, Path, description = "The booking")),
    responses(
        (status = 202, body = CodeSent, description = "The code is on its way"),
        (status = 404, body = Problem)
    )
)]
pub(super) async fn code_send(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let customer = booking.customer(&headers);
    let sent = code_sent(booking.code_send(&customer, booking_id).await?)?;
    Ok((StatusCode::ACCEPTED, ApiJson(sent)).into_response())
}

pub(crate) fn code_sent(asked: MailAsked) -> ApiResult<CodeSent> {
    match asked {
        MailAsked::Sent(sent) => Ok(sent),
        MailAsked::NotFound => Err(not_found()),
        MailAsked::TooMany => {
            let seconds = u32::try_from(GUEST_MAILS_EVERY.as_secs()).unwrap_or(u32::MAX);
            Err(Problem::new(ProblemCode::RateLimited)
                .detail("Several mails about this booking were asked for. Look into the mailbox.")
                .retry_after(seconds / 6)
                .into())
        }
    }
}

/// Cancels a booking, or some of its tickets, by the refund policy of the show. The tickets are void
/// at once; the money is on its way.
#[utoipa::path(
    post, path = "/bookings/{bookingId}/cancel",
    params(
        ("bookingId" = BookingId, Path, description = "The booking"),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[ \\t]*[!-~]{1,255}[ \\t]*$",
            description = "Idempotency key: a repeated request has no further effect")
    ),
    request_body = CancelRequest,
    responses(
        (status = 202, body = Cancellation, description = "The tickets are void"),
        (status = 403, body = Problem, description =
            "code-required: ask for a code and send it along; code-not-valid"),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "not-refundable, with the `rule`"),
        (status = 422, body = Problem)
    )
)]
pub(super) async fn cancel(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
    ApiJson(request): ApiJson<CancelRequest>,
) -> ApiResult<Response> {
    let customer = booking.customer(&headers);
    let path = format!("/bookings/{booking_id}/cancel");
    let key = RequestKey::read(&headers, &path, &request)?;
    let key_use = key.map(|key| key.used_by_owner(&customer, &headers));
    let named = key_use
        .as_ref()
        .map(|used| (used.principal.as_str(), used.key.as_str()));
    let wanted = wanted(&booking, booking_id, request, named)?;
    let effect = wanted.refund_id;
    let keys = Turns::of_any(booking.0.pools.money.clone());
    let work = move |booking: Booking| async move {
        respond(booking.cancel_by_fan(&customer, wanted).await?)
    };
    idempotent::once(&booking, keys, key_use, effect, Accepted::IsFinal, work).await?
}

/// The request in terms of the booking core. `key` is the principal and text of an idempotency key.
pub(crate) fn wanted(
    booking: &Booking,
    booking_id: BookingId,
    request: CancelRequest,
    key: Option<(&str, &str)>,
) -> ApiResult<FansCancel> {
    if request.ticket_ids.as_ref().is_some_and(Vec::is_empty) {
        return Err(invalid("ticketIds", "must name at least one ticket"));
    }
    let is_long = |reason: &String| reason.chars().count() > REASON_CHARS_MAX;
    if request.reason.as_ref().is_some_and(is_long) {
        let what = format!("must have at most {REASON_CHARS_MAX} characters");
        return Err(invalid("reason", &what));
    }
    Ok(FansCancel {
        refund_id: booking.0.refund_id(booking_id.uuid(), key),
        booking_id,
        ticket_ids: request
            .ticket_ids
            .map(|ids| ids.into_iter().map(TicketId::uuid).collect()),
        reason: request.reason,
        code: request.code,
    })
}

fn respond(outcome: CancelOutcome) -> ApiResult<Response> {
    let done = cancelled(outcome)?;
    Ok((StatusCode::ACCEPTED, ApiJson(done)).into_response())
}

/// The cancellation, or the refusal.
pub(crate) fn cancelled(outcome: CancelOutcome) -> ApiResult<Cancellation> {
    match outcome {
        CancelOutcome::Cancelled(row) => Ok(view(*row)),
        CancelOutcome::Refused(rule) => Err(not_refundable(rule)),
        CancelOutcome::UnknownTicket => {
            Err(invalid("ticketIds", "names a ticket of another booking"))
        }
        CancelOutcome::NotFound => Err(not_found()),
        CancelOutcome::CodeRequired => Err(code_required()),
        CancelOutcome::CodeNotValid => Err(code_not_valid()),
    }
}

pub(crate) fn not_refundable(rule: RefundRule) -> ApiError {
    Problem::new(ProblemCode::NotRefundable)
        .detail(rule.sentence())
        .with("rule", serde_json::json!(rule))
        .into()
}

fn view(row: CancellationRow) -> Cancellation {
    Cancellation {
        refund_id: RefundId::new(row.refund_id),
        amount_minor: row.refund_minor,
        kept_minor: row.kept_minor,
        currency: row.currency,
        status: row.refund_status,
        booking_status: row.booking_status,
        ticket_ids: row.ticket_ids.into_iter().map(TicketId::new).collect(),
    }
}

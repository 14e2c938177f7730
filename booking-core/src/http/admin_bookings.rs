//! The operators' API for bookings, and for cancelling and moving shows.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::booking::Booking as BookingView;
use contract::refund::{Cancellation, CodeSent};
use contract::{BookingId, Problem, ShowId, TicketId};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ApiJson, ApiPath, ApiQuery, ApiResult, Audited};

use super::cancel::{REASON_CHARS_MAX, cancelled, code_sent};
use super::problems::{invalid, not_found};
use crate::cancel_decision::{Scope, Terms};
use crate::cancelling::CancelOrder;
use crate::config::EXPORT_PAGE_MAX;
use crate::handle::Booking;
use crate::links::booking_code;
use crate::recorded::bounded;
use crate::show_cancelling::ShowCancellation;
use crate::store::booking_records::{BookingFilter, BookingRecord, BookingSummary};
use crate::store::cancellations::CancelledBy;
use crate::store::sold::SoldBooking;

pub(super) fn routes() -> OpenApiRouter<Booking> {
    OpenApiRouter::default()
        .routes(routes!(find))
        .routes(routes!(show_bookings))
        .routes(routes!(booking))
        .routes(routes!(refund))
        .routes(routes!(resend))
        .routes(routes!(links_revoke))
        .routes(routes!(show_cancel))
        .routes(routes!(show_cancellation))
}

/// Which bookings are listed: all that are given have to fit.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// The code of the booking.
    code: Option<String>,
    /// The address that it was booked with.
    email: Option<String>,
    /// The show.
    show: Option<ShowId>,
}

/// Bookings.
#[derive(Serialize, ToSchema)]
struct BookingsFound {
    /// The newest first, at most 100.
    bookings: Vec<BookingSummary>,
}

/// Find bookings by code, address or show
#[utoipa::path(
    get, path = "/admin/v1/bookings", operation_id = "bookings_find", tag = "booking",
    params(Wanted),
    responses(
        (status = 200, description = "The bookings", body = BookingsFound),
        (status = 422, description = "validation-failed: nothing to look for", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn find(
    State(booking): State<Booking>,
    ApiQuery(wanted): ApiQuery<Wanted>,
) -> ApiResult<ApiJson<BookingsFound>> {
    let filter = BookingFilter {
        code: wanted.code.as_deref().map(booking_code),
        email: wanted.email.map(|email| email.trim().to_lowercase()),
        show: wanted.show,
    };
    if filter.code.is_none() && filter.email.is_none() && filter.show.is_none() {
        return Err(invalid("code", "give a code, an email or a show"));
    }
    let bookings = booking.bookings_find(filter).await?;
    Ok(ApiJson(BookingsFound { bookings }))
}

/// Which page of the bookings of a show.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// The `next` of the page before; the first page when absent.
    after: Option<BookingId>,
    /// Bookings in a page, at most 500; 500 when absent.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// What was sold of a show.
#[derive(Serialize, ToSchema)]
struct SoldPage {
    /// In the order of their ids, at most 500.
    bookings: Vec<SoldBooking>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<BookingId>,
}

/// Read everything that was sold of a show, page by page
#[utoipa::path(
    get, path = "/admin/v1/shows/{showId}/bookings", operation_id = "show_bookings",
    tag = "booking",
    params(("showId" = ShowId, Path, description = "The show"), Page),
    responses(
        (status = 200, description = "A page of its bookings, cancelled ones too", body = SoldPage),
        (status = 404, description = "not-found", body = Problem),
        (status = 422, description = "validation-failed", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn show_bookings(
    State(booking): State<Booking>,
    ApiPath(show): ApiPath<ShowId>,
    ApiQuery(page): ApiQuery<Page>,
) -> ApiResult<ApiJson<SoldPage>> {
    let limit = page.limit.unwrap_or(EXPORT_PAGE_MAX);
    if !(1..=EXPORT_PAGE_MAX).contains(&limit) {
        return Err(invalid("limit", "must be from 1 to 500"));
    }
    let found = booking.sold(&show, page.after, limit).await?;
    let bookings = found.ok_or_else(not_found)?;
    let is_full = i64::try_from(bookings.len()).is_ok_and(|count| count >= limit);
    let next = bookings.last().filter(|_| is_full);
    Ok(ApiJson(SoldPage {
        next: next.map(|booking| booking.booking_id),
        bookings,
    }))
}

/// A booking with its money, cancellations and mail.
#[derive(Serialize, ToSchema)]
struct BookingDetail {
    /// The booking as its customer sees it, without the codes of its tickets.
    booking: BookingView,
    /// What the customer does not see.
    record: BookingRecord,
}

/// Read a booking with its money, cancellations and mail
#[utoipa::path(
    get, path = "/admin/v1/bookings/{bookingId}", operation_id = "booking_read", tag = "booking",
    params(("bookingId" = BookingId, Path, description = "The booking")),
    responses(
        (status = 200, description = "The booking", body = BookingDetail),
        (status = 404, description = "not-found", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn booking(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
) -> ApiResult<ApiJson<BookingDetail>> {
    let found = booking.booking_record(booking_id).await?;
    let (record, mut view) = found.ok_or_else(not_found)?;
    for ticket in &mut view.tickets {
        // Whoever has the code can go in.
        ticket.qr = None;
        ticket.qr_svg = None;
    }
    Ok(ApiJson(BookingDetail {
        booking: view,
        record,
    }))
}

/// The body of a refund. All fields may be absent.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RefundOrder {
    /// The tickets; all of the booking when absent.
    #[serde(default)]
    #[schema(min_items = 1)]
    ticket_ids: Option<Vec<TicketId>>,
    /// Why, for the record.
    #[serde(default)]
    #[schema(max_length = 500)]
    reason: Option<String>,
    /// Whether only what the refund policy gives goes back; the whole price when absent.
    #[serde(default)]
    by_policy: bool,
    /// Whether tickets that were used at the door are refunded too. Without it a booking with such a
    /// ticket is refused.
    #[serde(default)]
    even_used: bool,
}

/// Cancel a booking or some of its tickets, and give the money back
#[utoipa::path(
    post, path = "/admin/v1/bookings/{bookingId}/refund", operation_id = "booking_refund",
    tag = "booking",
    params(("bookingId" = BookingId, Path, description = "The booking")),
    request_body = RefundOrder,
    responses(
        (status = 202, description = "The tickets are void", body = Cancellation),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 409, description = "not-refundable, with the `rule`", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn refund(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    ApiJson(order): ApiJson<RefundOrder>,
) -> Response {
    let mut audited = Audited {
        target: Some(booking_id.to_string()),
        ..Audited::default()
    };
    match refund_one(&booking, booking_id, order, &mut audited).await {
        Ok(done) => {
            audited.after = state_of(&booking, booking_id, Some(&done)).await;
            audited.on((StatusCode::ACCEPTED, ApiJson(done)).into_response())
        }
        Err(refusal) => audited.on(refusal.into_response()),
    }
}

async fn refund_one(
    booking: &Booking,
    booking_id: BookingId,
    order: RefundOrder,
    audited: &mut Audited,
) -> ApiResult<Cancellation> {
    if order.ticket_ids.as_ref().is_some_and(Vec::is_empty) {
        return Err(invalid("ticketIds", "must name at least one ticket"));
    }
    let reason = reason(order.reason)?;
    if order.by_policy && order.even_used {
        return Err(invalid("evenUsed", "does not go together with byPolicy"));
    }
    audited.before = state_of(booking, booking_id, None).await;
    let ticket_ids = order.ticket_ids;
    let outcome = booking
        .cancel(CancelOrder {
            refund_id: booking.0.refund_id(booking_id.uuid(), None),
            booking_id: booking_id.uuid(),
            ticket_ids: ticket_ids.map(|ids| ids.into_iter().map(TicketId::uuid).collect()),
            scope: Scope::All,
            terms: match (order.by_policy, order.even_used) {
                (true, _) => Terms::Policy,
                (false, true) => Terms::FullEvenUsed,
                (false, false) => Terms::Full,
            },
            by: CancelledBy::Operator,
            reason,
            code_id: None,
        })
        .await?;
    cancelled(outcome)
}

pub(super) fn reason(reason: Option<String>) -> ApiResult<Option<String>> {
    let is_long = |reason: &String| reason.chars().count() > REASON_CHARS_MAX;
    if reason.as_ref().is_some_and(is_long) {
        let what = format!("must have at most {REASON_CHARS_MAX} characters");
        return Err(invalid("reason", &what));
    }
    Ok(reason.filter(|reason| !reason.trim().is_empty()))
}

/// A booking for the audit log: nothing about its customer.
async fn state_of(
    booking: &Booking,
    booking_id: BookingId,
    done: Option<&Cancellation>,
) -> Option<Value> {
    let (record, view) = booking.booking_record(booking_id).await.ok()??;
    let mut state = json!({
        "status": view.status,
        "ticketCount": view.tickets.len(),
        "reservedMinor": record.reserved_minor,
        "capturedMinor": record.captured_minor,
        "currency": view.currency,
    });
    if let (Some(done), Some(fields)) = (done, state.as_object_mut()) {
        fields.insert("refundId".to_owned(), json!(done.refund_id));
        fields.insert("amountMinor".to_owned(), json!(done.amount_minor));
        fields.insert("keptMinor".to_owned(), json!(done.kept_minor));
        fields.insert("ticketIds".to_owned(), json!(done.ticket_ids));
    }
    Some(bounded(state))
}

/// Mail the link to a booking to its customer again
#[utoipa::path(
    post, path = "/admin/v1/bookings/{bookingId}/resend", operation_id = "booking_resend",
    tag = "booking",
    params(("bookingId" = BookingId, Path, description = "The booking")),
    responses(
        (status = 202, description = "The mail is on its way", body = CodeSent),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn resend(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
) -> Response {
    let audited = Audited {
        target: Some(booking_id.to_string()),
        after: Some(json!({ "mail": "BOOKING_LINK" })),
        ..Audited::default()
    };
    let sent = async { code_sent(booking.link_resend(booking_id).await?) };
    match sent.await {
        Ok(sent) => audited.on((StatusCode::ACCEPTED, ApiJson(sent)).into_response()),
        Err(refusal) => audited.on(refusal.into_response()),
    }
}

/// Links that were revoked.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LinksRevoked {
    /// Links with a smaller number open nothing any more.
    link_generation: i32,
}

/// Revoke all links to a booking, for example one that its customer has passed on
#[utoipa::path(
    post, path = "/admin/v1/bookings/{bookingId}/links/revoke", operation_id = "links_revoke",
    tag = "booking",
    params(("bookingId" = BookingId, Path, description = "The booking")),
    responses(
        (status = 200, description = "They are revoked", body = LinksRevoked),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn links_revoke(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
) -> Response {
    let mut audited = Audited {
        target: Some(booking_id.to_string()),
        ..Audited::default()
    };
    let revoked = async {
        booking
            .links_revoke(booking_id)
            .await?
            .ok_or_else(not_found)
    };
    match revoked.await {
        Ok(link_generation) => {
            audited.before = Some(json!({ "linkGeneration": link_generation - 1 }));
            audited.after = Some(json!({ "linkGeneration": link_generation }));
            audited.on(ApiJson(LinksRevoked { link_generation }).into_response())
        }
        Err(refusal) => audited.on(refusal.into_response()),
    }
}

/// The body that cancels a show. All fields may be absent.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ShowCancelOrder {
    /// Why, as the fans read it.
    #[serde(default)]
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// Cancel a show: its sale ends, all bookings are cancelled and refunded in full
///
/// Bookings are cancelled in the background, some at a time; the same request again tells how far
/// that has come. It cannot be taken back.
#[utoipa::path(
    post, path = "/admin/v1/shows/{showId}/cancel", operation_id = "show_cancel", tag = "booking",
    params(("showId" = ShowId, Path, description = "The show")),
    request_body = ShowCancelOrder,
    responses(
        (status = 202, description = "It is cancelled", body = ShowCancellation),
        (status = 403, description = "forbidden", body = Problem),
        (status = 404, description = "not-found", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn show_cancel(
    State(booking): State<Booking>,
    ApiPath(show): ApiPath<ShowId>,
    ApiJson(order): ApiJson<ShowCancelOrder>,
) -> Response {
    let mut audited = Audited {
        target: Some(show.to_string()),
        ..Audited::default()
    };
    let cancelled = async {
        let reason = reason(order.reason)?;
        let cancelled = booking.show_cancel(&show, reason).await?;
        cancelled.ok_or_else(not_found)
    };
    match cancelled.await {
        Ok((progress, first)) => {
            audited.before = Some(json!({ "cancelled": !first }));
            audited.after = serde_json::to_value(&progress).ok().map(bounded);
            audited.on((StatusCode::ACCEPTED, ApiJson(progress)).into_response())
        }
        Err(refusal) => audited.on(refusal.into_response()),
    }
}

/// Read how far the cancellation of a show has come
#[utoipa::path(
    get, path = "/admin/v1/shows/{showId}/cancellation", operation_id = "show_cancellation",
    tag = "booking",
    params(("showId" = ShowId, Path, description = "The show")),
    responses(
        (status = 200, description = "So far", body = ShowCancellation),
        (status = 404, description = "not-found: it was not cancelled", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn show_cancellation(
    State(booking): State<Booking>,
    ApiPath(show): ApiPath<ShowId>,
) -> ApiResult<ApiJson<ShowCancellation>> {
    let progress = booking.show_cancellation(&show).await?;
    progress.map(ApiJson).ok_or_else(not_found)
}

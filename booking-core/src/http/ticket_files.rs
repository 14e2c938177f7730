//! The files of a booking: its tickets as PDF, and its show for calendars.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::{BookingId, Problem, ProblemCode};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use utoipa::ToSchema;
use web::{ApiError, ApiPath, ApiResult};

use super::problems::not_found;
use crate::handle::Booking;
use crate::ticket_files::{BookedShow, Disposition, PrintError, calendar, content_disposition};

/// The bytes of a PDF.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "for the description")]
pub(super) struct Pdf(Vec<u8>);

/// Reads the tickets of a booking as PDF, one page for each ticket with its QR code. Cancelled
/// tickets are left out; tickets that are no longer valid say so and have no code.
#[utoipa::path(
    get, path = "/bookings/{bookingId}/tickets.pdf",
    params(("bookingId" = BookingId, Path, description = "The booking")),
    responses(
        (status = 200, content_type = "application/pdf", body = inline(Pdf),
            headers(("Content-Disposition", description = "A name for the file"))),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "conflict: the order is being checked"),
        (status = 503, body = Problem, description = "booking-busy, database-unavailable")
    )
)]
pub(super) async fn tickets_pdf(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let booked = booked_show(&booking, booking_id, &headers).await?;
    let name = name_of(&booked, Disposition::Inline, "pdf");
    let pdf = booking.tickets_pdf(booked).await?;
    Ok(file("application/pdf", name, pdf))
}

/// Reads the show of a booking as a calendar file (RFC 5545) with one event and a reminder. The
/// event keeps its id, so that calendars replace it when the file is read again.
#[utoipa::path(
    get, path = "/bookings/{bookingId}/calendar.ics",
    params(("bookingId" = BookingId, Path, description = "The booking")),
    responses(
        (status = 200, content_type = "text/calendar", body = String,
            headers(("Content-Disposition", description = "A name for the file"))),
        (status = 404, body = Problem)
    )
)]
pub(super) async fn booking_calendar(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let booked = booked_show(&booking, booking_id, &headers).await?;
    let name = name_of(&booked, Disposition::Attachment, "ics");
    let text = calendar(&booked).into_bytes();
    Ok(file("text/calendar; charset=utf-8", name, text))
}

async fn booked_show(
    booking: &Booking,
    booking_id: BookingId,
    headers: &HeaderMap,
) -> ApiResult<BookedShow> {
    let customer = booking.customer(headers);
    let found = booking.booked_show(&customer, booking_id).await?;
    found.ok_or_else(not_found)
}

fn name_of(booked: &BookedShow, disposition: Disposition, ending: &str) -> HeaderValue {
    content_disposition(
        disposition,
        &booked.show.title,
        &booked.booking.code,
        ending,
    )
}

fn file(media_type: &'static str, name: HeaderValue, bytes: impl IntoResponse) -> Response {
    let about = [
        (CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (CONTENT_DISPOSITION, name),
    ];
    (about, bytes).into_response()
}

impl From<PrintError> for ApiError {
    fn from(error: PrintError) -> Self {
        match error {
            PrintError::Busy => ProblemCode::BookingBusy.into(),
            PrintError::Withheld => Problem::new(ProblemCode::Conflict)
                .detail("We are checking this order. The tickets come by mail.")
                .into(),
            PrintError::Broken(_) => Self::internal(&error),
        }
    }
}

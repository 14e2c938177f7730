//! Bookings and tickets.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::booking::Booking as BookingView;
use contract::{BookingId, Problem, TicketId};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use web::{ApiJson, ApiPath, ApiResult};

use super::problems::not_found;
use crate::handle::Booking;

/// Reads a booking of the customer.
#[utoipa::path(
    get, path = "/bookings/{bookingId}",
    params(("bookingId" = BookingId, Path, description = "The booking")),
    responses((status = 200, body = BookingView), (status = 404, body = Problem))
)]
pub(super) async fn booking(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
) -> ApiResult<ApiJson<BookingView>> {
    let customer = booking.customer(&headers);
    let found = booking.booking(&customer, booking_id).await?;
    found.map(ApiJson).ok_or_else(not_found)
}

/// Reads the QR code of a ticket of the customer.
#[utoipa::path(
    get, path = "/bookings/{bookingId}/tickets/{ticketId}/qr.svg",
    params(
        ("bookingId" = BookingId, Path, description = "The booking"),
        ("ticketId" = TicketId, Path, description = "The ticket")
    ),
    responses(
        (status = 200, content_type = "image/svg+xml", body = String),
        (status = 404, body = Problem)
    )
)]
pub(super) async fn ticket_svg(
    State(booking): State<Booking>,
    ApiPath((booking_id, ticket_id)): ApiPath<(BookingId, TicketId)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let customer = booking.customer(&headers);
    let svg = booking.ticket_svg(&customer, booking_id, ticket_id).await?;
    let svg = svg.ok_or_else(not_found)?;
    let about = [
        (CONTENT_TYPE, "image/svg+xml"),
        (CACHE_CONTROL, "private, no-store"),
    ];
    Ok((about, svg).into_response())
}

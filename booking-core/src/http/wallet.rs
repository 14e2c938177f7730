//! Tickets for the wallets of telephones.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::{BookingId, Problem, TicketId};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use utoipa::ToSchema;
use web::{ApiError, ApiPath, ApiResult};

use super::problems::not_found;
use crate::customer::Customer;
use crate::handle::Booking;
use crate::ticket_files::{Disposition, content_disposition};
use crate::wallet::WalletTicket;

/// The bytes of a pass.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "for the description")]
pub(super) struct Pass(Vec<u8>);

/// Reads a ticket as a pass for Apple Wallet, with the same code as everywhere. Not found without
/// the settings for it, and for tickets that open no door or are not the caller's.
#[utoipa::path(
    get, path = "/bookings/{bookingId}/tickets/{ticketId}/pass.pkpass",
    params(
        ("bookingId" = BookingId, Path, description = "The booking"),
        ("ticketId" = TicketId, Path, description = "The ticket")
    ),
    responses(
        (status = 200, content_type = "application/vnd.apple.pkpass", body = inline(Pass),
            headers(("Content-Disposition", description = "A name for the file"))),
        (status = 404, body = Problem)
    )
)]
pub(super) async fn apple_pass(
    State(booking): State<Booking>,
    ApiPath((booking_id, ticket_id)): ApiPath<(BookingId, TicketId)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let customer = booking.customer(&headers);
    apple_pass_of(&booking, &customer, booking_id, ticket_id).await
}

/// Leads to Google's page that saves a ticket in Google Wallet, with the same code as everywhere.
/// Not found without the settings for it, and for tickets that open no door or are not the caller's.
#[utoipa::path(
    get, path = "/bookings/{bookingId}/tickets/{ticketId}/google-wallet",
    params(
        ("bookingId" = BookingId, Path, description = "The booking"),
        ("ticketId" = TicketId, Path, description = "The ticket")
    ),
    responses(
        (status = 303, description = "Google's page",
            headers(("Location", description = "The page, with the signed ticket"))),
        (status = 404, body = Problem)
    )
)]
pub(super) async fn google_wallet(
    State(booking): State<Booking>,
    ApiPath((booking_id, ticket_id)): ApiPath<(BookingId, TicketId)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let customer = booking.customer(&headers);
    google_link_of(&booking, &customer, booking_id, ticket_id).await
}

/// Apple's pass of one of the customer's tickets.
pub(crate) async fn apple_pass_of(
    booking: &Booking,
    customer: &Customer,
    booking_id: BookingId,
    ticket_id: TicketId,
) -> ApiResult<Response> {
    if booking.wallets().apple.is_none() {
        return Err(not_found());
    }
    let ticket = ticket_of(booking, customer, booking_id, ticket_id).await?;
    let name = content_disposition(Disposition::Inline, ticket.title(), ticket.code(), "pkpass");
    let pass = booking.apple_pass(ticket).await.ok_or_else(not_found)?;
    let pass = pass.map_err(|error| unmade(&error))?;
    let media_type = HeaderValue::from_static("application/vnd.apple.pkpass");
    let about = [(CONTENT_TYPE, media_type), (CONTENT_DISPOSITION, name)];
    Ok((about, pass).into_response())
}

/// The way to Google's page for one of the customer's tickets.
pub(crate) async fn google_link_of(
    booking: &Booking,
    customer: &Customer,
    booking_id: BookingId,
    ticket_id: TicketId,
) -> ApiResult<Response> {
    if booking.wallets().google.is_none() {
        return Err(not_found());
    }
    let ticket = ticket_of(booking, customer, booking_id, ticket_id).await?;
    let link = booking.google_link(ticket).await.ok_or_else(not_found)?;
    let link = link.map_err(|error| unmade(&error))?;
    let location = HeaderValue::from_str(&link).map_err(|error| unmade(&error.to_string()))?;
    let private = HeaderValue::from_static("private, no-store");
    let about = [(LOCATION, location), (CACHE_CONTROL, private)];
    Ok((StatusCode::SEE_OTHER, about).into_response())
}

async fn ticket_of(
    booking: &Booking,
    customer: &Customer,
    booking_id: BookingId,
    ticket_id: TicketId,
) -> ApiResult<WalletTicket> {
    let booked = booking.booked_show(customer, booking_id).await?;
    let ticket = booked.and_then(|booked| WalletTicket::of(booked, ticket_id));
    ticket.ok_or_else(not_found)
}

fn unmade(error: &str) -> ApiError {
    tracing::error!(error, "a ticket for a wallet could not be made");
    contract::ProblemCode::Internal.into()
}

//! Tickets for the wallets of telephones, for whoever has the link to a booking.

use axum::extract::State;
use axum::response::Response;
use contract::TicketId;
use web::{ApiPath, ApiResult};

use super::bookings::Reader;
use crate::handle::Booking;
use crate::http::wallet::{apple_pass_of, google_link_of};

pub(super) async fn apple_pass(
    State(booking): State<Booking>,
    ApiPath((token, ticket_id)): ApiPath<(String, TicketId)>,
) -> ApiResult<Response> {
    let reader = Reader::guest(&booking, &token)?;
    apple_pass_of(&booking, &reader.customer, reader.booking_id, ticket_id).await
}

pub(super) async fn google_wallet(
    State(booking): State<Booking>,
    ApiPath((token, ticket_id)): ApiPath<(String, TicketId)>,
) -> ApiResult<Response> {
    let reader = Reader::guest(&booking, &token)?;
    google_link_of(&booking, &reader.customer, reader.booking_id, ticket_id).await
}

//! A booking with its tickets.

use axum::extract::State;
use axum::response::Response;
use contract::BookingId;
use http::{HeaderMap, StatusCode};
use pages::shop::BookingPage;
use web::{ApiPath, ApiResult};

use super::page::page;
use crate::handle::Booking;
use crate::http::problems::not_found;

pub(super) async fn booking(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let customer = booking.customer(&headers);
    let found = booking.booking(&customer, booking_id).await?;
    let found = found.ok_or_else(not_found)?;
    let show = booking
        .show_view(&found.show_id)
        .await?
        .ok_or_else(not_found)?;
    let html = pages::shop::booking(&BookingPage {
        booking: found,
        show,
    });
    Ok(page(StatusCode::OK, html))
}

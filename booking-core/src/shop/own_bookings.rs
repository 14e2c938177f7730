//! The reader's bookings, and the form that finds a booking by code and address.

use axum::extract::State;
use axum::response::Response;
use contract::refund::FindRequest;
use http::{HeaderMap, StatusCode};
use pages::shop::{FindPage, MyBookingsPage};
use serde::Deserialize;
use web::{ApiForm, ApiResult};

use super::page::{page, page_of};
use crate::handle::Booking;
use crate::http::own_bookings::{FOUND, ask};

pub(super) async fn my_bookings(
    State(booking): State<Booking>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let customer = booking.customer(&headers);
    let bookings = booking.my_bookings(&customer).await?;
    let html = pages::shop::my_bookings(&MyBookingsPage { bookings });
    Ok(page(StatusCode::OK, html))
}

/// The form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FindForm {
    code: String,
    email: String,
}

pub(super) async fn find_form() -> Response {
    page(
        StatusCode::OK,
        pages::shop::find_booking(&FindPage::default()),
    )
}

pub(super) async fn find(
    State(booking): State<Booking>,
    ApiForm(form): ApiForm<FindForm>,
) -> ApiResult<Response> {
    let mut view = FindPage {
        code: form.code.clone(),
        email: form.email.clone(),
        ..FindPage::default()
    };
    let request = FindRequest {
        code: form.code,
        email: form.email,
    };
    if let Err(error) = ask(&booking, request) {
        view.problem = Some(error.problem().clone());
        return Ok(page_of(&error, pages::shop::find_booking(&view)));
    }
    view.sent = Some(FOUND.to_owned());
    Ok(page(StatusCode::ACCEPTED, pages::shop::find_booking(&view)))
}

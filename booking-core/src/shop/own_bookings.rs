//! The reader's bookings, and the form that finds a booking by code and address.

use axum::extract::State;
use axum::response::Response;
use contract::refund::FindRequest;
use http::{HeaderMap, StatusCode};
use pages::shop::{FindPage, MyBookingsPage};
use serde::Deserialize;
use web::{ApiForm, ApiQuery, ApiResult};

use super::page::{page, page_of};
use crate::handle::Booking;
use crate::http::own_bookings::{FOUND, ask};

/// What a reader with a link reads after tickets got new codes, which may have ended the link.
const TICKETS_SENT: &str = "The tickets have new codes. They are on their way by mail.";

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

/// The query of the form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FindQuery {
    /// `tickets` when the reader passed tickets on, or had them printed anew, by a link.
    sent: Option<String>,
}

pub(super) async fn find_form(ApiQuery(query): ApiQuery<FindQuery>) -> Response {
    let is_about_tickets = query.sent.as_deref() == Some("tickets");
    let sent = is_about_tickets.then(|| TICKETS_SENT.to_owned());
    let view = FindPage {
        sent,
        ..FindPage::default()
    };
    page(StatusCode::OK, pages::shop::find_booking(&view))
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

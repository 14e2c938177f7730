//! Bookings of the caller, and finding a booking again.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::refund::{FindRequest, Found, MyBookings};
use contract::{Problem, ProblemCode};
use http::{HeaderMap, StatusCode};
use web::{ApiJson, ApiResult};

use super::problems::invalid;
use crate::email;
use crate::handle::Booking;

/// What whoever looks for a booking reads.
pub(crate) const FOUND: &str = "If there is a booking with this code and address, a mail with the \
    link to it is on its way.";

/// Lists the bookings of the caller's session and passes, and with `Booking-Access` those of the
/// app's address, the latest first.
#[utoipa::path(
    get, path = "/me/bookings",
    responses((status = 200, body = MyBookings))
)]
pub(super) async fn my_bookings(
    State(booking): State<Booking>,
    headers: HeaderMap,
) -> ApiResult<ApiJson<MyBookings>> {
    let customer = booking.customer(&headers);
    let bookings = booking.my_bookings(&customer).await?;
    Ok(ApiJson(MyBookings { bookings }))
}

/// Mails the link to a booking to the address that it was made with. The answer is the same whether
/// there is such a booking or not.
#[utoipa::path(
    post, path = "/bookings/find", request_body = FindRequest,
    responses(
        (status = 202, body = Found),
        (status = 422, body = Problem),
        (status = 503, body = Problem, description = "booking-busy")
    )
)]
pub(super) async fn find(
    State(booking): State<Booking>,
    ApiJson(request): ApiJson<FindRequest>,
) -> ApiResult<Response> {
    ask(&booking, request)?;
    let found = Found {
        detail: FOUND.to_owned(),
    };
    Ok((StatusCode::ACCEPTED, ApiJson(found)).into_response())
}

/// Starts the search. Fails when a field says nothing to search for.
pub(crate) fn ask(booking: &Booking, request: FindRequest) -> ApiResult<()> {
    if request.code.trim().is_empty() {
        return Err(invalid("code", "write the code of your booking"));
    }
    let Some(email) = email::read(&request.email) else {
        let what = "write the e-mail address that you booked with";
        return Err(invalid("email", what));
    };
    let code = request.code;
    if booking.link_ask(FindRequest { code, email }) {
        Ok(())
    } else {
        Err(ProblemCode::BookingBusy.into())
    }
}

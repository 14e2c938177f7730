//! How the customer of a booking wants to be told.

use axum::extract::State;
use contract::contact::{Contact, ContactRequest, PushSubscription};
use contract::{BookingId, Problem, ProblemCode};
use http::HeaderMap;
use web::{ApiJson, ApiPath, ApiResult};

use super::problems::{invalid, not_found};
use crate::config::BROWSERS_OF_BOOKING_MAX;
use crate::contacts::ContactChange;
use crate::handle::Booking;

/// Reads how the customer is told of a booking.
#[utoipa::path(
    get, path = "/bookings/{bookingId}/contact",
    params(("bookingId" = BookingId, Path, description = "The booking")),
    responses((status = 200, body = Contact), (status = 404, body = Problem))
)]
pub(super) async fn contact(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
) -> ApiResult<ApiJson<Contact>> {
    let customer = booking.customer(&headers);
    let contact = booking.contact(&customer, booking_id).await?;
    contact.map(ApiJson).ok_or_else(not_found)
}

/// Changes the telephone number and the preferred channel. It takes a one-time code, because notices
/// go to the telephone afterwards. Codes and links never do.
#[utoipa::path(
    put, path = "/bookings/{bookingId}/contact",
    params(("bookingId" = BookingId, Path, description = "The booking")),
    request_body = ContactRequest,
    responses(
        (status = 200, body = Contact),
        (status = 403, body = Problem, description =
            "code-required: ask for a code and send it along; code-not-valid"),
        (status = 404, body = Problem),
        (status = 422, body = Problem)
    )
)]
pub(super) async fn contact_change(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
    ApiJson(wanted): ApiJson<ContactRequest>,
) -> ApiResult<ApiJson<Contact>> {
    let customer = booking.customer(&headers);
    changed(
        booking
            .contact_change(&customer, booking_id, wanted)
            .await?,
    )
    .map(ApiJson)
}

/// The header of a one-time code.
const ONE_TIME_CODE: &str = "one-time-code";

fn one_time_code(headers: &HeaderMap) -> Option<String> {
    let code = headers.get(ONE_TIME_CODE)?.to_str().ok()?;
    Some(code.to_owned())
}

/// Adds a browser that takes push messages about a booking, at most five. They come in place of
/// mail, so whoever has nothing but a link sends a one-time code along.
#[utoipa::path(
    post, path = "/bookings/{bookingId}/push-subscriptions",
    params(
        ("bookingId" = BookingId, Path, description = "The booking"),
        ("one-time-code" = Option<String>, Header, description =
            "A one-time code, as for cancelling: for whoever came by a link")
    ),
    request_body = PushSubscription,
    responses(
        (status = 200, body = Contact),
        (status = 403, body = Problem, description =
            "code-required: ask for a code and send it along; code-not-valid"),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "conflict: it has five already"),
        (status = 422, body = Problem)
    )
)]
pub(super) async fn push_add(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
    ApiJson(given): ApiJson<PushSubscription>,
) -> ApiResult<ApiJson<Contact>> {
    let customer = booking.customer(&headers);
    changed(
        booking
            .push_change(&customer, booking_id, Some(given), one_time_code(&headers))
            .await?,
    )
    .map(ApiJson)
}

/// Removes all browsers that take push messages about a booking.
#[utoipa::path(
    delete, path = "/bookings/{bookingId}/push-subscriptions",
    params(
        ("bookingId" = BookingId, Path, description = "The booking"),
        ("one-time-code" = Option<String>, Header, description =
            "A one-time code, as for cancelling: for whoever came by a link")
    ),
    responses(
        (status = 200, body = Contact),
        (status = 403, body = Problem, description =
            "code-required: ask for a code and send it along; code-not-valid"),
        (status = 404, body = Problem)
    )
)]
pub(super) async fn push_remove(
    State(booking): State<Booking>,
    ApiPath(booking_id): ApiPath<BookingId>,
    headers: HeaderMap,
) -> ApiResult<ApiJson<Contact>> {
    let customer = booking.customer(&headers);
    let code = one_time_code(&headers);
    changed(
        booking
            .push_change(&customer, booking_id, None, code)
            .await?,
    )
    .map(ApiJson)
}

/// The contact after a change, or the refusal.
pub(crate) fn changed(outcome: ContactChange) -> ApiResult<Contact> {
    match outcome {
        ContactChange::Done(contact) => Ok(contact),
        ContactChange::NotFound => Err(not_found()),
        ContactChange::Invalid(field, what) => Err(invalid(field, what)),
        ContactChange::CodeRequired => Err(Problem::new(ProblemCode::CodeRequired)
            .detail("Ask for a one-time code and send it along.")
            .into()),
        ContactChange::CodeNotValid => Err(Problem::new(ProblemCode::CodeNotValid)
            .detail(
                "The code is wrong, was used, is over or was tried too often. Ask for a new one.",
            )
            .into()),
        ContactChange::TooMany => Err(Problem::new(ProblemCode::Conflict)
            .detail(format!(
                "A booking has at most {BROWSERS_OF_BOOKING_MAX} browsers. Remove them first."
            ))
            .into()),
    }
}

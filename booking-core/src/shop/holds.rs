//! Reading and releasing a hold.

use axum::extract::State;
use axum::response::Response;
use contract::HoldId;
use contract::booking::{Hold, Show};
use contract::coupon::Quote;
use http::{HeaderMap, StatusCode};
use pages::shop::HoldPage;
use web::{ApiError, ApiForm, ApiPath, ApiResult};

use super::page::{page, page_of, see_other};
use crate::config::HOLD_SEATS_MAX;
use crate::handle::Booking;
use crate::holds::ReleaseOutcome;
use crate::http::holds::read_types_set;
use crate::http::problems::not_found;

pub(super) async fn hold(
    State(booking): State<Booking>,
    ApiPath(hold_id): ApiPath<HoldId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let (hold, show) = find(&booking, &headers, hold_id).await?;
    let html = render(&booking, (hold, show), String::new(), None, None);
    Ok(page(StatusCode::OK, html))
}

pub(super) async fn hold_release(
    State(booking): State<Booking>,
    ApiPath(hold_id): ApiPath<HoldId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let customer = booking.customer(&headers);
    match booking.hold_release(&customer, hold_id).await? {
        // After the purchase the hold's page links to the tickets.
        ReleaseOutcome::Released | ReleaseOutcome::Bought => {
            Ok(see_other(&format!("/holds/{hold_id}")))
        }
        ReleaseOutcome::NotFound => Err(not_found()),
    }
}

/// Sells the seats as the form says, one field `type` for each seat in map order.
pub(super) async fn ticket_types(
    State(booking): State<Booking>,
    ApiPath(hold_id): ApiPath<HoldId>,
    headers: HeaderMap,
    ApiForm(fields): ApiForm<Vec<(String, String)>>,
) -> ApiResult<Response> {
    let customer = booking.customer(&headers);
    let of_seats = fields.into_iter().filter(|(name, _)| name == "type");
    let codes = of_seats.map(|(_, code)| Some(code).filter(|code| !code.is_empty()));
    let codes: Vec<Option<String>> = codes.take(HOLD_SEATS_MAX).collect();
    let set = booking.hold_types_set(&customer, hold_id, codes).await?;
    match read_types_set(set) {
        Ok(_) => Ok(see_other(&format!("/holds/{hold_id}"))),
        Err(error) => {
            let found = find(&booking, &headers, hold_id).await?;
            Ok(refuse(&booking, found, String::new(), &error))
        }
    }
}

/// The customer's hold and its show.
pub(super) async fn find(
    booking: &Booking,
    headers: &HeaderMap,
    hold_id: HoldId,
) -> ApiResult<(Hold, Show)> {
    let customer = booking.customer(headers);
    let hold = booking.hold(&customer, hold_id).await?;
    let hold = hold.ok_or_else(not_found)?;
    let show = booking.show(&hold.show_id).ok_or_else(not_found)?;
    Ok((hold, show))
}

/// The hold's page with the reason of a refusal.
pub(super) fn refuse(
    booking: &Booking,
    (hold, show): (Hold, Show),
    email: String,
    error: &ApiError,
) -> Response {
    let html = render(booking, (hold, show), email, None, Some(error));
    page_of(error, html)
}

/// The hold's page with its price with a coupon.
pub(super) fn with_quote(
    booking: &Booking,
    found: (Hold, Show),
    email: String,
    quote: Quote,
) -> Response {
    page(
        StatusCode::OK,
        render(booking, found, email, Some(quote), None),
    )
}

fn render(
    booking: &Booking,
    (hold, show): (Hold, Show),
    email: String,
    quote: Option<Quote>,
    error: Option<&ApiError>,
) -> String {
    let types_are_open = !hold.payment_started;
    pages::shop::hold(&HoldPage {
        hold,
        show,
        now: booking.0.clock.now(),
        email,
        quote,
        problem: error.map(|error| error.problem().clone()),
        types_are_open,
    })
}

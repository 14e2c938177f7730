//! Reading and releasing a hold.

use axum::extract::State;
use axum::response::Response;
use contract::HoldId;
use contract::booking::{Hold, Show};
use http::{HeaderMap, StatusCode};
use pages::shop::HoldPage;
use web::{ApiError, ApiPath, ApiResult};

use super::page::{page, page_of, see_other};
use crate::handle::Booking;
use crate::holds::ReleaseOutcome;
use crate::http::problems::not_found;

pub(super) async fn hold(
    State(booking): State<Booking>,
    ApiPath(hold_id): ApiPath<HoldId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let (hold, show) = find(&booking, &headers, hold_id).await?;
    let html = render(&booking, hold, show, String::new(), None);
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
    page_of(error, render(booking, hold, show, email, Some(error)))
}

fn render(
    booking: &Booking,
    hold: Hold,
    show: Show,
    email: String,
    error: Option<&ApiError>,
) -> String {
    pages::shop::hold(&HoldPage {
        hold,
        show,
        now: booking.0.clock.now(),
        email,
        problem: error.map(|error| error.problem().clone()),
    })
}

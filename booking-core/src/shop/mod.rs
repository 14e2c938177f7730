//! The shop's pages: the same operations as the JSON API for browsers, with forms that work without
//! JavaScript.

mod banner;
mod bookings;
mod catalogue;
mod challenge;
mod guard;
mod holds;
mod own_bookings;
mod page;
pub(crate) mod page_headers;
mod payments;
mod seats;
pub(crate) mod show_pages;
mod transfers;
mod wallet;

use axum::Router;
use axum::routing::{any, get, post};
use contract::ProblemCode;
use web::ApiError;

use crate::handle::Booking;

pub(crate) use catalogue::show_page_for_everyone;

/// The pages, to be merged with the API under the standard layers.
pub(crate) fn router(booking: Booking) -> Router {
    let guard = guard::Guard::new(&booking);
    Router::new()
        .route("/", get(catalogue::city_list))
        .route("/robots.txt", get(catalogue::robots))
        .route("/cities/{cityId}", get(catalogue::city))
        .route("/shows/{showId}", get(catalogue::show))
        .route("/shows/{showId}/seats", get(seats::seats))
        .route("/shows/{showId}/holds", post(seats::hold_place))
        .route("/holds/{holdId}", get(holds::hold))
        .route("/holds/{holdId}/release", post(holds::hold_release))
        .route("/holds/{holdId}/ticket-types", post(holds::ticket_types))
        .route("/holds/{holdId}/quote", post(payments::quote))
        .route("/holds/{holdId}/coupon-off", post(payments::coupon_off))
        .route("/holds/{holdId}/payments", post(payments::payment_start))
        .route("/holds/{holdId}/return", get(payments::payment_return))
        .route("/bookings", get(own_bookings::my_bookings))
        .route(
            "/bookings/find",
            get(own_bookings::find_form).post(own_bookings::find),
        )
        .route("/bookings/{bookingId}", get(bookings::booking))
        .route("/bookings/{bookingId}/cancel", post(bookings::cancel))
        .route("/bookings/{bookingId}/codes", post(bookings::code))
        .route("/bookings/{bookingId}/transfer", post(transfers::transfer))
        .route("/bookings/{bookingId}/reissue", post(transfers::reissue))
        .route("/b/{token}/transfer", post(transfers::guest_transfer))
        .route("/b/{token}/reissue", post(transfers::guest_reissue))
        .route("/bookings/{bookingId}/contact", post(bookings::contact))
        .route("/b/{token}/contact", post(bookings::guest_contact))
        .route("/b/{token}", get(bookings::guest_booking))
        .route("/b/{token}/cancel", post(bookings::guest_cancel))
        .route("/b/{token}/codes", post(bookings::guest_code))
        .route("/b/{token}/tickets.pdf", get(bookings::guest_pdf))
        .route("/b/{token}/invoices/{number}", get(bookings::guest_invoice))
        .route("/b/{token}/calendar.ics", get(bookings::guest_calendar))
        .route(
            "/b/{token}/tickets/{ticketId}/qr.svg",
            get(bookings::guest_qr),
        )
        .route(
            "/b/{token}/tickets/{ticketId}/pass.pkpass",
            get(wallet::apple_pass),
        )
        .route(
            "/b/{token}/tickets/{ticketId}/google-wallet",
            get(wallet::google_wallet),
        )
        // Unknown paths get a page too, for browsers.
        .route("/{*path}", any(nothing))
        .with_state(booking.clone())
        .layer(axum::middleware::from_fn_with_state(
            booking.clone(),
            crate::http::holders::middleware,
        ))
        // Inside the guard, which turns a refusal into a page.
        .layer(axum::middleware::from_fn_with_state(
            booking,
            crate::http::limiting::middleware,
        ))
        .layer(axum::middleware::from_fn_with_state(
            guard,
            guard::middleware,
        ))
}

async fn nothing() -> ApiError {
    ProblemCode::NotFound.into()
}

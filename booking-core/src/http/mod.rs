//! The JSON API.

mod admin;
mod admin_bookings;
mod admin_comps;
mod admin_coupons;
mod admin_moves;
mod admin_transfers;
mod app_sessions;
pub(crate) mod at_hand;
mod bookings;
pub(crate) mod cancel;
pub(crate) mod catalogue;
mod checkin;
mod checkin_page;
pub(crate) mod contact;
mod deliveries;
mod description;
mod events;
pub(crate) mod holders;
pub(crate) mod holds;
mod idempotent;
pub(crate) mod invoices;
pub(crate) mod limiting;
mod mail;
pub(crate) mod own_bookings;
pub(crate) mod payments;
pub(crate) mod problems;
mod reviews;
pub(crate) mod risk;
mod sales;
mod scanners;
mod seats;
mod subscriptions;
mod ticket_files;
pub(crate) mod transfer;
pub(crate) mod wallet;

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Router};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::openapi::Served;
use web::{Part, RequestIds};

use self::description::{Api, InCommon};
use crate::handle::Booking;
use crate::shop;

/// Metric labels of the public side.
const PART: Part = Part::new("booking");

/// The public API under `/api/v1`, and the shop's pages.
pub(crate) fn router(booking: Booking) -> Router {
    let (router, mut api) = routes().split_for_parts();
    InCommon.modify(&mut api);
    let ids = RequestIds::new(u64::from_be_bytes(booking.0.randomness.bytes()));
    let router = router
        .with_state(booking.clone())
        // Inside the rate limits, because it queries the database.
        .layer(axum::middleware::from_fn_with_state(
            booking.clone(),
            holders::middleware,
        ))
        .layer(axum::middleware::from_fn_with_state(
            booking.clone(),
            limiting::middleware,
        ))
        .merge(described(web::openapi::served(&api)))
        .merge(checkin_page::router())
        .merge(shop::router(booking));
    web::standard(router, PART, ids)
}

/// The operators' API under `/admin/v1`, and its description.
pub(crate) fn admin(booking: Booking) -> (Router, utoipa::openapi::OpenApi) {
    let checkin = checkin::routes().layer(Extension(checkin::ByOperators));
    let routes = admin::routes()
        .merge(admin_bookings::routes())
        .merge(admin_transfers::routes())
        .merge(admin_comps::routes())
        .merge(admin_coupons::routes())
        .merge(events::routes())
        .merge(subscriptions::routes())
        .merge(deliveries::routes())
        .merge(reviews::routes())
        .merge(admin_moves::routes())
        .merge(mail::routes())
        .merge(sales::routes())
        .merge(invoices::routes())
        .merge(scanners::routes())
        .merge(checkin);
    routes.with_state(booking).split_for_parts()
}

fn routes() -> OpenApiRouter<Booking> {
    let of_customers = OpenApiRouter::new()
        .routes(routes!(holds::hold_place))
        .routes(routes!(holds::hold, holds::hold_release))
        .routes(routes!(holds::ticket_types))
        .routes(routes!(payments::quote))
        .routes(routes!(payments::coupon_off))
        .routes(routes!(payments::payment_start))
        .routes(routes!(payments::confirm))
        .routes(routes!(bookings::booking))
        .routes(routes!(bookings::ticket_svg))
        .routes(routes!(cancel::refund_offer))
        .routes(routes!(cancel::code_send))
        .routes(routes!(cancel::cancel))
        .routes(routes!(transfer::transfer_offer))
        .routes(routes!(transfer::transfer))
        .routes(routes!(transfer::reissue))
        .routes(routes!(contact::contact, contact::contact_change))
        .routes(routes!(contact::push_add, contact::push_remove))
        .routes(routes!(own_bookings::my_bookings))
        .routes(routes!(own_bookings::find))
        .routes(routes!(app_sessions::code_ask))
        .routes(routes!(app_sessions::token))
        .routes(routes!(app_sessions::session_end))
        .routes(routes!(ticket_files::tickets_pdf))
        .routes(routes!(ticket_files::booking_calendar))
        .routes(routes!(wallet::apple_pass))
        .routes(routes!(wallet::google_wallet))
        .routes(routes!(invoices::booking_invoices))
        .routes(routes!(invoices::booking_invoice))
        .layer(axum::middleware::map_response(keep_private));
    let api = OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(catalogue::cities))
        .routes(routes!(catalogue::city_shows))
        .routes(routes!(catalogue::show))
        .routes(routes!(seats::seat_map))
        .routes(routes!(seats::seat_map_compact))
        .routes(routes!(seats::seat_map_live))
        .routes(routes!(payments::webhook))
        .merge(of_customers);
    OpenApiRouter::with_openapi(Api::openapi())
        .nest("/api/v1", api)
        .merge(checkin::routes_of_scanners())
}

/// Forbids caches to store responses of one customer, unless the handler set its own rule.
async fn keep_private(mut response: Response) -> Response {
    let private = HeaderValue::from_static("private, no-store");
    response
        .headers_mut()
        .entry(CACHE_CONTROL)
        .or_insert(private);
    response
}

fn described(document: Served) -> Router {
    let openapi = axum::routing::get(openapi);
    Router::new()
        .route("/api/v1/openapi.json", openapi)
        .with_state(document)
}

async fn openapi(State(document): State<Served>, headers: HeaderMap) -> Response {
    document.answer(&headers)
}

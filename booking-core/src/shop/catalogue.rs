//! Cities, the shows of a city, one show.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use contract::{CityId, ShowId};
use http::{HeaderMap, StatusCode};
use pages::shop::{CityListPage, CityPage};
use serde::Deserialize;
use web::{ApiPath, ApiQuery, ApiResult};

use super::page::{page, shared_page};
use super::show_pages::RenderedPage;
use crate::customer::Customer;
use crate::handle::Booking;
use crate::http::catalogue::read_date;
use crate::http::problems::not_found;
use crate::live::ShowEntry;

/// Upcoming shows on the start page.
const COMING_MAX: usize = 8;
/// Longest search text; a longer one matches nothing.
const QUERY_LENGTH_MAX: usize = 200;

/// The filter form of a city's page. Empty fields mean no filter.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    #[serde(default)]
    date: String,
    #[serde(default)]
    q: String,
}

pub(super) async fn city_list(State(booking): State<Booking>) -> Response {
    let now = booking.0.clock.now();
    let mut coming = booking.all_shows();
    coming.retain(|show| show.starts_at > now);
    coming.sort_by_key(|show| show.starts_at);
    coming.truncate(COMING_MAX);
    let cities = booking.cities();
    let origin = booking.origin().to_owned();
    let html = pages::shop::city_list(&CityListPage {
        cities,
        coming,
        origin,
    });
    page(StatusCode::OK, html)
}

pub(super) async fn city(
    State(booking): State<Booking>,
    ApiPath(city_id): ApiPath<CityId>,
    ApiQuery(filter): ApiQuery<Filter>,
) -> ApiResult<Response> {
    let mut cities = booking.cities().into_iter();
    let city = cities
        .find(|city| city.city_id == city_id)
        .ok_or_else(not_found)?;
    let q = filter
        .q
        .trim()
        .chars()
        .take(QUERY_LENGTH_MAX)
        .collect::<String>();
    let (q, date) = (Some(q).filter(|q| !q.is_empty()), Some(filter.date));
    let date = date.filter(|date| !date.is_empty());
    let day = date.as_deref().map(read_date).transpose()?;
    let mut shows = booking
        .shows(&city_id, day, q.as_deref())
        .ok_or_else(not_found)?;
    if day.is_none() {
        let now = booking.0.clock.now();
        shows.retain(|show| show.starts_at > now);
    }
    shows.sort_by_key(|show| show.starts_at);
    let html = pages::shop::city(&CityPage {
        city,
        date,
        q,
        shows,
        origin: booking.origin().to_owned(),
    });
    Ok(page(StatusCode::OK, html))
}

pub(super) async fn show(
    State(booking): State<Booking>,
    ApiPath(show_id): ApiPath<ShowId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let entry = booking.0.catalogue.entry(&show_id).ok_or_else(not_found)?;
    let customer = booking.customer(&headers);
    Ok(shared_page(page_of(&booking, &entry, &customer)))
}

/// The page of a show for a visitor without session and pass; `None` for an unknown show.
pub(crate) fn show_page_for_everyone(
    booking: &Booking,
    show: &ShowId,
    headers: &HeaderMap,
) -> Option<Response> {
    let entry = booking.0.catalogue.entry(show)?;
    let page = page_of(booking, &entry, &Customer::default());
    Some(page.for_everyone().answer(headers))
}

/// The page of a show for `customer`, without the banner.
fn page_of(booking: &Booking, entry: &Arc<ShowEntry>, customer: &Customer) -> Arc<RenderedPage> {
    let core = &booking.0;
    let room = entry.info().room.as_ref();
    let may_choose = room.is_none_or(|room| customer.subject_in(room).is_some());
    let phase = room.and_then(|room| core.rooms.phase(room));
    core.show_pages
        .of(entry, may_choose, phase, core.clock.now())
}

/// `robots.txt`: search engines may read the catalogue, but no page of one customer.
pub(super) async fn robots() -> Response {
    const RULES: &str = "User-agent: *\nDisallow: /_line/\nDisallow: /api/\nDisallow: /bookings/\n\
                         Disallow: /holds/\nDisallow: /shows/*/seats\n";
    RULES.into_response()
}

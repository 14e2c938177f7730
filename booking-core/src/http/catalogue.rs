//! Cities and shows.

use axum::extract::State;
use axum::response::Response;
use contract::booking::{CityList, Show, ShowList};
use contract::{CityId, Problem, ShowId};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use web::{ApiPath, ApiQuery, ApiResult};

use super::problems::{invalid, not_found};
use crate::handle::Booking;

/// Longest search text; a longer one matches nothing.
const QUERY_LENGTH_MAX: usize = 200;

/// Which shows to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ShowsWanted {
    /// The day, as `YYYY-MM-DD`.
    #[param(format = Date)]
    date: Option<String>,
    /// A text that occurs in title, venue, cast or genre.
    #[param(max_length = 200)]
    q: Option<String>,
}

/// Lists the cities that have shows.
#[utoipa::path(
    get, path = "/cities",
    responses(
        (status = 200, body = CityList, headers(("ETag", description = "Identifies this version of the list"))),
        (status = 304, description = "It is still the list of If-None-Match",
            headers(("ETag", description = "Identifies this version of the list")))
    )
)]
pub(super) async fn cities(State(booking): State<Booking>, headers: HeaderMap) -> Response {
    let cities = booking.cities();
    for_everyone(&booking, &CityList { cities }, &headers)
}

/// Lists the shows of a city.
#[utoipa::path(
    get, path = "/cities/{cityId}/shows",
    params(("cityId" = CityId, Path, description = "The city"), ShowsWanted),
    responses(
        (status = 200, body = ShowList, headers(("ETag", description = "Identifies this version of the list"))),
        (status = 304, description = "It is still the list of If-None-Match",
            headers(("ETag", description = "Identifies this version of the list"))),
        (status = 404, body = Problem),
        (status = 422, body = Problem)
    )
)]
pub(super) async fn city_shows(
    State(booking): State<Booking>,
    ApiPath(city): ApiPath<CityId>,
    ApiQuery(wanted): ApiQuery<ShowsWanted>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let date = wanted.date.as_deref().map(read_date).transpose()?;
    let query = wanted.q.as_deref().map(str::trim).filter(|q| !q.is_empty());
    if query.is_some_and(|query| query.len() > QUERY_LENGTH_MAX) {
        return Err(invalid("q", "must have at most 200 characters"));
    }
    let shows = booking.shows(&city, date, query).ok_or_else(not_found)?;
    Ok(for_everyone(&booking, &ShowList { shows }, &headers))
}

/// Reads a show.
#[utoipa::path(
    get, path = "/shows/{showId}",
    params(("showId" = ShowId, Path, description = "The show")),
    responses(
        (status = 200, body = Show, headers(("ETag", description = "Identifies this version of it"))),
        (status = 304, description = "It is still as If-None-Match names it",
            headers(("ETag", description = "Identifies this version of it"))),
        (status = 404, body = Problem)
    )
)]
pub(super) async fn show(
    State(booking): State<Booking>,
    ApiPath(show): ApiPath<ShowId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let show = booking.show(&show).ok_or_else(not_found)?;
    Ok(for_everyone(&booking, &show, &headers))
}

/// A response that is the same for everyone: compressed, and 304 for a client that has it.
fn for_everyone(booking: &Booking, answer: &impl Serialize, headers: &HeaderMap) -> Response {
    // Serialisation cannot fail: the objects contain only text, numbers and lists.
    let json = serde_json::to_vec(answer).unwrap_or_default();
    let document = booking.0.documents.of(json, "application/json");
    document.answer(headers)
}

pub(crate) fn read_date(text: &str) -> ApiResult<time::Date> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    time::Date::parse(text, format).map_err(|_| invalid("date", "must look like 2026-11-22"))
}

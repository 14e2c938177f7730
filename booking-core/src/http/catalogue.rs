//! Cities and shows.

use axum::extract::State;
use contract::booking::{CityList, Show, ShowList};
use contract::{CityId, Problem, ShowId};
use serde::Deserialize;
use utoipa::IntoParams;
use web::{ApiJson, ApiPath, ApiQuery, ApiResult};

use super::problems::{invalid, not_found};
use crate::handle::Booking;

/// Longest search text; longer ones match nothing anyway.
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

/// The cities that have shows.
#[utoipa::path(get, path = "/cities", responses((status = 200, body = CityList)))]
pub(super) async fn cities(State(booking): State<Booking>) -> ApiJson<CityList> {
    ApiJson(CityList {
        cities: booking.cities(),
    })
}

/// The shows of a city.
#[utoipa::path(
    get, path = "/cities/{cityId}/shows",
    params(("cityId" = CityId, Path, description = "The city"), ShowsWanted),
    responses(
        (status = 200, body = ShowList),
        (status = 404, body = Problem),
        (status = 422, body = Problem)
    )
)]
pub(super) async fn city_shows(
    State(booking): State<Booking>,
    ApiPath(city): ApiPath<CityId>,
    ApiQuery(wanted): ApiQuery<ShowsWanted>,
) -> ApiResult<ApiJson<ShowList>> {
    let date = wanted.date.as_deref().map(read_date).transpose()?;
    let query = wanted.q.as_deref().map(str::trim).filter(|q| !q.is_empty());
    if query.is_some_and(|query| query.len() > QUERY_LENGTH_MAX) {
        return Err(invalid("q", "must have at most 200 characters"));
    }
    let shows = booking.shows(&city, date, query).ok_or_else(not_found)?;
    Ok(ApiJson(ShowList { shows }))
}

/// One show.
#[utoipa::path(
    get, path = "/shows/{showId}",
    params(("showId" = ShowId, Path, description = "The show")),
    responses((status = 200, body = Show), (status = 404, body = Problem))
)]
pub(super) async fn show(
    State(booking): State<Booking>,
    ApiPath(show): ApiPath<ShowId>,
) -> ApiResult<ApiJson<Show>> {
    booking.show(&show).map(ApiJson).ok_or_else(not_found)
}

pub(crate) fn read_date(text: &str) -> ApiResult<time::Date> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    time::Date::parse(text, format).map_err(|_| invalid("date", "must look like 2026-11-22"))
}

//! The operators' API for sales.

use axum::extract::State;
use contract::{Problem, ShowId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ApiJson, ApiQuery, ApiResult};

use crate::handle::Booking;
use crate::store::sales::{CategorySales, RoomConversion, ShowSales};
use crate::store::sales_overview::ShowOverview;

pub(super) fn routes() -> OpenApiRouter<Booking> {
    OpenApiRouter::default()
        .routes(routes!(sales))
        .routes(routes!(overview))
}

/// Which sales are listed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Only those of this show.
    show: Option<ShowId>,
    /// Categories hour by hour, instead of all hours together.
    hourly: Option<bool>,
}

/// Sales.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Sales {
    /// When it was read: events of the seconds before may not be counted yet.
    as_of: Timestamp,
    /// By show.
    shows: Vec<ShowSales>,
    /// By show and category, at most 10,000 rows.
    categories: Vec<CategorySales>,
    /// Of those who were called, how many bought.
    rooms: Vec<RoomConversion>,
}

/// Read what was sold, by show, category and hour
///
/// Made from the log of events. Hours are of UTC.
#[utoipa::path(
    get, path = "/admin/v1/sales", operation_id = "sales", tag = "booking",
    params(Wanted),
    responses(
        (status = 200, description = "The figures", body = Sales),
        (status = 422, description = "validation-failed", body = Problem),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn sales(
    State(booking): State<Booking>,
    ApiQuery(wanted): ApiQuery<Wanted>,
) -> ApiResult<ApiJson<Sales>> {
    let as_of = booking.0.clock.now();
    let hourly = wanted.hourly.unwrap_or(false);
    let (shows, categories, rooms) = booking.sales(wanted.show, hourly).await?;
    Ok(ApiJson(Sales {
        as_of,
        shows,
        categories,
        rooms,
    }))
}

/// Shows with their seats and sales.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SalesOverview {
    /// When it was read: events of the seconds before may not be counted yet.
    as_of: Timestamp,
    /// Those that are not over, the next first, at most 100.
    shows: Vec<ShowOverview>,
}

/// Read seats and sales of the shows that are not over, with tickets sold in each of the last 24
/// hours
#[utoipa::path(
    get, path = "/admin/v1/sales/overview", operation_id = "sales_overview", tag = "booking",
    responses(
        (status = 200, description = "The shows", body = SalesOverview),
        (status = 503, description = "database-unavailable", body = Problem)
    )
)]
async fn overview(State(booking): State<Booking>) -> ApiResult<ApiJson<SalesOverview>> {
    let as_of = booking.0.clock.now();
    let shows = booking.sales_overview(as_of).await?;
    Ok(ApiJson(SalesOverview { as_of, shows }))
}

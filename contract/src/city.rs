//! A city with shows, as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::CityId;

/// A city with shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct City {
    /// Its id.
    pub city_id: CityId,
    /// Its name.
    pub name: String,
    /// Country, ISO 3166-1 alpha-2.
    pub country: String,
    /// IANA time zone that its shows' times are shown in.
    pub time_zone: String,
    /// Shows that have not started.
    pub show_count: u64,
}

/// The cities there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CityList {
    /// By name.
    pub cities: Vec<City>,
}

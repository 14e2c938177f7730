//! An event as it is told. Pure.

use contract::{EventId, Timestamp};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The version of the form of all data. A new field is no new version; one that changes or goes is.
pub(crate) const SCHEMA_VERSION: i16 = 1;

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its id. The same event always has the same, so receivers can tell repeats.
    pub id: EventId,
    /// Its place in the log. Positions have no gaps.
    pub position: i64,
    /// What happened, such as `booking.confirmed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The version of the form of `data`.
    pub version: i16,
    /// When it happened.
    pub timestamp: Timestamp,
    /// What it is about, in full.
    #[schema(value_type = Object)]
    pub data: Value,
}

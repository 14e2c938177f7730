//! JSON of seats: the map in both forms, labels, changes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::ids::{SeatId, ShowId};

/// Whether a seat can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SeatStatus {
    /// Free.
    Available,
    /// Someone is buying it.
    Held,
    /// Sold.
    Booked,
    /// Not for sale.
    Blocked,
}

/// A seat on the map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Seat {
    /// Its label, unique in the show.
    pub seat_id: SeatId,
    /// The block it is in, such as `Stalls`. Rows are unique within one.
    #[serde(default)]
    pub section: String,
    /// Row label.
    pub row: String,
    /// Number within the row.
    pub number: u32,
    /// Price category.
    pub category: String,
    /// Whether it can be had.
    pub status: SeatStatus,
    /// Price, minor units.
    pub price_minor: i64,
    /// Place on the map, in seat widths from the left.
    pub x: f64,
    /// Place on the map, in seat widths from the stage.
    pub y: f64,
    /// Reachable without steps.
    pub accessible: bool,
}

/// All seats of a show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeatMap {
    /// The show.
    pub show_id: ShowId,
    /// Grows with every change; also the `ETag`.
    pub version: u64,
    /// When it was taken.
    pub as_of: Timestamp,
    /// In map order.
    pub seats: Vec<Seat>,
}

/// All seats of a show in a few kilobytes: rows as runs of seats, and one letter a seat for
/// whether it can be had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompactSeatMap {
    /// The show.
    pub show_id: ShowId,
    /// As in the seat map.
    pub version: u64,
    /// Names of the blocks of seats.
    pub sections: Vec<String>,
    /// Codes of the price categories.
    pub categories: Vec<String>,
    /// Runs of seats; one after the other they are all seats in map order.
    pub runs: Vec<SeatRun>,
    /// Which seats are reachable without steps: positions in map order, from 0.
    pub accessible: Vec<u32>,
    /// One letter a seat, in map order: `A`vailable, `H`eld, `B`ooked, or `X` when not for sale.
    pub statuses: String,
}

/// Neighbours of one row and price. The number and `x` grow by one from seat to seat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeatRun {
    /// Position in `sections`, from 0.
    pub section: u32,
    /// Row label.
    pub row: String,
    /// Position in `categories`, from 0.
    pub category: u32,
    /// Price of each seat, minor units.
    pub price_minor: i64,
    /// Seats in the run, at least 1.
    pub count: u32,
    /// Number of the first seat.
    pub number: u32,
    /// Place of the first seat on the map, in seat widths from the left.
    pub x: f64,
    /// Place of all seats on the map, in seat widths from the stage.
    pub y: f64,
    /// What precedes the number in the seats' ids.
    pub prefix: String,
    /// The seat's id where it does not end with its number. Such a seat is a run of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat_id: Option<SeatId>,
}

/// Where a seat is, in words for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeatLabel {
    /// Its id.
    pub seat_id: SeatId,
    /// The block it is in.
    pub section: String,
    /// Row label.
    pub row: String,
    /// Number within the row.
    pub number: u32,
    /// Reachable without steps.
    pub accessible: bool,
}

/// One change of a seat, in the live stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeatChange {
    /// The seat.
    pub seat_id: SeatId,
    /// How it is now.
    pub status: SeatStatus,
}

/// Changes that lead from one version of the map to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeatChanges {
    /// The version they apply to.
    pub from_version: u64,
    /// The version they lead to.
    pub version: u64,
    /// What changed.
    pub changes: Vec<SeatChange>,
}

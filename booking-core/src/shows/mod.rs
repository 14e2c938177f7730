//! Shows as values: what a show is, where its seats are and which of them are free. Pure.

pub(crate) mod best_available;
mod file;
mod plan;
mod seat_states;

pub use file::InvalidShowFile;
pub(crate) use file::ShowDraft;
pub(crate) use plan::{PlannedSeat, SeatPlan};
pub(crate) use seat_states::{SeatState, SeatStates};

use contract::booking::{Category, SaleStatus, Show, Venue};
use contract::{CityId, RoomId, ShowId, Timestamp};

/// A city of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CityInfo {
    pub(crate) city_id: CityId,
    pub(crate) name: String,
    pub(crate) country: String,
    pub(crate) time_zone: String,
}

/// A show without its seats.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ShowInfo {
    pub(crate) show_no: i32,
    pub(crate) revision: i32,
    pub(crate) show_id: ShowId,
    pub(crate) city: CityInfo,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) genre: String,
    pub(crate) language: String,
    pub(crate) cast: Vec<String>,
    pub(crate) venue: Venue,
    pub(crate) starts_at: Timestamp,
    pub(crate) sale_opens_at: Timestamp,
    pub(crate) sale_closes_at: Timestamp,
    pub(crate) cancelled: bool,
    pub(crate) room: Option<RoomId>,
    pub(crate) ticket_limit: u32,
    pub(crate) hold_seconds: u32,
    pub(crate) currency: String,
    pub(crate) categories: Vec<Category>,
}

impl ShowInfo {
    /// What the sale is doing at `now`.
    pub(crate) fn sale_status(&self, now: Timestamp) -> SaleStatus {
        if self.cancelled {
            SaleStatus::Cancelled
        } else if now < self.sale_opens_at {
            SaleStatus::Upcoming
        } else if now < self.sale_closes_at {
            SaleStatus::Open
        } else {
            SaleStatus::Closed
        }
    }

    /// Whether `query`, in lower case, occurs in the title, venue, cast or genre.
    pub(crate) fn matches(&self, query: &str) -> bool {
        [&self.title, &self.venue.name, &self.genre]
            .into_iter()
            .chain(&self.cast)
            .any(|text| text.to_lowercase().contains(query))
    }

    /// The wire form.
    pub(crate) fn view(&self, now: Timestamp, seat_count: u64, available_count: u64) -> Show {
        Show {
            show_id: self.show_id.clone(),
            city_id: self.city.city_id.clone(),
            title: self.title.clone(),
            description: self.description.clone(),
            genre: self.genre.clone(),
            language: self.language.clone(),
            cast: self.cast.clone(),
            venue: self.venue.clone(),
            time_zone: self.city.time_zone.clone(),
            starts_at: self.starts_at,
            sale_opens_at: self.sale_opens_at,
            sale_closes_at: self.sale_closes_at,
            sale_status: self.sale_status(now),
            room: self.room.clone(),
            ticket_limit: self.ticket_limit,
            hold_seconds: self.hold_seconds,
            currency: self.currency.clone(),
            categories: self.categories.clone(),
            seat_count,
            available_count,
        }
    }
}

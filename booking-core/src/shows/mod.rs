//! Shows as values: their fields, layout and seat states. Pure.

pub(crate) mod best_available;
mod compact;
mod draft;
mod plan;
mod prices;
mod seat_states;

pub(crate) use compact::compact;
pub(crate) use draft::ShowDraft;
pub(crate) use plan::{PlannedSeat, SeatPlan};
pub(crate) use prices::{SeatsPrice, Tariff, TypedSeat};
pub(crate) use seat_states::{SeatFigures, SeatState, SeatStates};

use contract::booking::{Category, SaleStatus, SeatStatus, Show, Venue};
use contract::pricing::{Fee, Tax};
use contract::refund_policy::RefundPolicy;
use contract::{CityId, RoomId, ShowId, Timestamp};
use serde_json::{Map, Value};
pub(crate) use show_file::LISTED_AFTER_END;

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
    /// When the event is over; never before it starts or its sale closes.
    pub(crate) ends_at: Timestamp,
    pub(crate) sale_opens_at: Timestamp,
    pub(crate) sale_closes_at: Timestamp,
    pub(crate) cancelled: bool,
    pub(crate) room: Option<RoomId>,
    pub(crate) ticket_limit: u32,
    pub(crate) hold_seconds: u32,
    pub(crate) currency: String,
    /// Prices without fees and added taxes.
    pub(crate) categories: Vec<Category>,
    pub(crate) fees: Vec<Fee>,
    pub(crate) taxes: Vec<Tax>,
    pub(crate) refund_policy: Option<RefundPolicy>,
    /// The database number of the first seat.
    pub(crate) seat_no_first: i32,
    pub(crate) seat_count: u32,
}

/// How many seats a show has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeatCounts {
    pub(crate) available: u64,
    pub(crate) held: u64,
}

impl SeatCounts {
    /// Counts one more seat.
    pub(crate) fn add(&mut self, status: SeatStatus) {
        match status {
            SeatStatus::Available => self.available += 1,
            SeatStatus::Held => self.held += 1,
            SeatStatus::Booked | SeatStatus::Blocked => {}
        }
    }
}

impl ShowInfo {
    /// The status of the sale at `now`.
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

    /// Whether the show is current at `now`: until a day after its end.
    pub(crate) fn is_current(&self, now: Timestamp) -> bool {
        self.ends_at.max(self.sale_closes_at) > now.minus(LISTED_AFTER_END)
    }

    /// The day of the start at the venue, as `YYYY-MM-DD`. In an unknown time zone it is the day in
    /// UTC, as on the pages.
    pub(crate) fn day(&self) -> String {
        pages::moment::when(
            self.starts_at,
            &self.city.time_zone,
            pages::moment::Form::IsoDay,
        )
    }

    /// Its prices, and what everyone pays on top.
    pub(crate) fn tariff(&self) -> Tariff<'_> {
        Tariff {
            categories: &self.categories,
            fees: &self.fees,
            taxes: &self.taxes,
            currency: &self.currency,
        }
    }

    /// The fields of the API form that an import sets.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        let view = self.view(self.starts_at, SeatFigures::default());
        let Ok(Value::Object(mut fields)) = serde_json::to_value(view) else {
            return Map::new();
        };
        for of_the_moment in ["saleStatus", "availableCount", "heldCount"] {
            fields.remove(of_the_moment);
        }
        fields
    }

    /// Names of the fields that differ from `before`; `seats` stands for the layout.
    pub(crate) fn changes_from(&self, before: &Self) -> Vec<String> {
        let (old, new) = (before.fields(), self.fields());
        // Lists that are empty are left out.
        let gone = old.keys().filter(|name| !new.contains_key(*name));
        let names = new.keys().chain(gone);
        let mut changed: Vec<String> = names
            .filter(|name| old.get(*name) != new.get(*name))
            .cloned()
            .collect();
        changed.sort();
        if before.seat_no_first != self.seat_no_first {
            changed.push("seats".to_owned());
        }
        changed
    }

    /// Whether `query`, in lower case, occurs in the title, venue, cast or genre.
    pub(crate) fn matches(&self, query: &str) -> bool {
        [&self.title, &self.venue.name, &self.genre]
            .into_iter()
            .chain(&self.cast)
            .any(|text| text.to_lowercase().contains(query))
    }

    /// The API form at `now`.
    pub(crate) fn view(&self, now: Timestamp, figures: SeatFigures) -> Show {
        self.view_with(self.sale_status(now), figures)
    }

    /// The API form while the sale has this status.
    pub(crate) fn view_with(&self, sale_status: SaleStatus, figures: SeatFigures) -> Show {
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
            ends_at: self.ends_at,
            sale_opens_at: self.sale_opens_at,
            sale_closes_at: self.sale_closes_at,
            sale_status,
            room: self.room.clone(),
            ticket_limit: self.ticket_limit,
            hold_seconds: self.hold_seconds,
            currency: self.currency.clone(),
            categories: self.tariff().public_categories(),
            fees: self.fees.clone(),
            taxes: self.taxes.clone(),
            booking_fee_minor: self.tariff().booking_fee_minor(),
            refund_policy: self.refund_policy.clone(),
            seat_count: u64::from(self.seat_count),
            available_count: figures.available,
            held_count: figures.unsold.saturating_sub(figures.available),
        }
    }
}

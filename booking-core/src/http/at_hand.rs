//! What is answered without the router, because many ask for it at the same time and it is ready
//! to be sent: the page of a show for visitors without session and pass, and seat maps.
//!
//! The same limits and metrics hold as in the router, which answers everything else.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use contract::ShowId;
use http::Method;
use tokio::time::Instant;
use web::measure::{Measure, Route};
use web::{AtHand, Reading};

use super::{PART, limiting, seats};
use crate::customer::Customer;
use crate::handle::Booking;
use crate::limits::Kind;
use crate::live::MapForm;
use crate::shop;

/// Prefix of pages of shows, followed by the show.
const PAGES: &str = "/shows/";
/// Prefix of the API of shows, followed by the show.
const API: &str = "/api/v1/shows/";

/// Pages of shows and seat maps.
pub(crate) struct PagesAndMaps {
    booking: Booking,
    pages: Arc<Route>,
    full_maps: Arc<Route>,
    compact_maps: Arc<Route>,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Page(ShowId),
    Map(ShowId, MapForm),
}

impl PagesAndMaps {
    pub(crate) fn new(booking: Booking) -> Self {
        let measure = Measure::of(PART);
        Self {
            booking,
            pages: measure.route("/shows/{showId}"),
            full_maps: measure.route("/api/v1/shows/{showId}/seatmap"),
            compact_maps: measure.route("/api/v1/shows/{showId}/seatmap/compact"),
        }
    }

    /// The page of a show. A visitor who may hold something gets one of their own, and one who
    /// asks too often a refusal as a page, both from the router.
    fn page(&self, show: &ShowId, reading: &Reading<'_>, customer: &Customer) -> Option<Response> {
        if !customer.is_unknown() {
            return None;
        }
        let page = shop::show_page_for_everyone(&self.booking, show, reading.headers)?;
        let address = reading.limited_as.map(|limited| limited.0);
        let limits = &self.booking.0.limits;
        limits.check(Kind::Browse, address, None).ok()?;
        Some(page)
    }

    fn map(
        &self,
        show: &ShowId,
        form: MapForm,
        reading: &Reading<'_>,
        customer: &Customer,
    ) -> Option<Response> {
        let live = self.booking.0.catalogue.live_at_hand(show)?;
        let map = seats::map_at_hand(&live, form, reading.headers)?;
        let address = reading.limited_as.map(|limited| limited.0);
        let counted = limiting::check(&self.booking, Kind::Browse, address, customer);
        Some(match counted {
            Ok(()) => map,
            Err(refused) => refused.into_response(),
        })
    }
}

impl AtHand for PagesAndMaps {
    fn answer(&self, reading: &Reading<'_>) -> Option<Response> {
        let wanted = Wanted::of(reading.path)?;
        let began = Instant::now();
        let customer = self
            .booking
            .customer_of(reading.principals, reading.headers);
        let (response, route) = match wanted {
            Wanted::Page(show) => (self.page(&show, reading, &customer)?, &self.pages),
            Wanted::Map(show, form) => {
                let route = match form {
                    MapForm::Full => &self.full_maps,
                    MapForm::Compact => &self.compact_maps,
                };
                (self.map(&show, form, reading, &customer)?, route)
            }
        };
        route.record(began, &Method::GET, response.status());
        Some(response)
    }
}

impl Wanted {
    fn of(path: &str) -> Option<Self> {
        if let Some(show) = path.strip_prefix(PAGES) {
            return Some(Self::Page(show.parse().ok()?));
        }
        let (show, map) = path.strip_prefix(API)?.split_once('/')?;
        let form = match map {
            "seatmap" => MapForm::Full,
            "seatmap/compact" => MapForm::Compact,
            _ => return None,
        };
        Some(Self::Map(show.parse().ok()?, form))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_shows_and_maps_are_looked_for() {
        let show: ShowId = "eras-1".parse().unwrap();
        let map = |form| Some(Wanted::Map(show.clone(), form));
        for (path, wanted) in [
            ("/shows/eras-1", Some(Wanted::Page(show.clone()))),
            ("/api/v1/shows/eras-1/seatmap", map(MapForm::Full)),
            (
                "/api/v1/shows/eras-1/seatmap/compact",
                map(MapForm::Compact),
            ),
            ("/shows/eras-1/", None),
            ("/shows/eras-1/seats", None),
            ("/shows/", None),
            ("/shows/%65ras-1", None),
            ("/api/v1/shows/eras-1", None),
            ("/api/v1/shows/eras-1/seatmap/", None),
            ("/api/v1/shows/eras-1/seatmap/live", None),
            ("/api/v1/shows//seatmap", None),
            ("/", None),
        ] {
            assert_eq!(Wanted::of(path), wanted, "{path}");
        }
    }
}

//! The banner that links to the reader's holds and bookings, on every page.

use contract::{BookingId, HoldId, Timestamp};
use serde::Serialize;

use crate::engine::render;

/// The position of the banner in a page. Output is escaped, so no user text can contain it.
const SLOT: &str = "<!--banner-->";

/// A hold that has not expired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenHold {
    /// The hold.
    pub hold_id: HoldId,
    /// The title of its show, if that is still listed.
    pub show: Option<String>,
    /// Its seats.
    pub seat_count: u32,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// A booking of a show that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnBooking {
    /// The booking.
    pub booking_id: BookingId,
    /// The title of its show, if that is still listed.
    pub show: Option<String>,
    /// Its tickets that are not void.
    pub ticket_count: u32,
}

/// The reader's holds and bookings, each with a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Banner {
    /// Holds that can still be paid.
    pub holds: Vec<OpenHold>,
    /// Bookings.
    pub bookings: Vec<OwnBooking>,
    /// The present.
    pub now: Timestamp,
}

impl Banner {
    /// An empty banner.
    pub fn none(now: Timestamp) -> Self {
        Self {
            holds: Vec::new(),
            bookings: Vec::new(),
            now,
        }
    }
}

/// `page` with `banner`.
pub fn with_banner(page: &str, banner: &Banner) -> String {
    if banner.holds.is_empty() && banner.bookings.is_empty() {
        return without_banner(page);
    }
    let text = render("shop/banner.html", banner);
    page.replacen(SLOT, &text, 1)
}

/// `page` for readers who have nothing.
pub fn without_banner(page: &str) -> String {
    page.replacen(SLOT, "", 1)
}

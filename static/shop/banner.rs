//! The banner of every page that leads back to what its reader holds or has bought.

use contract::{BookingId, HoldId, Timestamp};
use serde::Serialize;

use crate::engine::render;

/// Where the banner goes in a page. Whatever pages print is escaped, so nobody can write this.
const SLOT: &str = "<!--banner-->";

/// A hold whose time is not over.
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
    /// Its tickets that were not given back.
    pub ticket_count: u32,
}

/// What the reader of a page holds and has bought, each with a link of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Banner {
    /// What can still be paid.
    pub holds: Vec<OpenHold>,
    /// What was bought.
    pub bookings: Vec<OwnBooking>,
    /// The present.
    pub now: Timestamp,
}

impl Banner {
    /// Nothing at `now`.
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
    let text = if banner.holds.is_empty() && banner.bookings.is_empty() {
        String::new()
    } else {
        render("shop/banner.html", banner)
    };
    page.replacen(SLOT, &text, 1)
}

//! The banner of every page that leads back to open holds.

use contract::{HoldId, Timestamp};
use serde::Serialize;

use crate::engine::render;

/// Where the banner goes in a page. Whatever pages print is escaped, so nobody can write this.
const SLOT: &str = "<!--hold-->";

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

/// What the reader of a page holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenHolds {
    /// Each with a link of its own.
    pub holds: Vec<OpenHold>,
    /// The present.
    pub now: Timestamp,
}

impl OpenHolds {
    /// Nothing is held at `now`.
    pub fn none(now: Timestamp) -> Self {
        Self {
            holds: Vec::new(),
            now,
        }
    }
}

/// `page` with a link for each of `open`.
pub fn with_holds(page: &str, open: &OpenHolds) -> String {
    let banner = match open.holds.as_slice() {
        [] => String::new(),
        _ => render("shop/open_hold.html", open),
    };
    page.replacen(SLOT, &banner, 1)
}

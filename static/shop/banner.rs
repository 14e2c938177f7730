//! The banner of every page that leads back to an open hold.

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
    /// When it expires.
    pub expires_at: Timestamp,
    /// The present.
    pub now: Timestamp,
}

/// `page` with the banner of `hold`, if there is one.
pub fn with_hold(page: &str, hold: Option<&OpenHold>) -> String {
    let banner = hold.map_or_else(String::new, |hold| render("shop/open_hold.html", hold));
    page.replacen(SLOT, &banner, 1)
}

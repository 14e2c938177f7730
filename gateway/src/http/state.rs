//! What the handlers work with.

use std::sync::Arc;

use line::rooms::RoomSet;

use super::cookies::CookieForm;
use super::shells::Shells;
use crate::edge::rate_limit::RateLimits;

/// What the handlers work with.
#[derive(Clone)]
pub struct LineState {
    /// The rooms.
    pub rooms: RoomSet,
    /// How cookies are written.
    pub cookies: CookieForm,
    /// Limits on calls.
    pub limits: RateLimits,
    /// Live connections of one place on this gateway; further ones are refused.
    pub connections_per_place_max: usize,
    /// The policy that pages are sent with.
    pub page_policy: Arc<str>,
    /// Waiting pages at hand.
    pub shells: Shells,
}

//! The state of the handlers.

use std::sync::Arc;

use line::rooms::RoomSet;

use super::cookies::CookieForm;
use super::shells::Shells;
use super::turn_teller::TurnTeller;
use crate::edge::rate_limit::RateLimits;
use crate::sealer::Sealer;

/// The state of the handlers.
#[derive(Clone)]
pub struct LineState {
    /// The rooms.
    pub rooms: RoomSet,
    /// How cookies are written.
    pub cookies: CookieForm,
    /// Rate limits.
    pub limits: RateLimits,
    /// Live connections per place on this gateway; further ones are refused.
    pub connections_per_place_max: usize,
    /// The Content-Security-Policy of pages.
    pub page_policy: Arc<str>,
    /// Tells fans when they are called.
    pub turns: Arc<dyn TurnTeller>,
    /// Opens the secrets of rooms.
    pub sealer: Sealer,
    /// Rendered waiting pages.
    pub shells: Shells,
}

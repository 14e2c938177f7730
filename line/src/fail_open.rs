//! What a room lets through while its line cannot be used, if it is set to.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use contract::line::Phase;
use contract::pass::PassClaims;
use contract::{PlaceId, Timestamp};

use crate::passes::{Admission, Minted, mint};
use crate::policy::fail_mode::{FailTerms, Outage};
use crate::policy::passes_by::PassesBy;
use crate::room::Room;

impl Room {
    /// Notes that the store or the log did not do what it was asked.
    pub fn line_failed(&self, now: Timestamp) {
        let before = self.fails_open_since(now);
        self.outage().failed(now);
        if before.is_none() && self.fails_open_since(now).is_some() {
            tracing::warn!(room = %self.id, "the line fails, and visitors are let through without it");
        }
    }

    /// Since when visitors are let through because the line fails, if they are at `now`. Never in a
    /// room that lets nobody in: before the opening, paused, closed or sold out.
    pub fn fails_open_since(&self, now: Timestamp) -> Option<Timestamp> {
        let terms = FailTerms::of(&self.record().settings)?;
        let stock = self.parts.stock.stock(&self.id);
        let is_sold_out = stock.is_some_and(|stock| stock.remaining == 0);
        if self.phase() != Phase::Queueing || is_sold_out {
            return None;
        }
        self.outage().open_since(&terms, now)
    }

    /// A pass for a visitor who is let through because the line fails; `None` when they are not.
    pub fn let_through(&self, now: Timestamp) -> Option<(PlaceId, Minted)> {
        self.fails_open_since(now)?;
        let record = self.record();
        let terms = FailTerms::of(&record.settings)?;
        if !self.outage().take(&terms, now) {
            return None;
        }
        let place = PlaceId::from_bytes(self.parts.randomness.bytes());
        let duration = Duration::from_secs(record.settings.session_duration_seconds);
        let admission = Admission {
            place,
            seq: 0,
            from: now,
            until: now.plus(duration),
        };
        let pass = mint(&self.parts, &self.id, admission, now).ok()?;
        self.unmetered.pass(PassesBy::FailOpen, now);
        Some((place, pass))
    }

    /// Whether a pass without an admission was given in the present outage, which it is good for.
    pub fn is_of_outage(&self, pass: &PassClaims, now: Timestamp) -> bool {
        let given_at = Timestamp::from_ms(pass.iat.saturating_mul(1000));
        let since = || self.fails_open_since(now);
        // Passes count whole seconds, and another gateway may have met the outage earlier.
        pass.queue_position == 0
            && since().is_some_and(|since| given_at.plus(GATEWAYS_APART_MAX) >= since)
    }

    /// The outage has no state that a panic could leave half changed.
    fn outage(&self) -> MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far apart gateways may meet the first failure of one outage.
const GATEWAYS_APART_MAX: Duration = Duration::from_secs(10);

//! Places that were called or left, in the model.

use std::collections::HashMap;

use contract::{PlaceId, Timestamp};

use crate::policy::order::OrderKey;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Called(OrderKey),
    Left {
        /// Whether it had a live key.
        live: bool,
    },
}

/// Those of the generation at hand, and of the one before it.
#[derive(Clone, Default)]
pub(super) struct Served {
    present: HashMap<PlaceId, Done>,
    before: HashMap<PlaceId, Done>,
    /// When the generation began.
    began_at: Option<Timestamp>,
}

impl Served {
    pub(super) fn get(&self, place: &PlaceId) -> Option<Done> {
        let found = self.present.get(place).or_else(|| self.before.get(place));
        found.copied()
    }

    pub(super) fn contains(&self, place: &PlaceId) -> bool {
        self.get(place).is_some()
    }

    pub(super) fn insert(&mut self, place: PlaceId, done: Done) {
        self.present.insert(place, done);
    }

    pub(super) fn remove(&mut self, place: &PlaceId) {
        self.present.remove(place);
        self.before.remove(place);
    }

    /// Begins a new generation if this one has lasted for `now - before`, and forgets the one
    /// before it.
    pub(super) fn age(&mut self, now: Timestamp, before: Timestamp) {
        let began_at = *self.began_at.get_or_insert(now);
        if began_at <= before {
            self.before = std::mem::take(&mut self.present);
            self.began_at = Some(now);
        }
    }
}

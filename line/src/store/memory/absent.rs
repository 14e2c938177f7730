//! Absent places in the model.

use std::collections::BTreeMap;

use contract::{PlaceId, Timestamp};

use crate::store::EXPIRE_BATCH_MAX;

/// Waiting places without a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Absent(BTreeMap<PlaceId, LastSeen>);

#[derive(Clone, Copy, Debug)]
struct LastSeen {
    at: Timestamp,
    /// Whether that was when the place was given a live key.
    is_unseen: bool,
}

impl Absent {
    /// Marks `place` as last seen at `at`.
    pub(super) fn insert(&mut self, place: PlaceId, at: Timestamp) {
        let is_unseen = false;
        self.0.insert(place, LastSeen { at, is_unseen });
    }

    /// Marks `place`, which was given a live key at `at`.
    pub(super) fn insert_unseen(&mut self, place: PlaceId, at: Timestamp) {
        let is_unseen = true;
        self.0.insert(place, LastSeen { at, is_unseen });
    }

    /// Marks `place` as last seen at `at`, unless it is absent already. Whether it was marked.
    pub(super) fn insert_new(&mut self, place: PlaceId, at: Timestamp) -> bool {
        let is_new = !self.0.contains_key(&place);
        if is_new {
            self.insert(place, at);
        }
        is_new
    }

    /// Notes a visit without a connection; where there is one, it stands for the presence.
    pub(super) fn seen(&mut self, place: PlaceId, now: Timestamp) {
        if self.0.contains_key(&place) {
            self.insert(place, now);
        }
    }

    pub(super) fn remove(&mut self, place: &PlaceId) {
        self.0.remove(place);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes those out that were last seen at `before` or earlier, the earliest first, and whether
    /// they were never seen.
    pub(super) fn take_overdue(&mut self, before: Timestamp) -> Vec<(PlaceId, bool)> {
        let mut due: Vec<_> = self
            .0
            .iter()
            .filter(|(_, seen)| seen.at <= before)
            .map(|(place, seen)| (seen.at, !seen.is_unseen, *place))
            .collect();
        due.sort_unstable();
        due.truncate(EXPIRE_BATCH_MAX);
        due.into_iter()
            .map(|(_, was_seen, place)| {
                self.0.remove(&place);
                (place, !was_seen)
            })
            .collect()
    }
}

//! Absent places in the model, and how they are dropped.

use std::collections::BTreeMap;

use contract::{PlaceId, Timestamp};

use super::room::{Done, Room};
use crate::store::{EXPIRE_BATCH_MAX, Notice, Opening};

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
    fn take_overdue(&mut self, before: Timestamp) -> Vec<(PlaceId, bool)> {
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

impl Room {
    /// Drops places that were last seen at `before` or earlier. `is_whole` unless visits may have
    /// been lost.
    pub(super) fn drop_absent(&mut self, before: Timestamp, is_whole: bool) {
        let dropped = self.absent.take_overdue(before);
        for (place, is_unseen) in &dropped {
            let is_live = self.key_of.get(place).map(|key| key.is_live());
            if is_live == Some(true) && *is_unseen && is_whole {
                self.done.insert(*place, Done::Left { live: true });
            } else if is_live == Some(false) && self.drawn_at.is_some() {
                self.drawn.insert(*place);
            }
            self.remove(*place);
        }
        if !dropped.is_empty() {
            let places = dropped.iter().map(|(place, _)| *place).collect();
            self.tell(Notice::Look { places });
        }
    }

    /// Opens the room, unless places have to be dropped first, as the server `own`. Whether it is
    /// open.
    pub(super) fn open(&mut self, own: u64, opening: Opening) -> bool {
        if self.is_open {
            return true;
        }
        if let Some(within) = opening.present_within {
            let seen_since = opening.now.minus(within);
            let dropped = self.absent.take_overdue(seen_since);
            for (place, _) in &dropped {
                self.remove(*place);
            }
            if !dropped.is_empty() {
                let places = dropped.into_iter().map(|(place, _)| place).collect();
                self.tell(Notice::Look { places });
                return false;
            }
            let is_whole = self.born_at <= seen_since && self.live_keys.is_whole(own, seen_since);
            self.drawn_at = is_whole.then_some(opening.now);
        }
        self.is_open = true;
        true
    }
}

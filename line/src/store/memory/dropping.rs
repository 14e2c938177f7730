//! What the model drops as absent, at the opening too, and what it forgets.

use std::time::Duration;

use contract::Timestamp;

use super::done::Done;
use super::room::Room;
use crate::store::{Notice, Opening};

impl Room {
    /// Forgets what is older than `remembered`.
    pub(super) fn age(&mut self, now: Timestamp, remembered: Duration) {
        let before = now.minus(remembered);
        self.done.age(now, before);
        if self.drawn_at.is_some_and(|at| at <= before) {
            self.drawn_at = None;
            self.drawn.clear();
        }
    }

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

//! When the seats in memory are compared with all of a show's in the database.
//!
//! What others change is told seat by seat, so that comparing finds nothing in the ordinary case. It
//! is for what nobody thought of: a show whose seats changed is compared now and then.

use std::collections::BTreeSet;
use std::mem;
use std::time::Duration;

use tokio::time::Instant;

/// How often shows are compared whose seats change all the time.
const COMPARED_EVERY: Duration = Duration::from_secs(20);

/// The shows to compare, by number.
#[derive(Debug)]
pub(super) struct Comparisons {
    /// At the next look.
    wanted: BTreeSet<i32>,
    /// Shows whose seats changed since the last look at those.
    changed: BTreeSet<i32>,
    last: Instant,
}

impl Default for Comparisons {
    fn default() -> Self {
        Self {
            wanted: BTreeSet::new(),
            changed: BTreeSet::new(),
            last: Instant::now(),
        }
    }
}

impl Comparisons {
    /// Compares a show at the next look.
    pub(super) fn want(&mut self, show_no: i32) {
        self.wanted.insert(show_no);
    }

    /// Compares shows at the next look that could not be compared at this one.
    pub(super) fn want_all(&mut self, mut show_nos: BTreeSet<i32>) {
        self.wanted.append(&mut show_nos);
    }

    /// Notes that seats of a show were read alone.
    pub(super) fn note(&mut self, show_no: i32) {
        self.changed.insert(show_no);
    }

    /// The shows to compare at this look, which are forgotten.
    pub(super) fn take_due(&mut self, now: Instant) -> BTreeSet<i32> {
        let mut due = mem::take(&mut self.wanted);
        if now.duration_since(self.last) >= COMPARED_EVERY {
            self.last = now;
            due.append(&mut self.changed);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_show_that_changes_all_the_time_is_compared_now_and_then() {
        let mut comparisons = Comparisons::default();
        let began = Instant::now();
        let mut compared = 0;
        for second in 1..=60 {
            comparisons.note(7);
            compared += comparisons
                .take_due(began + Duration::from_secs(second))
                .len();
        }
        assert_eq!(compared, 3);
    }

    #[test]
    fn a_show_that_was_just_loaded_is_compared_once_at_the_next_look() {
        let mut comparisons = Comparisons::default();
        comparisons.want(3);
        let now = Instant::now();
        assert_eq!(comparisons.take_due(now), BTreeSet::from([3]));
        assert_eq!(comparisons.take_due(now), BTreeSet::new());
    }

    #[test]
    fn a_show_at_rest_is_not_compared_again() {
        let mut comparisons = Comparisons::default();
        comparisons.note(7);
        let later = Instant::now() + COMPARED_EVERY;
        assert_eq!(comparisons.take_due(later), BTreeSet::from([7]));
        assert_eq!(
            comparisons.take_due(later + COMPARED_EVERY),
            BTreeSet::new()
        );
    }
}

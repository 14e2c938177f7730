//! The times at which holds of this process end.
//!
//! The clock decides what is due; tokio's timer only decides when to read the clock. Only times are
//! kept, not holds: at each time every due hold in the database is expired. A superfluous time
//! costs one query; a missing one (after a crash, or beyond the limit) delays the expiry until the
//! next sweep.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::{Clock, Timestamp};
use tokio::sync::Notify;

use crate::config::{CLOCK_LOOK_EVERY, EXPIRY_GRAIN, EXPIRY_TIMES_MAX};

/// The times to expire holds, soonest first.
#[derive(Debug, Default)]
pub(crate) struct ExpiryTimes {
    times: Mutex<BTreeSet<Timestamp>>,
    /// Notified when a time is added that is sooner than all others.
    sooner: Notify,
}

impl ExpiryTimes {
    /// Adds a time for holds that end at `expires_at`.
    pub(crate) fn remember(&self, expires_at: Timestamp) {
        let time = next_grain(expires_at);
        let mut times = self.times();
        if times.len() >= EXPIRY_TIMES_MAX {
            return;
        }
        let soonest = times.first().is_none_or(|first| time < *first);
        times.insert(time);
        if soonest {
            self.sooner.notify_one();
        }
    }

    /// Removes all times up to `now`. True if there was one.
    pub(crate) fn take_due(&self, now: Timestamp) -> bool {
        let mut times = self.times();
        let later = times.split_off(&now.plus(Duration::from_millis(1)));
        let due = std::mem::replace(&mut *times, later);
        !due.is_empty()
    }

    /// Returns when a time is due by `clock`. Only one task may wait.
    pub(crate) async fn due(&self, clock: &dyn Clock) {
        loop {
            match self.next_look(clock.now()) {
                NextLook::Now => return,
                NextLook::WhenTold => self.sooner.notified().await,
                NextLook::In(span) => {
                    // After the timeout and after a notification alike, the clock is read again.
                    let _ = tokio::time::timeout(span, self.sooner.notified()).await;
                }
            }
        }
    }

    fn next_look(&self, now: Timestamp) -> NextLook {
        match self.times().first() {
            None => NextLook::WhenTold,
            Some(next) if *next <= now => NextLook::Now,
            Some(next) => NextLook::In(next.since(now).min(CLOCK_LOOK_EVERY)),
        }
    }

    fn times(&self) -> MutexGuard<'_, BTreeSet<Timestamp>> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When to read the clock next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextLook {
    Now,
    In(Duration),
    /// No times are known, so wait for a notification.
    WhenTold,
}

/// The first multiple of [`EXPIRY_GRAIN`] at or after `at`.
fn next_grain(at: Timestamp) -> Timestamp {
    let grain = i64::try_from(EXPIRY_GRAIN.as_millis()).unwrap_or(1).max(1);
    let into_grain = at.as_ms().rem_euclid(grain);
    let missing = (grain - into_grain) % grain;
    at.plus(Duration::from_millis(u64::try_from(missing).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_ms(1_790_000_000_001);

    fn after(ms: u64) -> Timestamp {
        START.plus(Duration::from_millis(ms))
    }

    /// Reads the clock whenever it is due, and returns the waits until a time was due.
    fn wait(times: &ExpiryTimes, now: &mut Timestamp) -> Vec<Duration> {
        let mut looks = Vec::new();
        while let NextLook::In(span) = times.next_look(*now) {
            looks.push(span);
            *now = now.plus(span);
        }
        looks
    }

    #[test]
    fn each_time_is_due_within_a_grain_and_never_before() {
        let times = ExpiryTimes::default();
        assert_eq!(times.next_look(START), NextLook::WhenTold);
        let mut ends = [300_007, 1_234, 61, 900_000, 1_900].map(after);
        for end in ends {
            times.remember(end);
        }
        ends.sort_unstable();
        let mut now = START;
        for end in ends {
            assert!(!times.take_due(now));
            let looks = wait(&times, &mut now);
            assert!(looks.iter().all(|span| *span <= CLOCK_LOOK_EVERY));
            assert!(now >= end && now.since(end) < EXPIRY_GRAIN, "{end}, {now}");
            assert!(times.take_due(now));
        }
        assert_eq!(times.next_look(now), NextLook::WhenTold);
    }

    #[test]
    fn a_clock_that_was_set_is_noticed_at_the_next_look() {
        let times = ExpiryTimes::default();
        times.remember(after(600_000));
        assert_eq!(times.next_look(START), NextLook::In(CLOCK_LOOK_EVERY));
        assert_eq!(times.next_look(after(600_020)), NextLook::Now);
        // After the clock is set back, times that are no longer due are kept.
        assert!(!times.take_due(START));
        assert!(times.take_due(after(600_020)));
    }

    #[tokio::test]
    async fn whoever_waits_is_told_of_a_first_and_of_a_sooner_time() {
        let times = ExpiryTimes::default();
        for end in [after(600_000), after(500)] {
            times.remember(end);
            times.sooner.notified().await;
        }
        times.remember(after(700_000));
        let told = tokio::time::timeout(Duration::ZERO, times.sooner.notified()).await;
        assert!(told.is_err(), "a later time changes nothing");
    }

    #[test]
    fn there_is_a_limit_and_holds_that_end_together_count_once() {
        let times = ExpiryTimes::default();
        for _ in 0..10 {
            times.remember(START);
        }
        assert_eq!(times.times().len(), 1);
        for grain in 0..u32::try_from(EXPIRY_TIMES_MAX).unwrap() + 10 {
            times.remember(START.plus(EXPIRY_GRAIN * grain));
        }
        assert_eq!(times.times().len(), EXPIRY_TIMES_MAX);
        assert!(times.take_due(START.plus(EXPIRY_GRAIN * 2)));
        assert_eq!(times.times().len(), EXPIRY_TIMES_MAX - 2);
    }
}

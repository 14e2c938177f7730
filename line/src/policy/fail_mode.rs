//! Fail-open: who is let through while the line cannot be used. Off unless a room asks for it.
//!
//! A gateway counts its own failures: those of the store and of the log as its tasks meet them. An
//! outage begins with the first and is over when none was met for [`OVER_AFTER`], so that a line
//! that comes and goes is one outage and has one span of time to be open in.

use std::time::Duration;

use contract::Timestamp;
use contract::room::{FailMode, RoomSettings};

use super::standby::Meter;

/// How long no failure has to be met until an outage is over. Longer than a call of the store or
/// the log takes to fail.
const OVER_AFTER: Duration = Duration::from_secs(10);

/// What a room's settings say of outages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailTerms {
    /// How long an outage lasts before anyone is let through.
    pub after: Duration,
    /// How long visitors are let through then, at most.
    pub max: Duration,
    /// How many a minute are let through by one gateway.
    pub rate_per_minute: u64,
}

impl FailTerms {
    /// Those of `settings`; `None` for a room that stays closed.
    pub fn of(settings: &RoomSettings) -> Option<Self> {
        (settings.fail_mode == FailMode::Open).then(|| Self {
            after: Duration::from_secs(settings.fail_open_after_seconds),
            max: Duration::from_secs(settings.fail_open_max_seconds),
            rate_per_minute: settings.fail_open_rate_per_minute,
        })
    }
}

/// The outage of one room's line, as one gateway sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outage {
    /// First and last failure.
    failures: Option<(Timestamp, Timestamp)>,
    meter: Meter,
}

impl Outage {
    /// Notes a failure.
    pub fn failed(&mut self, now: Timestamp) {
        let since = self.since(now).unwrap_or(now);
        if since == now {
            self.meter = Meter::default();
        }
        self.failures = Some((since, now));
    }

    /// Since when the outage lasts that goes on at `now`.
    fn since(&self, now: Timestamp) -> Option<Timestamp> {
        let (since, last) = self.failures?;
        // A clock that was set back ends it too.
        (last <= now && now.since(last) < OVER_AFTER).then_some(since)
    }

    /// Since when visitors are let through, if they are at `now`.
    pub fn open_since(&self, terms: &FailTerms, now: Timestamp) -> Option<Timestamp> {
        let opened_at = self.since(now)?.plus(terms.after);
        let is_open = opened_at <= now && now.since(opened_at) < terms.max;
        is_open.then_some(opened_at)
    }

    /// Whether one more visitor is let through at `now`.
    pub fn take(&mut self, terms: &FailTerms, now: Timestamp) -> bool {
        if self.open_since(terms, now).is_none() {
            return false;
        }
        self.meter = self.meter.filled(terms.rate_per_minute, now);
        let may = self.meter.calls() > 0;
        if may {
            self.meter = self.meter.drawn(1, terms.rate_per_minute);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: FailTerms = FailTerms {
        after: Duration::from_secs(30),
        max: Duration::from_mins(5),
        rate_per_minute: 60,
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_ms(1_790_000_000_000).plus(Duration::from_secs(seconds))
    }

    /// An outage that has lasted from 0 to `seconds`.
    fn lasting(seconds: u64) -> Outage {
        let mut outage = Outage::default();
        for second in 0..=seconds {
            outage.failed(at(second));
        }
        outage
    }

    #[test]
    fn a_line_that_fails_for_long_enough_is_open_for_a_time() {
        for (seconds, is_open) in [
            (29, false),
            (30, true),
            (329, true),
            (330, false),
            (900, false),
        ] {
            let mut outage = lasting(seconds);
            assert_eq!(
                outage.take(&TERMS, at(seconds)),
                is_open,
                "after {seconds} s"
            );
        }
        assert_eq!(lasting(40).open_since(&TERMS, at(40)), Some(at(30)));
    }

    #[test]
    fn an_outage_ends_when_nothing_fails_any_more() {
        let mut outage = lasting(40);
        assert!(outage.take(&TERMS, at(49)));
        assert!(!outage.take(&TERMS, at(50)));
        outage.failed(at(60));
        assert!(!outage.take(&TERMS, at(61)), "a new one");
        // A line that comes and goes is one outage.
        let mut outage = Outage::default();
        for second in (0..=36).step_by(9) {
            outage.failed(at(second));
        }
        assert!(outage.take(&TERMS, at(36)));
    }

    #[test]
    fn no_more_are_let_through_than_the_rate_says() {
        let mut outage = lasting(30);
        let taken = (0..100).filter(|_| outage.take(&TERMS, at(30))).count();
        assert_eq!(taken, 3);
        for second in 31..=60 {
            outage.failed(at(second));
            let taken = (0..100).filter(|_| outage.take(&TERMS, at(second))).count();
            assert_eq!(taken, 1);
        }
    }

    #[test]
    fn a_room_is_closed_unless_it_says_otherwise() {
        let mut settings: RoomSettings = serde_json::from_str(r#"{"room": "eras"}"#).unwrap();
        assert_eq!(FailTerms::of(&settings), None);
        settings.fail_mode = FailMode::Open;
        assert!(FailTerms::of(&settings).is_some());
    }
}

//! When an address that fails is left out, and for how long; how much may be sent twice. Pure.

use std::time::Duration;

use contract::Timestamp;

/// When one of several addresses is left out, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct EjectionConfig {
    /// Requests that have to fail in a row, each of another visitor: nobody alone has an address left
    /// out.
    pub failures: u32,
    /// How long the address is left out the first time; twice as long each time after that, if it
    /// fails again when it comes back.
    pub span: Duration,
    /// The longest that it is left out.
    pub span_max: Duration,
}

/// How requests at one address have fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ejection {
    /// Failures in a row that count.
    failed_in_a_row: u32,
    /// Visitors of the last of them.
    visitors: [Option<u64>; VISITORS_KNOWN],
    /// Times that it was left out without having been well for a while between them.
    times: u32,
    /// Until when it is left out, or was the last time.
    until: Option<Timestamp>,
}

/// Visitors that are remembered.
const VISITORS_KNOWN: usize = 4;
/// Doublings after which the span is its longest in any case.
const DOUBLINGS_MAX: u32 = 16;

impl Default for EjectionConfig {
    fn default() -> Self {
        Self {
            failures: 3,
            span: Duration::from_secs(2),
            span_max: Duration::from_mins(1),
        }
    }
}

impl EjectionConfig {
    fn span(&self, times: u32) -> Duration {
        let doubled = self.span.saturating_mul(1 << times.min(DOUBLINGS_MAX));
        doubled.min(self.span_max)
    }
}

impl Ejection {
    /// Takes in that a request of `visitor` failed at `now`; `None` for a failure that no visitor can
    /// bring about. Until when the address is left out from now on, if it was not already.
    pub(super) fn failed(
        &mut self,
        config: &EjectionConfig,
        visitor: Option<u64>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        // A time further away than the longest span is of a clock that was set back.
        let latest = now.plus(config.span_max);
        if self
            .until
            .is_some_and(|until| now < until && until <= latest)
        {
            return None;
        }
        if visitor.is_some() {
            if self.visitors.contains(&visitor) {
                return None;
            }
            self.visitors.rotate_right(1);
            self.visitors[0] = visitor;
        }
        self.failed_in_a_row += 1;
        if self.failed_in_a_row < config.failures {
            return None;
        }
        let until = now.plus(config.span(self.times));
        self.until = Some(until);
        self.times = self.times.saturating_add(1);
        // When it comes back, one more failure is enough.
        self.failed_in_a_row = config.failures.saturating_sub(1);
        self.visitors = [None; VISITORS_KNOWN];
        Some(until)
    }

    /// Takes in that a request was answered at `now`. An address that has been in use for as long as
    /// it was left out is as good as one that never was.
    pub(super) fn answered(&mut self, config: &EjectionConfig, now: Timestamp) {
        self.failed_in_a_row = 0;
        self.visitors = [None; VISITORS_KNOWN];
        if let Some(until) = self.until
            && now >= until.plus(config.span(self.times.saturating_sub(1)))
        {
            *self = Self::default();
        }
    }

    /// Takes in that the address answered at `now` although it was left out, because all were: it is
    /// left out no longer.
    pub(super) fn is_back(&mut self, now: Timestamp) {
        self.until = self.until.map(|until| until.min(now));
    }

    /// Whether nothing has to be taken in when a request is answered.
    pub(super) fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: EjectionConfig = EjectionConfig {
        failures: 3,
        span: Duration::from_secs(2),
        span_max: Duration::from_secs(10),
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_ms(1_790_000_000_000).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn failures_in_a_row_leave_an_address_out_for_longer_each_time_and_never_for_ever() {
        let mut ejection = Ejection::default();
        assert_eq!(ejection.failed(&CONFIG, None, at(0)), None);
        assert_eq!(ejection.failed(&CONFIG, None, at(0)), None);
        ejection.answered(&CONFIG, at(0));
        for _ in 0..2 {
            assert_eq!(ejection.failed(&CONFIG, None, at(1)), None, "not in a row");
        }
        assert_eq!(ejection.failed(&CONFIG, None, at(1)), Some(at(3)));
        assert_eq!(
            ejection.failed(&CONFIG, None, at(2)),
            None,
            "it is out already"
        );
        let mut now = 3;
        for span in [4, 8, 10, 10] {
            let until = ejection.failed(&CONFIG, None, at(now));
            assert_eq!(until, Some(at(now + span)), "once is enough");
            now += span;
        }
    }

    #[test]
    fn nobody_alone_has_an_address_left_out() {
        let mut ejection = Ejection::default();
        for _ in 0..100 {
            assert_eq!(ejection.failed(&CONFIG, Some(1), at(0)), None);
            assert_eq!(ejection.failed(&CONFIG, Some(2), at(0)), None);
        }
        assert_eq!(ejection.failed(&CONFIG, Some(3), at(0)), Some(at(2)));
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_an_address_out_for_its_span_only() {
        let mut ejection = Ejection::default();
        for _ in 0..3 {
            ejection.failed(&CONFIG, None, at(3600));
        }
        assert_eq!(ejection.failed(&CONFIG, None, at(0)), Some(at(4)));
    }

    #[test]
    fn an_address_that_answers_though_it_was_left_out_is_back_and_on_probation() {
        let mut ejection = Ejection::default();
        for _ in 0..3 {
            ejection.failed(&CONFIG, None, at(0));
        }
        ejection.is_back(at(1));
        assert_eq!(
            ejection.failed(&CONFIG, None, at(1)),
            Some(at(5)),
            "once is enough"
        );
    }

    #[test]
    fn an_address_that_has_been_well_for_a_while_begins_anew() {
        let mut ejection = Ejection::default();
        for _ in 0..3 {
            ejection.failed(&CONFIG, None, at(0));
        }
        ejection.answered(&CONFIG, at(3));
        assert!(!ejection.is_clean());
        ejection.answered(&CONFIG, at(4));
        assert!(ejection.is_clean());
    }
}

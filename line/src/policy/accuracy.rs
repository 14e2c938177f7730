//! How good the wait estimates of a room were: what those who joined were told, against how long
//! they waited.

use std::collections::VecDeque;
use std::time::Duration;

use contract::Timestamp;
use contract::line::{EstimateAccuracy, WaitEstimate};

/// Time between two estimates that are kept.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// Estimates that are kept: half a day.
const KEPT_MAX: usize = 8_640;
/// Waits that accuracy is taken from: the last.
const WAITS_MAX: usize = 1_000;
/// Below this many waits nothing is claimed.
const WAITS_MIN: usize = 20;
/// Waits that say nothing: those shorter than estimates are exact.
const WAIT_MIN: Duration = Duration::from_secs(10);

/// How an estimate turned out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The difference from the median estimate, as a share of the wait.
    pub error: f64,
    /// Whether the wait was not longer than the pessimistic estimate.
    pub is_within: bool,
}

/// The estimates of a room, and how those that came due turned out.
#[derive(Debug, Default)]
pub struct Forecasts {
    /// What the last one in line was told, and when.
    told: VecDeque<(Timestamp, WaitEstimate)>,
    outcomes: VecDeque<Outcome>,
}

impl Forecasts {
    /// Notes what the last one in line is told at `at`.
    pub fn note(&mut self, at: Timestamp, estimate: WaitEstimate) {
        let is_early = |(last, _): &(Timestamp, WaitEstimate)| at < last.plus(KEEP_EVERY);
        if self.told.back().is_some_and(is_early) {
            return;
        }
        self.told.push_back((at, estimate));
        if self.told.len() > KEPT_MAX {
            self.told.pop_front();
        }
    }

    /// Someone who joined at `joined_at` was called after `wait`. `None` when that says nothing, or
    /// when it is not known what they were told.
    pub fn settle(&mut self, joined_at: Timestamp, wait: Duration) -> Option<Outcome> {
        if wait < WAIT_MIN {
            return None;
        }
        let next = self.told.partition_point(|(at, _)| *at <= joined_at);
        let (told_at, told) = self.told.get(next.checked_sub(1)?)?;
        if joined_at.since(*told_at) > KEEP_EVERY * 2 {
            return None;
        }
        let seconds = wait.as_secs_f64();
        let outcome = Outcome {
            error: (f64::from(told.p50_seconds) - seconds).abs() / seconds,
            is_within: seconds <= f64::from(told.p90_seconds),
        };
        self.outcomes.push_back(outcome);
        if self.outcomes.len() > WAITS_MAX {
            self.outcomes.pop_front();
        }
        Some(outcome)
    }

    /// How good the last estimates were, once enough of them came due.
    #[expect(clippy::cast_precision_loss, reason = "a thousand at most")]
    pub fn accuracy(&self) -> Option<EstimateAccuracy> {
        let count = self.outcomes.len();
        if count < WAITS_MIN {
            return None;
        }
        let mut errors: Vec<f64> = self.outcomes.iter().map(|outcome| outcome.error).collect();
        errors.sort_by(f64::total_cmp);
        let within = self.outcomes.iter().filter(|outcome| outcome.is_within);
        Some(EstimateAccuracy {
            median_error: rounded(errors[count / 2]),
            within_p90: rounded(within.count() as f64 / count as f64),
            waits: count as u64,
        })
    }
}

/// To thousandths: more digits would only make documents longer.
fn rounded(share: f64) -> f64 {
    (share * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_ms(0).plus(Duration::from_secs(seconds))
    }

    fn told(p50_seconds: u32, p90_seconds: u32) -> WaitEstimate {
        WaitEstimate {
            p50_seconds,
            p90_seconds,
        }
    }

    #[test]
    fn a_wait_is_compared_with_what_was_told_when_it_began() {
        let mut forecasts = Forecasts::default();
        forecasts.note(at(0), told(100, 120));
        forecasts.note(at(2), told(1, 1));
        forecasts.note(at(10), told(200, 220));
        let settle = |forecasts: &mut Forecasts, joined, wait| {
            forecasts.settle(at(joined), Duration::from_secs(wait))
        };
        let first = settle(&mut forecasts, 9, 125).unwrap();
        assert_eq!((first.error, first.is_within), (0.2, false));
        let second = settle(&mut forecasts, 10, 160).unwrap();
        assert_eq!((second.error, second.is_within), (0.25, true));
        assert_eq!(settle(&mut forecasts, 10, 9), None, "too short");
        assert_eq!(settle(&mut forecasts, 21, 90), None, "told too long ago");
    }

    #[test]
    fn accuracy_is_claimed_once_enough_was_seen() {
        let mut forecasts = Forecasts::default();
        forecasts.note(at(0), told(100, 110));
        for wait in 91..110 {
            forecasts.settle(at(1), Duration::from_secs(wait));
            assert_eq!(forecasts.accuracy(), None);
        }
        forecasts.settle(at(1), Duration::from_secs(200));
        let accuracy = forecasts.accuracy().unwrap();
        assert_eq!((accuracy.waits, accuracy.within_p90), (20, 0.95));
        assert!((0.04..0.06).contains(&accuracy.median_error));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut forecasts = Forecasts::default();
        for second in 0..100_000 {
            forecasts.note(at(second), told(100, 110));
            forecasts.settle(at(second), Duration::from_secs(100));
        }
        assert_eq!(
            (forecasts.told.len(), forecasts.outcomes.len()),
            (KEPT_MAX, WAITS_MAX)
        );
    }
}

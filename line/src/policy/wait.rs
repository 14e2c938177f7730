//! The wait estimate, from how fast ranks have been shrinking.
//!
//! Ranks shrink by calls and by people who leave. Once a second the number of places that went
//! from the front or from within is noted. The median estimate divides the places ahead by the
//! mean pace of the last minutes; the pessimistic one by the pace of the slow stretches, so
//! that a jerky line shows a wide range and a steady one a narrow range.

use std::collections::VecDeque;
use std::time::Duration;

use contract::Timestamp;
use contract::line::WaitEstimate;

/// How far back pace is looked at.
const HISTORY: Duration = Duration::from_mins(2);
/// Stretches whose pace is compared for the pessimistic estimate.
const STRETCH: Duration = Duration::from_secs(10);
/// Below this much history nothing is claimed from observation.
const HISTORY_MIN: Duration = Duration::from_secs(3);
/// Longest wait that is shown: a day.
const WAIT_MAX_SECONDS: f64 = 86_400.0;

/// Pace of the line, in places a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Mean over the history.
    pub mean: f64,
    /// Pace that nine of ten stretches reach.
    pub slow: f64,
}

/// Remembers how far the line had moved at each snapshot.
#[derive(Clone, Debug, Default)]
pub struct PaceHistory {
    /// When, and places that had gone by then.
    samples: VecDeque<(Timestamp, u64)>,
}

impl PaceHistory {
    /// Notes that `gone` places had gone by `at`. A count that went down means a new line.
    pub fn note(&mut self, at: Timestamp, gone: u64) {
        if self.samples.back().is_some_and(|(_, last)| gone < *last) {
            self.samples.clear();
        }
        if self.samples.back().is_some_and(|(last, _)| at <= *last) {
            return;
        }
        self.samples.push_back((at, gone));
        let oldest = at.minus(HISTORY);
        while self.samples.len() > 2 && self.samples.front().is_some_and(|(t, _)| *t < oldest) {
            self.samples.pop_front();
        }
    }

    /// Forgets everything: after a pause or a change of rate the past says nothing.
    pub fn reset(&mut self) {
        self.samples.clear();
    }

    /// The observed pace, or `None` while too little was seen.
    pub fn pace(&self) -> Option<Pace> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        if last.0.since(first.0) < HISTORY_MIN {
            return None;
        }
        let mean = pace_between(*first, *last);
        let mut stretches = Vec::new();
        let mut from = *first;
        for sample in &self.samples {
            if sample.0.since(from.0) >= STRETCH {
                stretches.push(pace_between(from, *sample));
                from = *sample;
            }
        }
        stretches.sort_by(f64::total_cmp);
        let slow = stretches
            .get(stretches.len() / 10)
            .copied()
            .unwrap_or(mean * 0.75);
        Some(Pace {
            mean,
            slow: slow.min(mean),
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "places in a line are far below 2^52"
)]
fn pace_between(from: (Timestamp, u64), to: (Timestamp, u64)) -> f64 {
    let seconds = to.0.since(from.0).as_secs_f64();
    if seconds <= 0.0 {
        0.0
    } else {
        to.1.saturating_sub(from.1) as f64 / seconds
    }
}

/// What the configured rate promises, for a line that has not been observed yet.
#[expect(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
pub fn configured_pace(calls_per_minute: u64) -> Pace {
    let mean = calls_per_minute as f64 / 60.0;
    Pace {
        mean,
        slow: mean * 0.75,
    }
}

/// The wait of someone with `ahead` places before them, or `None` when the line stands still.
#[expect(
    clippy::cast_precision_loss,
    reason = "places in a line are far below 2^52"
)]
pub fn estimate(ahead: u64, pace: Pace) -> Option<WaitEstimate> {
    let to_go = (ahead + 1) as f64;
    let p50 = seconds(to_go / pace.mean)?;
    let p90 = seconds(to_go / pace.slow.max(pace.mean / 4.0))?;
    Some(WaitEstimate {
        p50_seconds: p50,
        p90_seconds: p90.max(p50),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to a day"
)]
fn seconds(value: f64) -> Option<u32> {
    value
        .is_finite()
        .then(|| value.ceil().clamp(1.0, WAIT_MAX_SECONDS) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(gone_per_second: impl Iterator<Item = u64>) -> PaceHistory {
        let mut history = PaceHistory::default();
        let mut gone = 0;
        for (second, step) in gone_per_second.enumerate() {
            gone += step;
            let at = Timestamp::from_ms(i64::try_from(second).unwrap() * 1000);
            history.note(at, gone);
        }
        history
    }

    #[test]
    fn a_steady_line_gives_a_narrow_range() {
        let pace = history(std::iter::repeat_n(10, 120)).pace().unwrap();
        assert_eq!(
            estimate(5_999, pace),
            Some(WaitEstimate {
                p50_seconds: 600,
                p90_seconds: 600
            })
        );
    }

    #[test]
    fn a_jerky_line_gives_a_wide_range() {
        let pace = history((0..120).map(|s| if s / 20 % 2 == 0 { 18 } else { 2 }))
            .pace()
            .unwrap();
        let wait = estimate(5_999, pace).unwrap();
        assert!(wait.p90_seconds > wait.p50_seconds * 2, "{wait:?}");
    }

    #[test]
    fn unknown_is_not_zero() {
        assert_eq!(history(std::iter::repeat_n(10, 2)).pace(), None);
        let still = history(std::iter::repeat_n(0, 60)).pace().unwrap();
        assert_eq!(estimate(100, still), None);
        assert_eq!(estimate(100, configured_pace(0)), None);
    }

    #[test]
    fn a_new_line_forgets_the_old_one() {
        let mut history = history(std::iter::repeat_n(10, 60));
        history.note(Timestamp::from_ms(100_000), 3);
        assert_eq!(history.pace(), None);
    }
}

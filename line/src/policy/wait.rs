//! The wait estimate, from how fast the line has been moving.
//!
//! Whoever waits is called, or leaves. Once a second the calls and the leavers so far are noted. The
//! median estimate solves for the time in which both together use up the places ahead: calls come at
//! the pace of the last minutes, and each place ahead is given up at the rate at which places were.
//! The pessimistic estimate adds what the pace varied by, so that a jerky line shows a wide range
//! and a steady one a narrow range.
//!
//! With `n` places to go, `c` calls a second and each place given up at the rate `h`, the places left
//! after `t` seconds follow `n' = -c - h·n`, which is zero at `t = ln(1 + h·n/c) / h`.
//!
//! In a room that calls in batches that time ends with the batch in which it falls. When the next
//! batch comes, and how fast they come, is taken from the last ones.

use std::collections::VecDeque;
use std::time::Duration;

use contract::Timestamp;
use contract::line::WaitEstimate;

use super::snapshot::Counts;

/// How far back the line is looked at.
const HISTORY: Duration = Duration::from_mins(2);
/// The configured rate counts as if it had been observed for this long, so that the first seconds
/// after an opening do not decide alone.
const RATE_COUNTS_AS: Duration = Duration::from_secs(10);
/// Stretches whose calls are compared.
const STRETCH: Duration = Duration::from_secs(10);
/// Without a call for this long the line stands still, if as many as this were due.
const STILL_AFTER: Duration = Duration::from_mins(1);
const STILL_CALLS_DUE: f64 = 10.0;
/// Standard deviations from the median to the ninetieth percentile of a normal distribution.
const P90_DEVIATIONS: f64 = 1.28;
/// Relative deviation of a wait that no observation would tell of.
const DEVIATION_MIN: f64 = 0.005;
/// Relative deviation when nothing was observed yet; it falls to nothing over [`HISTORY`].
const DEVIATION_UNOBSERVED: f64 = 0.4;
/// Longest wait that is shown: a day.
const WAIT_MAX_SECONDS: f64 = 86_400.0;

/// Batches that a pace is taken from, and one more.
const BATCHES_KEPT: usize = 5;
/// Batches closer together than this are no steps that a fan would notice.
const BATCHES_APART_MIN: f64 = 2.0;

/// How the line moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// In a room that calls in batches: how they come.
    steps: Option<Steps>,
    /// Calls a second.
    calls: f64,
    /// The rate at which each place in the line is given up, a second.
    leaving: f64,
    /// Variance of the calls of a stretch, in calls of a stretch: 1 when they come at random, 0 when
    /// they come evenly.
    dispersion: f64,
    /// Relative deviation of the pace itself.
    deviation: f64,
}

/// How batches come.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Steps {
    /// Seconds from one to the next.
    apart: f64,
    /// Seconds since the last one, or since the line was first seen.
    since: f64,
}

/// What had happened at a snapshot.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Timestamp,
    calls: u64,
    /// Places that were given up: everyone who ever came, less those who were called and those who
    /// still wait. Those who come back lower it.
    left: i64,
    in_line: u64,
}

/// Remembers the line at each snapshot of the last minutes.
#[derive(Clone, Debug, Default)]
pub struct PaceHistory {
    samples: VecDeque<Sample>,
    /// The last samples that found more calls than the one before: in a room that calls in batches
    /// each of them is a batch.
    rises: VecDeque<Sample>,
    /// When the line was first looked at.
    since: Option<Timestamp>,
}

impl PaceHistory {
    /// Notes the counts at `at`. Calls that became fewer mean a new line.
    pub fn note(&mut self, at: Timestamp, counts: &Counts) {
        let last = self.samples.back();
        if last.is_some_and(|last| counts.calls < last.calls) {
            self.reset();
        } else if last.is_some_and(|last| at <= last.at) {
            return;
        }
        let is_risen = self
            .samples
            .back()
            .is_some_and(|last| counts.calls > last.calls);
        self.since.get_or_insert(at);
        let signed = |count| i64::try_from(count).unwrap_or(i64::MAX);
        let sample = Sample {
            at,
            calls: counts.calls,
            left: signed(counts.joins) - signed(counts.in_line) - signed(counts.calls),
            in_line: counts.in_line,
        };
        self.samples.push_back(sample);
        if is_risen {
            self.rises.push_back(sample);
            while self.rises.len() > BATCHES_KEPT {
                self.rises.pop_front();
            }
        }
        let oldest = at.minus(HISTORY);
        while self.samples.len() > 2 && self.samples.front().is_some_and(|it| it.at < oldest) {
            self.samples.pop_front();
        }
    }

    /// Forgets everything: after a pause or a change of rate the past says nothing.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// The pace of a line for which `calls_per_minute` are configured, `call_batch` at a time, or
    /// `None` while it stands still.
    pub fn pace(&self, calls_per_minute: u64, call_batch: Option<u64>) -> Option<Pace> {
        let even = self.even_pace(calls_per_minute);
        let apart = call_batch.map_or(0.0, count) * 60.0 / count(calls_per_minute);
        if apart.is_finite() && apart >= BATCHES_APART_MIN {
            self.stepped_pace(calls_per_minute, apart).or(even)
        } else {
            even
        }
    }

    /// The pace of a line that moves in steps, which should be `apart` seconds apart. `None` when
    /// it does not move like that: batches are cut short by the cap, or stay away.
    fn stepped_pace(&self, calls_per_minute: u64, apart: f64) -> Option<Pace> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let configured = configured_pace(calls_per_minute);
        let seen_since = self.rises.back().map(|rise| rise.at).or(self.since)?;
        let since = last.at.since(seen_since).as_secs_f64();
        if since >= apart + STILL_AFTER.as_secs_f64() {
            return None;
        }
        let steps = self.rises.len().saturating_sub(1);
        let (calls, apart) = match (self.rises.front(), self.rises.back()) {
            (Some(from), Some(to)) if steps > 0 => {
                let seconds = to.at.since(from.at).as_secs_f64();
                let found = seconds / count(steps as u64);
                if found < apart / 2.0 {
                    return None;
                }
                (count(to.calls - from.calls) / seconds, found)
            }
            _ => (configured.calls, apart),
        };
        let unseen = 1.0 - count(steps as u64) / count(BATCHES_KEPT as u64 - 1);
        Some(Pace {
            steps: Some(Steps {
                apart,
                since: since.min(apart),
            }),
            calls,
            leaving: self.leaving(*first, *last),
            dispersion: 0.0,
            deviation: (DEVIATION_UNOBSERVED * unseen).hypot(DEVIATION_MIN),
        })
    }

    fn even_pace(&self, calls_per_minute: u64) -> Option<Pace> {
        let configured = configured_pace(calls_per_minute);
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return Some(configured);
        };
        let seconds = last.at.since(first.at).as_secs_f64();
        let called = count(last.calls - first.calls);
        let is_due = configured.calls * seconds >= STILL_CALLS_DUE;
        if called <= 0.0 && is_due && seconds >= STILL_AFTER.as_secs_f64() {
            return None;
        }
        let trusted = RATE_COUNTS_AS.as_secs_f64();
        let calls = (called + configured.calls * trusted) / (seconds + trusted);
        let stretches = self.stretches();
        Some(Pace {
            steps: None,
            calls,
            leaving: self.leaving(*first, *last),
            dispersion: dispersion(&stretches),
            deviation: deviation(seconds, &stretches),
        })
    }

    fn leaving(&self, first: Sample, last: Sample) -> f64 {
        let waiting: f64 = self.samples.iter().map(|it| count(it.in_line)).sum();
        let waiting = waiting / count(self.samples.len() as u64);
        let seconds = last.at.since(first.at).as_secs_f64() + RATE_COUNTS_AS.as_secs_f64();
        let left = u64::try_from(last.left - first.left).map_or(0.0, count);
        left / (waiting.max(1.0) * seconds)
    }

    /// Calls of each stretch.
    fn stretches(&self) -> Vec<f64> {
        let mut stretches = Vec::new();
        let Some(mut from) = self.samples.front() else {
            return stretches;
        };
        for sample in &self.samples {
            if sample.at.since(from.at) >= STRETCH {
                stretches.push(count(sample.calls - from.calls));
                from = sample;
            }
        }
        stretches
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn count(number: u64) -> f64 {
    number as f64
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / count(values.len() as u64).max(1.0)
}

/// Variance by mean of the calls of stretches.
fn dispersion(stretches: &[f64]) -> f64 {
    let mean = mean(stretches);
    if stretches.len() < 3 || mean <= 0.0 {
        return 0.0;
    }
    let squares: f64 = stretches.iter().map(|calls| (calls - mean).powi(2)).sum();
    squares / count(stretches.len() as u64 - 1) / mean
}

/// The relative deviation of the pace that was observed for `seconds`: how far the older half of it
/// was from the newer, and more while little was seen.
fn deviation(seconds: f64, stretches: &[f64]) -> f64 {
    let half = stretches.len() / 2;
    let (older, newer) = (
        mean(&stretches[..half]),
        mean(&stretches[stretches.len() - half..]),
    );
    let both = older + newer;
    let drift = if half >= 2 && both > 0.0 {
        (older - newer).abs() / both
    } else {
        0.0
    };
    let unseen = (1.0 - seconds / HISTORY.as_secs_f64()).max(0.0);
    let unobserved = DEVIATION_UNOBSERVED * unseen;
    (drift.powi(2) + unobserved.powi(2) + DEVIATION_MIN.powi(2)).sqrt()
}

/// What the configured rate promises, for a line that has not been observed yet.
pub fn configured_pace(calls_per_minute: u64) -> Pace {
    Pace {
        steps: None,
        calls: count(calls_per_minute) / 60.0,
        leaving: 0.0,
        dispersion: 0.0,
        deviation: DEVIATION_UNOBSERVED,
    }
}

/// The wait of someone with `ahead` places before them, or `None` when the line stands still.
pub fn estimate(ahead: u64, pace: Pace) -> Option<WaitEstimate> {
    let to_go = count(ahead) + 1.0;
    let evenly = seconds_until(to_go, pace);
    let median = pace.steps.map_or(evenly, |steps| steps.end_of(evenly));
    // The calls on the way vary, and so did those that the pace was taken from.
    let observed = pace.calls * HISTORY.as_secs_f64();
    let on_the_way = pace.dispersion / to_go + pace.dispersion / observed.max(1.0);
    let deviation = (on_the_way + pace.deviation.powi(2)).sqrt();
    let p50_seconds = shown(median)?;
    let p90_seconds = shown(median * (1.0 + P90_DEVIATIONS * deviation))?;
    Some(WaitEstimate {
        p50_seconds,
        p90_seconds: p90_seconds.max(p50_seconds),
    })
}

impl Steps {
    /// The time until the batch that calls someone whose turn would be `evenly` seconds after the
    /// last batch.
    fn end_of(self, evenly: f64) -> f64 {
        // What is a whole number of batches by a hair more is no batch more.
        let batches = (evenly / self.apart - 1e-6).ceil().max(1.0);
        batches * self.apart - self.since
    }
}

/// How long calls and leavers take to use up `to_go` places.
fn seconds_until(to_go: f64, pace: Pace) -> f64 {
    let share = pace.leaving * to_go / pace.calls;
    // The formula for nobody who leaves, of which the other is the limit.
    if share < 1e-6 {
        to_go / pace.calls
    } else {
        share.ln_1p() / pace.leaving
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to a day"
)]
fn shown(seconds: f64) -> Option<u32> {
    seconds
        .is_finite()
        .then(|| seconds.ceil().clamp(1.0, WAIT_MAX_SECONDS) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of `in_line` with these calls and leavers in each second; as many join.
    fn history(in_line: u64, steps: impl Iterator<Item = (u64, u64)>) -> PaceHistory {
        let mut history = PaceHistory::default();
        let mut counts = Counts {
            in_line,
            joins: in_line,
            ..Counts::default()
        };
        for (second, (calls, leavers)) in (0..).zip(steps) {
            counts.calls += calls;
            counts.joins += calls + leavers;
            history.note(Timestamp::from_ms(second * 1000), &counts);
        }
        history
    }

    fn calls(history: &PaceHistory, per_minute: u64, ahead: u64) -> WaitEstimate {
        estimate(ahead, history.pace(per_minute, None).unwrap()).unwrap()
    }

    #[test]
    fn a_steady_line_gives_a_narrow_range() {
        let history = history(10_000, std::iter::repeat_n((10, 0), 121));
        let wait = calls(&history, 600, 5_999);
        assert_eq!(wait.p50_seconds, 600);
        assert!(wait.p90_seconds <= 610, "{wait:?}");
    }

    #[test]
    fn a_jerky_line_gives_a_wide_range() {
        let steps = (0..121).map(|second| (if second / 20 % 2 == 0 { 18 } else { 2 }, 0));
        let wait = calls(&history(10_000, steps), 600, 499);
        assert!(wait.p90_seconds * 10 > wait.p50_seconds * 12, "{wait:?}");
    }

    #[test]
    fn those_who_leave_shorten_the_wait_less_the_fewer_there_are() {
        // One in a thousand a second.
        let history = history(10_000, std::iter::repeat_n((10, 10), 121));
        let near = calls(&history, 600, 99);
        let far = calls(&history, 600, 9_999);
        assert!((9..=10).contains(&near.p50_seconds), "{near:?}");
        // By calls alone it would be 1000, and at the pace of both together 500.
        assert!((680..=740).contains(&far.p50_seconds), "{far:?}");
    }

    #[test]
    fn what_is_configured_counts_while_little_was_seen() {
        let unseen = estimate(599, PaceHistory::default().pace(600, None).unwrap()).unwrap();
        assert_eq!(unseen.p50_seconds, 60);
        assert!(unseen.p90_seconds > 70, "{unseen:?}");
        // One call late, after three seconds, is no sign of a slow line.
        let wait = calls(
            &history(600, [(0, 0), (0, 0), (0, 0)].into_iter()),
            600,
            599,
        );
        assert!(wait.p50_seconds <= 75, "{wait:?}");
    }

    #[test]
    fn a_line_that_moves_in_steps_tells_when_the_batch_comes() {
        // A hundred every ten seconds, the last one three seconds ago.
        let steps = (0..124).map(|second| (if second % 10 == 0 { 100 } else { 0 }, 0));
        let history = history(10_000, steps);
        let told = |ahead| estimate(ahead, history.pace(600, Some(100)).unwrap()).unwrap();
        for (ahead, seconds) in [(0, 7), (99, 7), (100, 17), (5_999, 597)] {
            assert_eq!(told(ahead).p50_seconds, seconds, "{ahead}");
        }
        assert!(told(5_999).p90_seconds <= 605);
    }

    #[test]
    fn between_two_batches_that_are_minutes_apart_the_line_does_not_stand_still() {
        let steps = (0..190).map(|second| (if second == 100 { 1_000 } else { 0 }, 0));
        let slow = history(10_000, steps);
        let pace = slow.pace(600, Some(1_000)).unwrap();
        assert_eq!(estimate(1_000, pace).unwrap().p50_seconds, 111);
        let still = history(10_000, std::iter::repeat_n((0, 0), 170));
        assert_eq!(still.pace(600, Some(1_000)), None);
    }

    #[test]
    fn batches_that_the_cap_cuts_short_are_no_steps() {
        let trickle = history(10_000, std::iter::repeat_n((2, 0), 121));
        let pace = trickle.pace(600, Some(100));
        assert_eq!(pace, trickle.pace(600, None));
    }

    #[test]
    fn unknown_is_not_zero() {
        let still = history(1_000, std::iter::repeat_n((0, 0), 61));
        assert_eq!(still.pace(600, None), None);
        assert_eq!(estimate(100, configured_pace(0)), None);
    }

    #[test]
    fn a_new_line_forgets_the_old_one() {
        let mut history = history(1_000, std::iter::repeat_n((10, 0), 60));
        history.note(Timestamp::from_ms(100_000), &Counts::default());
        assert_eq!(
            history.pace(60, None),
            PaceHistory::default().pace(60, None).map(|pace| Pace {
                deviation: pace.deviation.hypot(DEVIATION_MIN),
                ..pace
            })
        );
    }
}

//! RATE: calls keep to the configured rate, neither faster nor, while fans wait, slower.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::Timestamp;
use contract::line::Phase;
use contract::room::RoomStats;

use super::counters::risen;
use super::finding::Finding;
use crate::evidence::{Disturbance, Evidence};

/// The span over which the rate is judged.
const WINDOW: Duration = Duration::from_secs(10);
/// How often the leader calls.
const TICK: Duration = Duration::from_millis(100);
/// How long before a window calls may have been given back that are made in it.
const GIVEN_BACK_KEPT: Duration = Duration::from_secs(30);
/// Figures further apart than this say nothing about the time between them.
const SAMPLE_GAP_MAX: Duration = Duration::from_secs(3);
/// How far the calls of a window may be above the rate, as a share.
const ABOVE_MAX: f64 = 0.01;
/// How far they may be below it while fans wait.
const BELOW_MAX: f64 = 0.01;
/// How far they may be below it where somebody breaks things: what else the machine has to do
/// then is no question of the line's.
const BELOW_MAX_DISTURBED: f64 = 0.2;
/// How long after a disturbance calls may stand still: after a loss of the store's memory, fans
/// are waited for.
const RECOVERY: Duration = Duration::from_secs(45);

/// Calls that `per_minute` allows within `span`.
fn allowance(per_minute: u64, span: Duration) -> f64 {
    as_measure(per_minute) * span.as_secs_f64() / 60.0
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of one run stay far below 2^52"
)]
fn as_measure(count: u64) -> f64 {
    count as f64
}

fn as_count(count: usize) -> f64 {
    as_measure(u64::try_from(count).unwrap_or(u64::MAX))
}

/// In no window of ten seconds were more fans called than the rate, one tick's worth, in a room
/// that calls in batches one batch, and what unclaimed calls gave back in it or shortly before.
pub(super) fn never_faster(evidence: &Evidence) -> Finding {
    let calls = calls_within_samples(evidence);
    if calls.is_empty() {
        return Finding::skipped(
            "rate, upper bound",
            "nobody was called while figures were read",
        );
    }
    let mut finding = Finding::new("rate, upper bound");
    let mut worst: Option<(f64, usize, f64, Timestamp)> = None;
    let mut end = 0;
    for (begin, from) in calls.iter().enumerate() {
        let until = from.plus(WINDOW);
        while calls.get(end).is_some_and(|at| *at < until) {
            end += 1;
        }
        let called = end - begin;
        let limit = upper_limit(&evidence.samples, *from, until);
        let share = as_count(called) / limit;
        if worst.is_none_or(|(most, ..)| share > most) {
            worst = Some((share, called, limit, *from));
        }
        if as_count(called) > limit {
            finding.breach(format!(
                "{called} calls in 10 s from {from}, {limit:.1} allowed"
            ));
        }
    }
    let Some((share, called, limit, from)) = worst else {
        return finding;
    };
    finding.count("calls", calls.len());
    finding.count("worstWindowCalls", called);
    finding.measure("worstWindowLimit", limit);
    finding.measure("worstWindowShare", share);
    finding.sum_up(format!(
        "busiest 10 s: {called} calls from {from}, {limit:.1} allowed ({:.1} %)",
        share * 100.0
    ))
}

/// Calls made since the first figures were read: before, the settings are not known.
fn calls_within_samples(evidence: &Evidence) -> Vec<Timestamp> {
    let Some(first) = evidence.samples.first() else {
        return Vec::new();
    };
    let calls = evidence.log.iter().map(|record| record.called_at);
    calls.filter(|at| *at >= first.updated_at).collect()
}

fn upper_limit(samples: &[RoomStats], from: Timestamp, until: Timestamp) -> f64 {
    // One sample on either side, so that a change within the window is seen.
    let begin = samples.partition_point(|sample| sample.updated_at <= from);
    let begin = begin.saturating_sub(1);
    let end = samples.partition_point(|sample| sample.updated_at < until);
    let around = samples
        .get(begin..samples.len().min(end + 1))
        .unwrap_or(&[]);
    let rate = around.iter().map(|s| s.new_users_per_minute).max();
    let rate = rate.unwrap_or_default();
    let batch = around.iter().filter_map(|s| s.call_batch).max();
    let batch = batch.unwrap_or_default();
    let kept_from = from.minus(GIVEN_BACK_KEPT.max(apart(batch, rate)));
    let kept = samples.partition_point(|sample| sample.updated_at <= kept_from);
    let lately = samples.get(kept.saturating_sub(1)..samples.len().min(end + 1));
    let given_back = risen(lately.unwrap_or(&[]), |sample| sample.no_shows_total);
    allowance(rate, WINDOW) * (1.0 + ABOVE_MAX)
        + allowance(rate, TICK).ceil().max(1.0)
        + as_measure(batch)
        + as_measure(given_back)
}

/// The time from one batch to the next.
fn apart(batch: u64, per_minute: u64) -> Duration {
    Duration::from_millis(batch.saturating_mul(60_000) / per_minute.max(1))
}

/// In every window of ten seconds in which fans waited and nothing held calls up, at least
/// 99 % of the rate was called, in a room that calls in batches less one batch.
pub(super) fn never_slower(evidence: &Evidence) -> Finding {
    let calls = calls_within_samples(evidence);
    let below_max = if evidence.disturbed.is_empty() {
        BELOW_MAX
    } else {
        BELOW_MAX_DISTURBED
    };
    let mut finding = Finding::new("rate, lower bound");
    let mut judged = 0usize;
    let mut worst: Option<(f64, usize, f64, Timestamp)> = None;
    for window in unhindered_windows(&evidence.samples) {
        let Some(first) = window.first() else {
            continue;
        };
        let from = first.updated_at;
        if is_disturbed(&evidence.disturbed, from) {
            continue;
        }
        judged += 1;
        let begin = calls.partition_point(|at| *at < from);
        let called = calls.partition_point(|at| *at < from.plus(WINDOW)) - begin;
        let rate = window.iter().map(|s| s.new_users_per_minute).min();
        // Windows do not begin on a tick: up to one tick's worth falls outside.
        let expected = allowance(rate.unwrap_or_default(), WINDOW);
        let least = expected * (1.0 - below_max) - allowance(rate.unwrap_or_default(), TICK) - 1.0;
        let batch = window.iter().filter_map(|s| s.call_batch).max();
        let least = least - as_measure(batch.unwrap_or_default());
        let share = as_count(called) / expected;
        if worst.is_none_or(|(lowest, ..)| share < lowest) {
            worst = Some((share, called, expected, from));
        }
        if as_count(called) < least {
            finding.breach(format!(
                "{called} calls in 10 s from {from}, {expected:.1} expected"
            ));
        }
    }
    let Some((share, called, expected, from)) = worst else {
        return Finding::skipped(
            "rate, lower bound",
            "fans never waited for 10 s without the cap or a pause in the way",
        );
    };
    finding.count("windows", judged);
    finding.count("worstWindowCalls", called);
    finding.measure("worstWindowExpected", expected);
    finding.measure("worstWindowShare", share);
    finding.sum_up(format!(
        "slowest of {judged} windows: {called} calls from {from}, {expected:.1} expected ({:.1} %)",
        share * 100.0
    ))
}

/// In a room that calls in batches, whole ones were called wherever nothing but the rate decided.
pub(super) fn in_batches(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("rate, batches");
    let mut judged = 0usize;
    for pair in evidence.samples.windows(2) {
        let [before, after] = pair else {
            continue;
        };
        let Some(batch) = before.call_batch else {
            continue;
        };
        let is_whole = before.call_batch == after.call_batch
            && unhindered(before)
            && unhindered(after)
            && !is_disturbed(&evidence.disturbed, before.updated_at);
        if !is_whole {
            continue;
        }
        let times = evidence.log.iter().map(|record| record.called_at);
        let between = times.filter(|at| *at > before.updated_at && *at <= after.updated_at);
        for (at, called) in by_time(between) {
            judged += 1;
            if called % batch != 0 {
                finding.breach(format!("{called} calls at {at}, by {batch}"));
            }
        }
    }
    if judged == 0 {
        return Finding::skipped(
            "rate, batches",
            "no room with a call batch had enough fans waiting and room for them",
        );
    }
    finding.count("calls", judged);
    finding.sum_up(format!("{judged} times as many as set were called at once"))
}

/// How many were called at each time.
fn by_time(calls: impl Iterator<Item = Timestamp>) -> BTreeMap<Timestamp, u64> {
    let mut counts = BTreeMap::new();
    for at in calls {
        *counts.entry(at).or_default() += 1;
    }
    counts
}

/// Whether something was broken, or had just been mended, in the window that begins at `from`.
fn is_disturbed(disturbed: &[Disturbance], from: Timestamp) -> bool {
    disturbed
        .iter()
        .any(|it| it.from < from.plus(WINDOW) && from < it.until.plus(RECOVERY))
}

/// Runs of samples of a little more than ten seconds in which nothing hindered calls.
fn unhindered_windows(samples: &[RoomStats]) -> impl Iterator<Item = &[RoomStats]> {
    (1..samples.len()).filter_map(|begin| {
        let from = samples.get(begin)?.updated_at;
        let length = samples
            .get(begin..)?
            .iter()
            .position(|sample| sample.updated_at >= from.plus(WINDOW))?;
        // The sample before belongs to it: calls of the first second depend on it.
        let window = samples.get(begin - 1..=begin + length)?;
        let close = |pair: &[RoomStats]| match pair {
            [one, next] => next.updated_at.since(one.updated_at) <= SAMPLE_GAP_MAX,
            _ => false,
        };
        let whole = window.windows(2).all(close) && window.iter().all(unhindered);
        whole.then(|| samples.get(begin..=begin + length))?
    })
}

/// Whether nothing but the rate decides how many are called in the next second.
fn unhindered(sample: &RoomStats) -> bool {
    let by_rate = sample.new_users_per_minute.div_ceil(60);
    let next_second = by_rate + sample.call_batch.unwrap_or_default() + 1;
    let present = sample.in_line.saturating_sub(sample.absent);
    let room_left = sample
        .total_active_users
        .saturating_sub(sample.called + sample.active);
    sample.phase == Phase::Queueing
        && sample.new_users_per_minute > 0
        && present > next_second
        && room_left > next_second
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::super::sample::{START, evidence, log_at, stats};
    use super::*;

    /// Twenty seconds with plenty waiting at 600 a minute, with calls at these milliseconds.
    fn judged(calls: &[u64]) -> Evidence {
        let mut evidence = evidence(Vec::new());
        evidence.samples = (0..=20).map(stats).collect();
        let order: Vec<(u32, u64)> = (1u32..).zip(calls.iter().copied()).collect();
        evidence.log = log_at(&order);
        evidence
    }

    fn steady(every_ms: u64) -> Vec<u64> {
        (0..20_000 / every_ms).map(|i| i * every_ms).collect()
    }

    #[test]
    fn the_exact_rate_passes_both_bounds() {
        let evidence = judged(&steady(100));
        assert_eq!(never_faster(&evidence).verdict, Verdict::Pass);
        let slower = never_slower(&evidence);
        assert_eq!(slower.verdict, Verdict::Pass, "{slower:?}");
        assert!(slower.figures["windows"] >= 9.0);
    }

    #[test]
    fn three_percent_more_is_caught() {
        let finding = never_faster(&judged(&steady(97)));
        assert_eq!(finding.verdict, Verdict::Fail, "{finding:?}");
    }

    #[test]
    fn calls_given_back_by_no_shows_may_be_made_again() {
        let mut evidence = judged(&steady(97));
        for (second, sample) in (0u64..).zip(&mut evidence.samples) {
            sample.no_shows_total = second;
        }
        assert_eq!(never_faster(&evidence).verdict, Verdict::Pass);
    }

    #[test]
    fn a_burst_is_caught() {
        let mut calls = steady(100);
        calls.extend([10_050; 5]);
        calls.sort_unstable();
        assert_eq!(never_faster(&judged(&calls)).verdict, Verdict::Fail);
    }

    /// The same with a call batch of fifty.
    fn judged_in_batches(calls: &[u64]) -> Evidence {
        let mut evidence = judged(calls);
        for sample in &mut evidence.samples {
            sample.call_batch = Some(50);
        }
        evidence
    }

    fn batches(every_ms: u64, size: usize) -> Vec<u64> {
        let times = (0..20_000 / every_ms).map(|i| i * every_ms + 50);
        times.flat_map(|at| std::iter::repeat_n(at, size)).collect()
    }

    #[test]
    fn batches_at_the_rate_pass_and_may_be_one_ahead() {
        let evidence = judged_in_batches(&batches(5_000, 50));
        for check in [never_faster, never_slower, in_batches] {
            let finding = check(&evidence);
            assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
        }
    }

    #[test]
    fn batches_that_come_too_soon_are_caught() {
        let finding = never_faster(&judged_in_batches(&batches(3_000, 50)));
        assert_eq!(finding.verdict, Verdict::Fail, "{finding:?}");
    }

    #[test]
    fn batches_that_stay_away_are_caught() {
        let finding = never_slower(&judged_in_batches(&batches(18_000, 50)));
        assert_eq!(finding.verdict, Verdict::Fail, "{finding:?}");
    }

    #[test]
    fn a_room_with_batches_that_calls_evenly_is_caught() {
        let finding = in_batches(&judged_in_batches(&steady(100)));
        assert_eq!(finding.verdict, Verdict::Fail, "{finding:?}");
        assert_eq!(in_batches(&judged(&steady(100))).verdict, Verdict::Skipped);
    }

    #[test]
    fn four_percent_less_is_caught() {
        let finding = never_slower(&judged(&steady(104)));
        assert_eq!(finding.verdict, Verdict::Fail, "{finding:?}");
    }

    #[test]
    fn a_pause_a_full_room_or_an_empty_line_excuses_slowness() {
        let excuses: [fn(&mut RoomStats); 3] = [
            |sample| sample.phase = Phase::Paused,
            |sample| sample.active = sample.total_active_users,
            |sample| sample.in_line = sample.absent,
        ];
        for excuse in excuses {
            let mut evidence = judged(&steady(2_000));
            evidence.samples.iter_mut().step_by(5).for_each(excuse);
            assert_eq!(never_slower(&evidence).verdict, Verdict::Skipped);
        }
    }

    #[test]
    fn calls_before_the_first_figures_are_not_judged() {
        let mut evidence = judged(&[]);
        evidence.log = log_at(&[(1, 0), (2, 0)]);
        for record in &mut evidence.log {
            record.called_at = START.minus(WINDOW);
        }
        assert_eq!(never_faster(&evidence).verdict, Verdict::Skipped);
    }
}

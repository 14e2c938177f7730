//! ENTRIES: fans who go in keep to the configured rate, however many calls are not taken up.

use std::time::Duration;

use contract::room::RoomStats;

use super::counters::risen;
use super::finding::Finding;
use crate::evidence::Evidence;

/// The span over which entries are judged.
const WINDOW: Duration = Duration::from_mins(1);
/// Shorter runs say nothing: a few seconds' worth is within what may be made up for.
const SPAN_MIN: Duration = Duration::from_secs(20);
/// How far entries may be above the rate, as a share of a minute's worth.
const ABOVE_MAX: f64 = 0.05;
/// How often the leader calls.
const TICK: Duration = Duration::from_millis(100);
/// How much the share of shows may change, before and after, and still count as steady.
const STEADY: f64 = 0.1;
/// How many standard deviations of what is outstanding are chance.
const CHANCE: f64 = 3.0;

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of one run stay far below 2^52"
)]
fn as_measure(count: u64) -> f64 {
    count as f64
}

/// Entries that `per_minute` allows within `span`.
fn allowance(per_minute: u64, span: Duration) -> f64 {
    as_measure(per_minute) * span.as_secs_f64() / 60.0
}

/// In no minute did more fans go in than the rate, five percent and one tick's worth allow. What
/// was outstanding may come on top of it, when the share of those who show has changed.
pub(super) fn never_faster(evidence: &Evidence) -> Finding {
    let samples = &evidence.samples;
    let mut finding = Finding::new("entries");
    let mut judged = 0usize;
    let mut worst: Option<(f64, u64, f64)> = None;
    for (begin, first) in samples.iter().enumerate() {
        let until = first.updated_at.plus(WINDOW);
        let end = samples.partition_point(|sample| sample.updated_at <= until);
        let window = samples.get(begin..end).unwrap_or(&[]);
        let Some(last) = window.last() else { continue };
        if last.updated_at.since(first.updated_at) < SPAN_MIN {
            continue;
        }
        judged += 1;
        let entries = risen(window, |sample| sample.claims_total);
        let before = samples.get(..=begin).unwrap_or(&[]);
        let limit = upper_limit(before, window, !evidence.disturbed.is_empty());
        let share = as_measure(entries) / limit;
        if worst.is_none_or(|(most, ..)| share > most) {
            worst = Some((share, entries, limit));
        }
        if as_measure(entries) > limit {
            finding.breach(format!(
                "{entries} entries from {} to {}, {limit:.1} allowed",
                first.updated_at, last.updated_at
            ));
        }
    }
    let Some((share, entries, limit)) = worst else {
        return Finding::skipped("entries", "figures were read for less than 20 s");
    };
    finding.count("windows", judged);
    finding.measure("worstWindowEntries", as_measure(entries));
    finding.measure("worstWindowLimit", limit);
    finding.measure("worstWindowShare", share);
    finding.sum_up(format!(
        "busiest of {judged} windows: {entries} entries, {limit:.1} allowed ({:.1} %)",
        share * 100.0
    ))
}

fn upper_limit(before: &[RoomStats], window: &[RoomStats], is_disturbed: bool) -> f64 {
    let (Some(first), Some(last)) = (window.first(), window.last()) else {
        return 0.0;
    };
    let rate = window.iter().map(|s| s.new_users_per_minute).max();
    let rate = rate.unwrap_or_default();
    let batch = window.iter().filter_map(|s| s.call_batch).max();
    let batch = as_measure(batch.unwrap_or_default());
    let span = last.updated_at.since(first.updated_at);
    let outstanding = window.iter().map(|s| s.called).max().unwrap_or_default();
    let outstanding = as_measure(outstanding);
    let spare = allowance(rate, WINDOW) * ABOVE_MAX;
    // Nobody claims in the order and at the distance of the calls: that is chance.
    let chance = CHANCE * outstanding.sqrt() / 2.0;
    // Fans who could not claim for a while claim together afterwards.
    let changed = if is_steady(before, window) && !is_disturbed {
        0.0
    } else {
        outstanding
    };
    let tick = allowance(rate, TICK).ceil().max(1.0);
    allowance(rate, span) + spare + tick + batch + chance + changed
}

/// Whether as large a share showed in the window, in both of its halves, as in the minute before.
fn is_steady(before: &[RoomStats], window: &[RoomStats]) -> bool {
    let Some(first) = window.first() else {
        return true;
    };
    let since = first.updated_at.minus(WINDOW);
    let lately = before.partition_point(|sample| sample.updated_at < since);
    let (one, other) = window.split_at(window.len() / 2);
    let shares = [before.get(lately..).unwrap_or(&[]), one, other].map(share);
    let known = || shares.into_iter().flatten();
    let most = known().fold(0.0, f64::max);
    let least = known().fold(1.0, f64::min);
    most - least <= STEADY
}

/// Of the calls that were settled, the share that was claimed.
fn share(samples: &[RoomStats]) -> Option<f64> {
    let claimed = risen(samples, |sample| sample.claims_total);
    let missed = risen(samples, |sample| sample.no_shows_total);
    let settled = claimed + missed;
    (settled > 0).then(|| as_measure(claimed) / as_measure(settled))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::super::sample::{evidence, stats};
    use super::*;

    /// Three minutes at 600 a minute, with so many entries and no-shows in each second.
    fn judged(each_second: impl Fn(u64) -> (u64, u64)) -> Finding {
        let mut evidence = evidence(Vec::new());
        let (mut claims, mut missed) = (0, 0);
        for second in 0..=180 {
            let mut sample = stats(second);
            (sample.claims_total, sample.no_shows_total) = (claims, missed);
            sample.called = 100;
            evidence.samples.push(sample);
            let (claimed, not) = each_second(second);
            claims += claimed;
            missed += not;
        }
        never_faster(&evidence)
    }

    #[test]
    fn the_rate_of_entries_passes_whatever_share_does_not_show() {
        for missed in [0, 10, 40] {
            let finding = judged(|_| (10, missed));
            assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
        }
    }

    #[test]
    fn twelve_percent_more_entries_are_caught() {
        let finding = judged(|second| (11 + u64::from(second % 5 == 0), 10));
        assert_eq!(finding.verdict, Verdict::Fail, "{finding:?}");
    }

    #[test]
    fn a_burst_of_entries_after_a_minute_of_no_shows_is_caught() {
        // 100 were outstanding, and 400 went in at once.
        let burst = |second| if (90..100).contains(&second) { 50 } else { 10 };
        let finding = judged(|second| {
            if second < 90 {
                (0, 10)
            } else {
                (burst(second), 0)
            }
        });
        assert_eq!(finding.verdict, Verdict::Fail, "{finding:?}");
    }

    #[test]
    fn what_was_outstanding_at_a_change_may_go_in() {
        let surge = |second| if (90..95).contains(&second) { 26 } else { 10 };
        let finding = judged(|second| {
            if second < 90 {
                (0, 10)
            } else {
                (surge(second), 0)
            }
        });
        assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
    }

    #[test]
    fn a_short_run_is_not_judged() {
        let mut evidence = evidence(Vec::new());
        evidence.samples = (0..10).map(stats).collect();
        assert_eq!(never_faster(&evidence).verdict, Verdict::Skipped);
    }
}

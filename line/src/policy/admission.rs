//! How many to call: a pure decision, taken by the leader of a room every tick.
//!
//! RATE: a bucket fills with the configured rate and is never deeper than one tick's worth (at
//! least one call), so a line that was empty for an hour does not burst. A tick that comes late
//! is credited in full up to [`CATCH_UP_MAX`], so that a busy machine does not slow the line.
//! What unclaimed calls give back comes on top of it, as [`Shows`] paces it (ENTRIES).
//!
//! A room with a call batch calls nobody until the bucket has the whole of it, and then so many at
//! once. Its bucket is a batch deep, so whatever comes late, in no window more are called than the
//! rate, one batch and one tick's worth. A batch that finds fewer waiting, or less room below the
//! cap, calls those; the rest of its credit counts towards the next.
//!
//! CAP: called and active together never pass the cap.

use std::time::Duration;

use contract::Timestamp;
use contract::line::Phase;
use contract::room::LimitedBy;

use super::care::RateShare;
use super::credit::{CREDIT_ONE, worth};
use super::shows::Shows;
use super::situation::Situation;

/// Time between ticks.
pub const TICK: Duration = Duration::from_millis(100);

/// How much time one tick is credited with at most: its own worth, and as much lateness as
/// keeps ten seconds within one percent of the rate.
pub const CATCH_UP_MAX: Duration = Duration::from_millis(200);

/// Most calls in one tick. Bounds one script call to about a millisecond.
pub const CALLS_PER_TICK_MAX: u64 = 1000;

/// Longest time that a room which calls in batches is credited with at once: that of a rest, and
/// that of a leader who is replaced. Its bucket bounds what comes of it.
const BATCH_CATCH_UP_MAX: Duration = Duration::from_hours(1);

/// The rate bucket, as the store keeps it between ticks and across leaders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Accrued by time, millionths of a call.
    pub credit: u64,
    /// Of what unclaimed calls gave back, what may be called again now, millionths of a call.
    pub returned: u64,
    /// When it was last filled; never, at first.
    pub filled_at: Option<Timestamp>,
    /// Who shows, and what is still to come back.
    pub shows: Shows,
}

/// How many to call, and the bucket afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Places to call.
    pub count: u64,
    /// The bucket before any of them is taken from it.
    pub filled: Bucket,
    /// The bucket if so many are called.
    pub bucket: Bucket,
    /// Why not more.
    pub limited_by: LimitedBy,
}

/// How many to call at `now`.
pub fn decide(bucket: Bucket, situation: &Situation, now: Timestamp) -> Decision {
    let filled = fill(bucket, situation, now);
    let none = |limited_by| Decision {
        count: 0,
        filled,
        bucket: filled,
        limited_by,
    };
    if situation.phase != Phase::Queueing {
        return none(LimitedBy::Phase);
    }
    if situation.held_until.is_some_and(|until| now < until) {
        return none(LimitedBy::Rebuilt);
    }
    if situation.upstream == RateShare::NONE {
        return none(LimitedBy::Upstream);
    }
    if situation.remaining == Some(0) {
        return none(LimitedBy::Stock);
    }
    let pace = pace_of(bucket, situation, now);
    let by_rate = whole_batches((filled.credit + filled.returned) / CREDIT_ONE, situation);
    let by_cap = situation.active_max.saturating_sub(situation.occupied);
    let (count, limited_by) = [
        (situation.in_line, LimitedBy::Line),
        (by_cap, LimitedBy::Cap),
        (by_rate, pace),
    ]
    .into_iter()
    .min_by_key(|(n, _)| *n)
    .unwrap_or((0, LimitedBy::Line));
    Decision {
        count,
        filled,
        bucket: spend(filled, count),
        limited_by,
    }
}

/// How many are called at a time at least, if so many wait.
fn batch_of(situation: &Situation) -> u64 {
    situation
        .call_batch
        .map_or(1, |batch| batch.clamp(1, CALLS_PER_TICK_MAX))
}

/// What one tick may call of `calls`: whole batches.
fn whole_batches(calls: u64, situation: &Situation) -> u64 {
    let batch = batch_of(situation);
    calls.min(CALLS_PER_TICK_MAX) / batch * batch
}

/// What the pace of calls is bounded by: the rate, or an upstream that is given a part of it, or what
/// makes ticks come so late that time between them is not credited.
fn pace_of(bucket: Bucket, situation: &Situation, now: Timestamp) -> LimitedBy {
    let elapsed = bucket.filled_at.map_or(TICK, |at| now.since(at));
    let is_credited = situation.call_batch.is_some() || situation.has_rested;
    if elapsed <= CATCH_UP_MAX || is_credited {
        match situation.upstream {
            RateShare::ALL => LimitedBy::Rate,
            _ => LimitedBy::Upstream,
        }
    } else if situation.append_took * 2 >= elapsed {
        LimitedBy::Database
    } else {
        LimitedBy::Latency
    }
}

/// Takes `count` calls from the bucket: first what time accrued, then what was given back.
pub fn spend(bucket: Bucket, count: u64) -> Bucket {
    let cost = count.saturating_mul(CREDIT_ONE);
    let from_credit = cost.min(bucket.credit);
    Bucket {
        credit: bucket.credit - from_credit,
        returned: bucket.returned.saturating_sub(cost - from_credit),
        ..bucket
    }
}

/// Adds what time accrued. A tick's worth (at least one call, or the batch) is kept at most, plus
/// the fraction of it that the last tick could not spend; a late tick keeps all it accrued.
fn fill(bucket: Bucket, situation: &Situation, now: Timestamp) -> Bucket {
    let rate = situation.calls_per_minute;
    let elapsed = bucket.filled_at.map_or(TICK, |at| now.since(at));
    let accrued = worth(elapsed.min(CATCH_UP_MAX), rate);
    let earned = match situation.call_batch {
        Some(_) => worth(elapsed.min(BATCH_CATCH_UP_MAX), rate),
        None => accrued,
    };
    let unit = batch_of(situation) * CREDIT_ONE;
    let depth = worth(TICK, rate)
        .max(unit)
        .max(accrued.saturating_add(unit - 1));
    let mut shows = bucket.shows;
    if bucket.filled_at.is_none() {
        // Claims from before are none of this bucket's.
        shows.claims = situation.claims;
    }
    shows.note(situation, accrued, now);
    let credit = bucket.credit.saturating_add(earned).min(depth);
    // What was given back helps to fill a batch, and never makes a second one of it.
    let kept = match situation.call_batch {
        Some(_) => credit.saturating_add(bucket.returned),
        None => bucket.returned,
    };
    Bucket {
        credit,
        returned: bucket.returned + shows.release(accrued, kept, unit),
        filled_at: Some(bucket.filled_at.map_or(now, |at| at.max(now))),
        shows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn busy(calls_per_minute: u64) -> Situation {
        Situation {
            phase: Phase::Queueing,
            upstream: RateShare::ALL,
            calls_per_minute,
            call_batch: None,
            active_max: u64::MAX,
            in_line: u64::MAX,
            occupied: 0,
            given_back: 0,
            claims: 0,
            remaining: None,
            held_until: None,
            append_took: Duration::ZERO,
            has_rested: false,
        }
    }

    /// Runs ticks at the given gaps and returns (time, calls) of each.
    fn run(situation: &Situation, gaps_ms: impl IntoIterator<Item = u64>) -> Vec<(u64, u64)> {
        let mut bucket = Bucket::default();
        let mut at = 0;
        let mut calls = Vec::new();
        for gap in gaps_ms {
            at += gap;
            let decision = decide(bucket, situation, START.plus(Duration::from_millis(at)));
            bucket = decision.bucket;
            calls.push((at, decision.count));
        }
        calls
    }

    #[test]
    fn any_ten_seconds_are_within_one_percent_of_the_rate() {
        for rate in [60, 600, 6_000, 77_777, 500_000] {
            let calls = run(&busy(rate), std::iter::repeat_n(100, 600));
            for window in calls.windows(100) {
                let sum: u64 = window.iter().map(|(_, n)| n).sum();
                let due = rate / 6;
                let off = sum.abs_diff(due);
                assert!(
                    off * 100 <= due || off <= 1,
                    "rate {rate}: {sum} instead of {due}"
                );
            }
        }
    }

    #[test]
    fn slow_rates_accrue_over_many_ticks() {
        let calls = run(&busy(6), std::iter::repeat_n(100, 6_000));
        let sum: u64 = calls.iter().map(|(_, n)| n).sum();
        assert!((59..=61).contains(&sum), "{sum}");
    }

    #[test]
    fn an_idle_line_does_not_save_up() {
        let idle = Situation {
            in_line: 0,
            ..busy(6_000)
        };
        let mut bucket = Bucket::default();
        for tick in 0..600u64 {
            bucket = decide(bucket, &idle, START.plus(Duration::from_millis(tick * 100))).bucket;
        }
        let first = decide(bucket, &busy(6_000), START.plus(Duration::from_mins(1)));
        assert!(first.count <= 10, "{}", first.count);
    }

    fn in_batches(calls_per_minute: u64, batch: u64) -> Situation {
        Situation {
            call_batch: Some(batch),
            ..busy(calls_per_minute)
        }
    }

    #[test]
    fn a_room_with_a_call_batch_calls_so_many_at_once_as_often_as_the_rate_allows() {
        for (rate, batch, seconds) in [(600, 100, 10), (6_000, 1_000, 10), (60, 20, 20)] {
            let calls = run(&in_batches(rate, batch), std::iter::repeat_n(100, 6_001));
            let made: Vec<_> = calls.iter().filter(|(_, n)| *n > 0).collect();
            assert!(made.iter().all(|(_, n)| *n == batch), "{made:?}");
            assert_eq!(made.len(), 600 / seconds, "{rate} by {batch}");
            for pair in made.windows(2) {
                assert_eq!(pair[1].0 - pair[0].0, seconds as u64 * 1_000);
            }
        }
        // A batch that is due in every tick and more often is called by several of it.
        let calls = run(&in_batches(60_000, 30), std::iter::repeat_n(100, 600));
        assert!(calls.iter().all(|(_, n)| n % 30 == 0));
        let sum: u64 = calls.iter().map(|(_, n)| n).sum();
        assert!((59_900..=60_000).contains(&sum), "{sum}");
    }

    #[test]
    fn a_batch_is_cut_short_by_the_line_and_the_cap_and_keeps_its_credit() {
        let full = Bucket {
            credit: 100 * CREDIT_ONE,
            filled_at: Some(START),
            ..Bucket::default()
        };
        let base = in_batches(600, 100);
        let few = Situation {
            in_line: 40,
            ..base
        };
        let decision = decide(full, &few, START.plus(TICK));
        assert_eq!((decision.count, decision.limited_by), (40, LimitedBy::Line));
        let next = decide(decision.bucket, &base, START.plus(TICK * 2));
        assert_eq!((next.count, next.limited_by), (0, LimitedBy::Rate));
        let due = decide(decision.bucket, &base, START.plus(TICK * 41));
        assert_eq!(due.count, 100);
        let near_the_cap = Situation {
            active_max: 50,
            occupied: 43,
            ..base
        };
        let decision = decide(full, &near_the_cap, START.plus(TICK));
        assert_eq!((decision.count, decision.limited_by), (7, LimitedBy::Cap));
    }

    #[test]
    fn an_empty_line_saves_up_one_batch_and_a_late_tick_is_owed_no_more() {
        let situation = in_batches(600, 100);
        let empty = Situation {
            in_line: 0,
            ..situation
        };
        let mut bucket = decide(Bucket::default(), &empty, START).bucket;
        let late = START.plus(Duration::from_mins(20));
        bucket = decide(bucket, &empty, late).bucket;
        let decision = decide(bucket, &situation, late.plus(TICK));
        assert_eq!(decision.count, 100);
        let next = decide(decision.bucket, &situation, late.plus(TICK * 2));
        assert_eq!((next.count, next.limited_by), (0, LimitedBy::Rate));
    }

    #[test]
    fn what_a_batch_gave_back_makes_the_next_one_come_sooner() {
        let mut bucket = Bucket::default();
        let mut calls = Vec::new();
        // Half of each batch does not show; it is given back three seconds after the call.
        for tick in 0..1_200u32 {
            let lately = |ticks_ago: usize| match calls.len().checked_sub(ticks_ago) {
                Some(at) => calls.get(at).copied().unwrap_or(0),
                None => 0,
            };
            let situation = Situation {
                given_back: lately(30) / 2,
                claims: calls.iter().map(|n| n / 2).sum(),
                ..in_batches(600, 100)
            };
            let decision = decide(bucket, &situation, START.plus(TICK * tick));
            bucket = decision.bucket;
            calls.push(decision.count);
        }
        let batches: Vec<u64> = calls.iter().copied().filter(|n| *n > 0).collect();
        assert!(batches.iter().all(|n| *n == 100), "{batches:?}");
        // Two minutes at 600 are 12 batches; with half of them given back, up to 24.
        assert!((16..=25).contains(&batches.len()), "{}", batches.len());
    }

    #[test]
    fn the_reason_for_calling_no_more_is_named() {
        let check = |situation: Situation, count: u64, limited_by: LimitedBy| {
            let decision = decide(Bucket::default(), &situation, START);
            assert_eq!((decision.count, decision.limited_by), (count, limited_by));
        };
        let base = busy(6_000);
        check(base, 10, LimitedBy::Rate);
        check(
            Situation {
                phase: Phase::Paused,
                ..base
            },
            0,
            LimitedBy::Phase,
        );
        check(
            Situation {
                phase: Phase::Prequeue,
                ..base
            },
            0,
            LimitedBy::Phase,
        );
        check(Situation { in_line: 3, ..base }, 3, LimitedBy::Line);
        check(
            Situation {
                active_max: 9,
                occupied: 5,
                ..base
            },
            4,
            LimitedBy::Cap,
        );
        check(
            Situation {
                active_max: 5,
                occupied: 9,
                ..base
            },
            0,
            LimitedBy::Cap,
        );
        check(
            Situation {
                remaining: Some(0),
                ..base
            },
            0,
            LimitedBy::Stock,
        );
        check(
            Situation {
                upstream: RateShare::NONE,
                ..base
            },
            0,
            LimitedBy::Upstream,
        );
        let slowed = Situation {
            upstream: RateShare::millionths(500_000),
            ..busy(3_000)
        };
        check(slowed, 5, LimitedBy::Upstream);
        let second = Duration::from_secs(1);
        for (held_until, count, limited_by) in [
            (START.plus(second), 0, LimitedBy::Rebuilt),
            (START, 10, LimitedBy::Rate),
        ] {
            let held_until = Some(held_until);
            check(Situation { held_until, ..base }, count, limited_by);
        }
        check(
            Situation {
                calls_per_minute: u64::MAX,
                ..base
            },
            CALLS_PER_TICK_MAX,
            LimitedBy::Rate,
        );
    }

    #[test]
    fn a_tick_later_than_it_is_credited_for_says_what_it_waited_for() {
        let bucket = Bucket {
            filled_at: Some(START),
            ..Bucket::default()
        };
        let late = CATCH_UP_MAX + Duration::from_millis(2);
        for (gap, append_took, limited_by) in [
            (TICK, TICK, LimitedBy::Rate),
            (CATCH_UP_MAX, CATCH_UP_MAX, LimitedBy::Rate),
            (late, Duration::ZERO, LimitedBy::Latency),
            (late, late / 3, LimitedBy::Latency),
            (late, late / 2, LimitedBy::Database),
        ] {
            let situation = Situation {
                append_took,
                ..busy(6_000)
            };
            let decision = decide(bucket, &situation, START.plus(gap));
            assert_eq!(decision.limited_by, limited_by, "{gap:?} {append_took:?}");
            let rested = Situation {
                has_rested: true,
                ..situation
            };
            let decision = decide(bucket, &rested, START.plus(gap));
            assert_eq!(decision.limited_by, LimitedBy::Rate, "after a rest");
        }
        let empty = Situation {
            in_line: 0,
            ..busy(6_000)
        };
        let decision = decide(bucket, &empty, START.plus(Duration::from_secs(1)));
        assert_eq!(decision.limited_by, LimitedBy::Line);
    }

    /// In no window that starts at a tick are there more calls than the rate times the window, one
    /// tick's worth, and `more`.
    fn every_window_keeps_to(
        rate: u64,
        more: u64,
        calls: &[(u64, u64)],
    ) -> Result<(), TestCaseError> {
        let catch_up = u64::try_from(CATCH_UP_MAX.as_millis()).unwrap();
        for from in 0..calls.len() {
            let mut sum = 0;
            for (at, n) in &calls[from..] {
                sum += n;
                let window = at - calls[from].0;
                let bound = (window + catch_up) * rate / 60_000 + more;
                prop_assert!(sum <= bound, "{sum} > {bound} in {window} ms");
            }
        }
        Ok(())
    }

    proptest! {
        /// RATE for every window that starts at a tick, whatever the ticks' gaps: the rate times
        /// the window, one tick's worth, and what a late first tick was owed.
        #[test]
        fn no_window_exceeds_the_rate(
            rate in 1u64..200_000,
            gaps in prop::collection::vec(1u64..900, 1..200)
        ) {
            let calls = run(&busy(rate), gaps.iter().copied());
            every_window_keeps_to(rate, 2, &calls)?;
        }

        /// RATE of a room that calls in batches: one batch more, however late ticks come.
        #[test]
        fn no_window_of_a_room_with_batches_exceeds_the_rate_by_more_than_one(
            rate in 1u64..200_000,
            batch in 1u64..=CALLS_PER_TICK_MAX,
            gaps in prop::collection::vec(1u64..5_000, 1..200)
        ) {
            let calls = run(&in_batches(rate, batch), gaps.iter().copied());
            every_window_keeps_to(rate, batch + 1, &calls)?;
            prop_assert!(calls.iter().all(|(_, n)| n % batch == 0));
        }
    }
}

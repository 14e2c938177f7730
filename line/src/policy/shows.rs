//! Who shows when called, and how fast the credit of those who do not comes back.
//!
//! ENTRIES: a call that is not taken up gives its credit back a claim window later, so that a
//! minute of no-shows would be followed by a minute of twice the calls; should those show, twice
//! as many as configured would go in. So what is given back goes into a reserve, and leaves it
//! only
//!
//! - as fast as the share of shows allows: the rate, divided by the share, with five percent to
//!   spare, less the rate itself; and
//! - while those who went in have not used up what the rate allows for them: an account that the
//!   rate fills, two seconds' worth deep, and that every claim draws on.
//!
//! The first keeps a steady share at the rate of entries, the second stops a change: when many
//! show at once, those claim who were called before it was seen, and no more.
//! What is not needed for [`KEPT`] is dropped, so that RATE holds with what was given back lately.

use std::time::Duration;

use contract::Timestamp;

use super::credit::{CREDIT_ONE, worth};
use super::situation::Situation;

/// Longest that credit waits in the reserve of a room that calls evenly.
pub const KEPT: Duration = Duration::from_secs(30);

/// How many entries may be behind the rate and still be made up for, as a span at the rate.
const BEHIND_MAX: Duration = Duration::from_secs(2);
/// How many entries above the rate are held against later ones, as a span at the rate.
const AHEAD_MAX: Duration = Duration::from_secs(10);

/// A share of all, millionths.
const ALL: u64 = 1_000_000;
/// The smallest share of shows that is reckoned with. Bounds the calls to twenty times the rate.
const SHARE_MIN: u64 = ALL / 20;
/// How much faster than the share of shows allows credit comes back, so that a share that is a
/// little off does not keep any.
const SPARE: u64 = ALL + ALL / 20;
/// Over how many calls the share is observed: what the rate comes to in this, and at least
/// [`OBSERVED_MIN`].
const OBSERVED: Duration = Duration::from_secs(10);
const OBSERVED_MIN: u64 = 20;

/// Most credit in the reserve, in calls.
const RESERVE_MAX: u64 = 100_000;

/// How long credit waits in the reserve: in a room that calls in batches, until the next one.
fn kept_for(situation: &Situation) -> Duration {
    let rate = situation.calls_per_minute.max(1);
    let batch = situation.call_batch.unwrap_or(0);
    KEPT.max(Duration::from_millis(batch.saturating_mul(60_000) / rate))
}

/// What is known of shows, as the store keeps it between ticks and across leaders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shows {
    /// Entries that the rate allows beyond those there were, millionths; negative when there
    /// were more.
    pub account: i64,
    /// Share of the calls that are claimed, millionths, as observed lately.
    pub share: u64,
    /// Given back and not released yet, millionths of a call.
    pub reserve: u64,
    /// Since when the reserve has not been empty, milliseconds.
    pub reserve_ms: i64,
    /// Calls ever claimed, as of the last tick.
    pub claims: u64,
}

impl Default for Shows {
    /// Until anything is seen, everyone is taken to show.
    fn default() -> Self {
        Self {
            account: 0,
            share: ALL,
            reserve: 0,
            reserve_ms: 0,
            claims: 0,
        }
    }
}

impl Shows {
    /// As text, for the store.
    pub fn text(&self) -> String {
        let Self {
            account,
            share,
            reserve,
            reserve_ms,
            claims,
        } = self;
        format!("{account}:{share}:{reserve}:{reserve_ms}:{claims}")
    }

    /// From its text; none if it is not of this version.
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let shows = Self {
            account: parts.next()?.parse().ok()?,
            share: parts.next()?.parse().ok()?,
            reserve: parts.next()?.parse().ok()?,
            reserve_ms: parts.next()?.parse().ok()?,
            claims: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(shows)
    }

    /// Takes in what happened since the last tick, in which the rate accrued `accrued`.
    pub(super) fn note(&mut self, situation: &Situation, accrued: u64, now: Timestamp) {
        // Fewer claims than before are those of a store that went back.
        let claimed = situation.claims.saturating_sub(self.claims);
        self.claims = situation.claims;
        let rate = situation.calls_per_minute;
        self.observe(claimed, situation.given_back, rate);
        let behind = signed(worth(BEHIND_MAX, rate).max(CREDIT_ONE));
        let ahead = signed(worth(AHEAD_MAX, rate).max(CREDIT_ONE));
        let due = self.account.saturating_add(signed(accrued)).min(behind);
        let drawn = signed(claimed.saturating_mul(CREDIT_ONE));
        self.account = due.saturating_sub(drawn).max(-ahead);
        let since = Timestamp::from_ms(self.reserve_ms);
        if now.since(since) >= kept_for(situation) {
            self.reserve = 0;
        }
        if self.reserve == 0 {
            self.reserve_ms = now.as_ms();
        }
        let given_back = situation.given_back.saturating_mul(CREDIT_ONE);
        let kept = self.reserve.saturating_add(given_back);
        self.reserve = kept.min(RESERVE_MAX * CREDIT_ONE);
    }

    /// Takes from the reserve what may be called now, where `kept` is not spent yet and calls are
    /// made by the `unit`.
    pub(super) fn release(&mut self, accrued: u64, kept: u64, unit: u64) -> u64 {
        if self.account < 0 {
            return 0;
        }
        let share = self.share.max(SHARE_MIN);
        let in_all = u128::from(accrued) * u128::from(SPARE) / u128::from(share);
        let in_all = u64::try_from(in_all).unwrap_or(u64::MAX);
        let paced = in_all.saturating_sub(accrued);
        let depth = unit.max(paced.saturating_add(unit - 1));
        let freed = paced.min(self.reserve).min(depth.saturating_sub(kept));
        self.reserve -= freed;
        freed
    }

    /// Moves the share towards what the calls that were settled since came to.
    fn observe(&mut self, claimed: u64, given_back: u64, rate: u64) {
        let settled = claimed.saturating_add(given_back);
        let memory = (worth(OBSERVED, rate) / CREDIT_ONE).max(OBSERVED_MIN);
        let weight = settled.min(memory);
        let Some(found) = claimed.saturating_mul(ALL).checked_div(settled) else {
            return;
        };
        let kept = u128::from(self.share) * u128::from(memory - weight);
        let share = (kept + u128::from(found) * u128::from(weight)) / u128::from(memory);
        self.share = u64::try_from(share).unwrap_or(ALL).min(ALL);
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use contract::line::Phase;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha20Rng;

    use super::*;
    use crate::policy::admission::{Bucket, TICK, decide};
    use crate::policy::care::RateShare;

    const START: Timestamp = Timestamp::from_ms(1_790_000_000_000);
    const MINUTE: usize = 600;

    /// A line that never ends, tick by tick: who shows is drawn, and so is when.
    struct Sale {
        rate: u64,
        bucket: Bucket,
        tick: u64,
        claims: u64,
        /// Calls to be settled at each of the coming ticks: claimed, given back.
        due: VecDeque<(u64, u64)>,
        window: usize,
        rng: ChaCha20Rng,
        calls: Vec<u64>,
        given_back: Vec<u64>,
        entries: Vec<u64>,
    }

    impl Sale {
        fn new(rate: u64, window_ticks: usize, seed: u64) -> Self {
            Self {
                rate,
                bucket: Bucket::default(),
                tick: 0,
                claims: 0,
                due: VecDeque::from(vec![(0, 0); window_ticks + 2]),
                window: window_ticks,
                rng: ChaCha20Rng::seed_from_u64(seed),
                calls: Vec::new(),
                given_back: Vec::new(),
                entries: Vec::new(),
            }
        }

        /// Runs on, with this share of shows and these delays of claims, in ticks.
        fn run(&mut self, ticks: usize, share: f64, delays: std::ops::Range<usize>) {
            for _ in 0..ticks {
                let (claimed, given_back) = self.due.pop_front().unwrap();
                self.due.push_back((0, 0));
                self.claims += claimed;
                let situation = Situation {
                    phase: Phase::Queueing,
                    calls_per_minute: self.rate,
                    call_batch: None,
                    active_max: u64::MAX,
                    in_line: u64::MAX,
                    occupied: 0,
                    given_back,
                    claims: self.claims,
                    remaining: None,
                    upstream: RateShare::ALL,
                    held_until: None,
                    append_took: Duration::ZERO,
                    has_rested: false,
                };
                let now = START.plus(TICK * u32::try_from(self.tick).unwrap());
                let decision = decide(self.bucket, &situation, now);
                self.bucket = decision.bucket;
                for _ in 0..decision.count {
                    let shows = self.rng.random_bool(share);
                    let after = self.rng.random_range(delays.clone());
                    if shows {
                        self.due[after].0 += 1;
                    } else {
                        self.due[self.window].1 += 1;
                    }
                }
                self.tick += 1;
                self.calls.push(decision.count);
                self.given_back.push(given_back);
                self.entries.push(claimed);
            }
        }

        /// Calls that are neither claimed nor given back.
        fn outstanding(&self) -> u64 {
            self.due.iter().map(|(shows, others)| shows + others).sum()
        }
    }

    fn busiest(counts: &[u64], ticks: usize) -> u64 {
        let windows = counts.windows(ticks).map(|window| window.iter().sum());
        windows.max().unwrap_or(0)
    }

    #[test]
    fn a_steady_share_reaches_the_rate_of_entries_and_does_not_pass_it() {
        for (share, delays) in [(0.9, 0..3), (0.5, 0..80), (0.3, 20..21), (0.8, 50..90)] {
            let mut sale = Sale::new(6_000, 100, 7);
            sale.run(10 * MINUTE, share, delays.clone());
            let most = busiest(&sale.entries, MINUTE);
            assert!(most <= 6_000 * 105 / 100 + 10, "{share} {delays:?}: {most}");
            let settled: u64 = sale.entries[5 * MINUTE..].iter().sum();
            assert!(settled >= 5 * 6_000 * 97 / 100, "{share}: {settled}");
        }
    }

    #[test]
    fn fans_who_show_after_many_who_did_not_do_not_come_in_one_burst() {
        let mut sale = Sale::new(600, 100, 7);
        sale.run(400, 0.0, 0..1);
        let outstanding = sale.outstanding();
        assert!(outstanding > 150, "{outstanding}");
        let from = sale.entries.len();
        sale.run(2 * MINUTE, 1.0, 0..2);
        let most = busiest(&sale.entries[from..], 100);
        assert!(most <= 135, "{most} in ten seconds");
        let most = busiest(&sale.entries[from..], MINUTE);
        assert!(most <= 600 * 106 / 100, "{most} in a minute");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// ENTRIES at rates at which chance is small: any minute of a steady share.
        #[test]
        fn no_minute_of_a_steady_share_exceeds_the_rate_of_entries(
            rate in 12_000u64..60_000,
            share in 0.1f64..1.0,
            window in 20usize..200,
            slow in 0.0f64..1.0,
            seed in any::<u64>(),
        ) {
            let mut sale = Sale::new(rate, window, seed);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "counts of a small simulation"
            )]
            let slowest = 1 + (slow * window as f64) as usize;
            sale.run(5 * MINUTE, share, 0..slowest);
            let most = busiest(&sale.entries, MINUTE);
            let bound = rate * 105 / 100 + rate.div_ceil(600);
            prop_assert!(most <= bound, "{most} > {bound}");
        }

        /// ENTRIES after a change: what is above the rate was outstanding then.
        #[test]
        fn a_change_of_the_share_lets_in_no_more_than_was_outstanding(
            rate in 600u64..60_000,
            before in 0.0f64..1.0,
            after in 0.0f64..1.0,
            window in 20usize..200,
            delay in 0usize..20,
            seed in any::<u64>(),
        ) {
            let mut sale = Sale::new(rate, window, seed);
            sale.run(2 * MINUTE, before, 0..delay + 1);
            let outstanding = sale.outstanding();
            let from = sale.entries.len();
            sale.run(2 * MINUTE, after, 0..delay + 1);
            let most = busiest(&sale.entries[from..], MINUTE);
            let bound = rate * 105 / 100 + rate.div_ceil(600) + outstanding;
            prop_assert!(most <= bound, "{most} > {bound}, {outstanding} outstanding");
        }

        /// RATE: calls above the rate were given back in the window or shortly before.
        #[test]
        fn calls_above_the_rate_were_given_back_lately(
            rate in 60u64..60_000,
            shares in prop::collection::vec(0.0f64..1.0, 1..5),
            window in 10usize..200,
            seed in any::<u64>(),
        ) {
            let mut sale = Sale::new(rate, window, seed);
            for share in shares {
                sale.run(MINUTE / 2, share, 0..5);
            }
            let kept = usize::try_from(KEPT.as_millis() / TICK.as_millis()).unwrap();
            for from in 0..sale.calls.len().saturating_sub(100) {
                let calls: u64 = sale.calls[from..from + 100].iter().sum();
                let lately = from.saturating_sub(kept);
                let given_back: u64 = sale.given_back[lately..from + 100].iter().sum();
                // What was released and not spent is at most a call, or a tick's worth.
                let bound = rate / 6 + rate.div_ceil(600) + given_back + 2;
                prop_assert!(calls <= bound, "{calls} > {bound} from {from}");
            }
        }

        #[test]
        fn what_is_written_is_read(
            account in any::<i64>(), share in 0..=ALL, reserve in any::<u64>(),
            reserve_ms in any::<i64>(), claims in any::<u64>(),
        ) {
            let shows = Shows { account, share, reserve, reserve_ms, claims };
            prop_assert_eq!(Shows::read(&shows.text()), Some(shows));
        }
    }
}

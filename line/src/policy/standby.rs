//! Stand-by: who goes straight in while nobody waits.
//!
//! A queueing room without `queueAll` is transparent: a visitor goes in without seeing the waiting
//! page, as long as nobody waits and rate and cap have room. Above either limit visitors are sent
//! to the page, a line forms, and from then on the leader calls; when the line is empty the room
//! is transparent again.
//!
//! A [`Meter`] keeps such entries to the rate. Unlike the leader's bucket it saves up unused
//! calls, because visitors do not come evenly: at nine tenths of the rate a room that keeps to
//! every tick would send many of them to wait. All calls of a room draw on the meter, also those
//! that the leader makes, so that both together keep to the rate (RATE).

use std::time::Duration;

use contract::Timestamp;
use contract::line::Phase;
use contract::room::{Challenge, RoomSettings};

use super::credit::{CREDIT_ONE, worth};

/// How much of the rate may be saved up: five percent of a minute, which is what ENTRIES allows.
const SAVED: Duration = Duration::from_secs(3);

/// Longest time that is credited at once. Keeps the arithmetic exact in Lua.
pub const CREDITED_MAX: Duration = Duration::from_mins(10);

/// Whether a room with `settings` is in stand-by in `phase`. A room that asks something of its
/// visitors is not, because they are asked on the waiting page; nor is one that calls in batches,
/// because the next one is waited for there.
pub fn is_standby(settings: &RoomSettings, phase: Phase) -> bool {
    let asks_nothing = settings.access_codes.is_empty() && settings.challenge == Challenge::None;
    let calls_evenly = settings.call_batch.is_none();
    !settings.queue_all && asks_nothing && calls_evenly && phase == Phase::Queueing
}

/// Most calls that a meter of `calls_per_minute` saves up, and most that it owes, in millionths of
/// a call. At least one call, or nobody could ever go straight in at a low rate.
pub fn depth(calls_per_minute: u64) -> u64 {
    match calls_per_minute {
        0 => 0,
        rate => worth(SAVED, rate).max(CREDIT_ONE),
    }
}

/// Calls that may be made without a wait, as the store keeps it for all gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// Millionths of a call; negative when the leader called more than the rate gives, from what
    /// no-shows gave back.
    credit: i64,
    /// When it was last filled; never, at first, and then it counts as full.
    filled_at: Option<Timestamp>,
}

impl Meter {
    /// The meter with what the rate gave until `now`.
    #[must_use]
    pub fn filled(self, calls_per_minute: u64, now: Timestamp) -> Self {
        let depth = signed(depth(calls_per_minute));
        let credit = match self.filled_at {
            None => depth,
            Some(at) => {
                let elapsed = now.since(at).min(CREDITED_MAX);
                let given = signed(worth(elapsed, calls_per_minute));
                self.credit.saturating_add(given).min(depth)
            }
        };
        Self {
            credit,
            filled_at: Some(self.filled_at.map_or(now, |at| at.max(now))),
        }
    }

    /// Whole calls that it has.
    pub fn calls(self) -> u64 {
        u64::try_from(self.credit).unwrap_or(0) / CREDIT_ONE
    }

    /// The meter after `count` calls. It owes no more than it can save up, so that a room whose
    /// line has just emptied is transparent again within seconds.
    #[must_use]
    pub fn drawn(self, count: u64, calls_per_minute: u64) -> Self {
        let cost = signed(count.saturating_mul(CREDIT_ONE));
        let floor = -signed(depth(calls_per_minute));
        Self {
            credit: self.credit.saturating_sub(cost).max(floor),
            ..self
        }
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha20Rng;

    use super::*;

    const START: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn at(ms: u64) -> Timestamp {
        START.plus(Duration::from_millis(ms))
    }

    /// A room in stand-by, millisecond by millisecond: those whom the meter refuses wait in a
    /// line, which a leader empties at the rate.
    struct Sale {
        rate: u64,
        meter: Meter,
        in_line: u64,
        ms: u64,
        /// Thousandths of a call that the leader has not made yet.
        due: u64,
        entries: Vec<u64>,
        sent_to_wait: u64,
    }

    impl Sale {
        fn new(rate: u64) -> Self {
            Self {
                rate,
                meter: Meter::default(),
                in_line: 0,
                ms: 0,
                due: 0,
                entries: Vec::new(),
                sent_to_wait: 0,
            }
        }

        /// Passes `span_ms`, in which visitors come at random at `percent` of the rate.
        fn run(&mut self, span_ms: u64, percent: u64, rng: &mut ChaCha20Rng) {
            for _ in 0..span_ms {
                self.ms += 1;
                let now = at(self.ms);
                self.entries.push(0);
                let mut entered = 0;
                // Four draws a millisecond come close to arrivals without memory.
                for _ in 0..4 {
                    if rng.random_range(0..24_000_000) >= self.rate * percent {
                        continue;
                    }
                    self.meter = self.meter.filled(self.rate, now);
                    if self.in_line == 0 && self.meter.calls() > 0 {
                        self.meter = self.meter.drawn(1, self.rate);
                        entered += 1;
                    } else {
                        self.in_line += 1;
                        self.sent_to_wait += 1;
                    }
                }
                if self.ms.is_multiple_of(100) {
                    self.due = (self.due + self.rate * 100).min(self.rate * 100 + 59_999);
                    let calls = (self.due / 60_000).min(self.in_line);
                    self.due -= calls * 60_000;
                    self.in_line -= calls;
                    self.meter = self.meter.filled(self.rate, now).drawn(calls, self.rate);
                    entered += calls;
                }
                *self.entries.last_mut().unwrap() += entered;
            }
        }

        /// The most entries in any `window_ms`.
        fn most(&self, window_ms: usize) -> u64 {
            let mut sums = vec![0];
            for count in &self.entries {
                sums.push(sums.last().unwrap() + count);
            }
            let window_ms = window_ms.min(self.entries.len());
            let windows = sums.iter().zip(&sums[window_ms..]);
            windows.map(|(from, to)| to - from).max().unwrap_or(0)
        }
    }

    #[test]
    fn at_nine_tenths_of_the_rate_nobody_is_sent_to_wait() {
        for seed in 0..3 {
            let mut sale = Sale::new(6_000);
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            sale.run(120_000, 90, &mut rng);
            assert_eq!(sale.sent_to_wait, 0, "seed {seed}");
        }
    }

    #[test]
    fn above_the_rate_a_line_forms_and_the_rate_of_entries_holds() {
        for rate in [60, 600, 6_000] {
            let mut sale = Sale::new(rate);
            let mut rng = ChaCha20Rng::seed_from_u64(rate);
            sale.run(120_000, 300, &mut rng);
            assert!(sale.in_line > rate, "at {rate}");
            let tick = (rate / 600).max(1);
            let most = sale.most(60_000);
            assert!(most <= rate * 21 / 20 + tick + 1, "{most} at {rate}");
        }
    }

    #[test]
    fn once_the_line_is_empty_the_room_is_transparent_again_within_seconds() {
        let mut sale = Sale::new(6_000);
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        sale.run(30_000, 300, &mut rng);
        while sale.in_line > 0 {
            sale.run(100, 0, &mut rng);
        }
        sale.run(6_000, 50, &mut rng);
        let waited = sale.sent_to_wait;
        sale.run(60_000, 90, &mut rng);
        assert_eq!(sale.sent_to_wait, waited);
    }

    #[test]
    fn a_rate_of_zero_lets_nobody_in_and_a_low_one_one_at_a_time() {
        let full = |rate| Meter::default().filled(rate, START);
        assert_eq!(full(0).calls(), 0);
        let first = full(1);
        assert_eq!(first.calls(), 1);
        let spent = first.drawn(1, 1);
        assert_eq!(spent.filled(1, at(59_999)).calls(), 0);
        assert_eq!(spent.filled(1, at(60_000)).calls(), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_gives_nothing_twice() {
        let spent = Meter::default().filled(600, at(10_000)).drawn(30, 600);
        let back = spent.filled(600, START);
        assert_eq!(back.calls(), 0);
        assert_eq!(back.filled(600, at(10_100)).calls(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// RATE for stand-by and leader together, however they take turns: the rate times the
        /// window, what may be saved up, and one tick's worth of each.
        #[test]
        fn no_window_exceeds_the_rate_by_more_than_what_is_saved_up(
            rate in 1u64..60_000,
            percents in prop::collection::vec(0u64..400, 1..8),
            seed in any::<u64>(),
            window_ms in 1usize..20_000,
        ) {
            let mut sale = Sale::new(rate);
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            for percent in percents {
                sale.run(2_500, percent, &mut rng);
            }
            let window = u64::try_from(window_ms).unwrap();
            let tick = rate.div_ceil(600) + 1;
            let bound = rate * window / 60_000 + depth(rate) / CREDIT_ONE + 2 * tick;
            let most = sale.most(window_ms);
            prop_assert!(most <= bound, "{most} > {bound} in {window_ms} ms");
        }
    }
}

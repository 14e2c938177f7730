//! Upstream care: how much of the configured rate an upstream gets, by how it does.
//!
//! Two kinds of signals count. Failures: several in a row stop the calls for a while, and a share
//! of failures among recent answers slows them; that an upstream refuses for overload counts as a
//! failure. Latency: the recent latency, as an exponentially weighted average, is compared with
//! the usual one, an average with a long memory; half as much again slows the calls.
//!
//! While there is pressure the share falls by a fixed part each second, and while there is none it
//! rises by a small step each second. Between the two thresholds it stays, so that it does not go
//! up and down around one of them. After a stop it begins at the bottom (ramp-up).
//!
//! One visitor moves nothing: failures have to come from several, and of each visitor only a few
//! latencies count at a time.

use std::time::Duration;

use contract::Timestamp;

use super::latency::{Latency, Pressure};

/// A share of the rate, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RateShare(u64);

impl RateShare {
    /// The whole rate.
    pub const ALL: Self = Self(1_000_000);
    /// No calls.
    pub const NONE: Self = Self(0);

    /// The mean of several shares; none of none.
    pub fn mean(shares: impl Iterator<Item = Self>) -> Self {
        let (count, sum) = shares.fold((0, 0), |(count, sum), share| (count + 1, sum + share.0));
        Self(sum / u64::max(count, 1))
    }

    /// A share of so many millionths, at most the whole.
    pub fn millionths(millionths: u64) -> Self {
        Self(millionths).min(Self::ALL)
    }

    /// The share of `rate`, at least 1 of a rate and a share that are not zero.
    pub fn of(self, rate: u64) -> u64 {
        let share = u128::from(rate) * u128::from(self.0) / u128::from(Self::ALL.0);
        let share = u64::try_from(share).unwrap_or(u64::MAX);
        share.max(u64::from(rate > 0 && self > Self::NONE))
    }

    /// As a number from 0 to 1, for metrics.
    #[expect(clippy::cast_precision_loss, reason = "at most a million")]
    pub fn ratio(self) -> f64 {
        self.0 as f64 / Self::ALL.0 as f64
    }
}

/// Time between changes of the share.
const STEP: Duration = Duration::from_secs(1);
/// What is left of the share after a second of pressure.
const SLOWED: f64 = 0.7;
/// What is added to the share after a second without pressure: twenty seconds from none to all.
const RAISED: f64 = 0.05;
/// The smallest share that pressure alone leads to. Without calls nothing would be learnt.
const SHARE_MIN: f64 = 0.05;

/// Failures in a row that stop the calls.
const IN_A_ROW_MAX: u32 = 5;
/// From how many visitors failures have to come: one visitor's requests may fail for reasons of their
/// own.
const VISITORS_MIN: usize = 3;
/// How long calls stop.
const STOPPED_FOR: Duration = Duration::from_secs(5);

/// How long an answer counts for the share of failures, in slices of a second.
const WINDOW_SECONDS: i64 = 10;
/// [`WINDOW_SECONDS`] as the length of an array.
const WINDOW_LEN: usize = 10;
/// Fewest answers in the window for which the share is judged.
const ANSWERS_MIN: u32 = 10;
/// Shares of failures above which there is pressure, and up to which there is none.
const FAILURES_MAX: f64 = 0.1;
const FAILURES_CALM: f64 = 0.02;

/// What became of one request at an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was answered after this time.
    Answered(Duration),
    /// It was answered, and the time says nothing about the upstream.
    Untimed,
    /// It failed, or was refused because of overload.
    Failed,
}

/// Answers of one second.
#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    second: i64,
    answers: u32,
    failures: u32,
}

/// What is known of one upstream, and the share of the rate that it gets.
#[derive(Clone, Debug)]
pub struct Care {
    slices: [Slice; WINDOW_LEN],
    in_a_row: u32,
    /// Visitors of the failures in a row: no more than are needed.
    in_a_row_of: Vec<u64>,
    /// Visitors of the latest failures, each with the second of the last: no more than are needed.
    failed: Vec<(u64, i64)>,
    latency: Latency,
    share: f64,
    stopped_until: Option<Timestamp>,
    stepped_at: Option<Timestamp>,
}

impl Default for Care {
    /// Of an upstream about which nothing is known: it gets the whole rate.
    fn default() -> Self {
        Self {
            slices: [Slice::default(); WINDOW_LEN],
            in_a_row: 0,
            in_a_row_of: Vec::new(),
            failed: Vec::new(),
            latency: Latency::default(),
            share: 1.0,
            stopped_until: None,
            stepped_at: None,
        }
    }
}

impl Care {
    /// Takes in what became of a request of `visitor`.
    pub fn note(&mut self, answer: Answer, visitor: u64, now: Timestamp) {
        self.step(now);
        let second = now.as_ms().div_euclid(1000);
        let place = usize::try_from(second.rem_euclid(WINDOW_SECONDS)).unwrap_or(0);
        let slice = &mut self.slices[place];
        if slice.second != second {
            *slice = Slice {
                second,
                ..Slice::default()
            };
        }
        slice.answers += 1;
        match answer {
            Answer::Failed => {
                slice.failures += 1;
                self.in_a_row = self.in_a_row.saturating_add(1);
                if self.in_a_row_of.len() < VISITORS_MIN && !self.in_a_row_of.contains(&visitor) {
                    self.in_a_row_of.push(visitor);
                }
                self.failed.retain(|(known, _)| *known != visitor);
                if self.failed.len() >= VISITORS_MIN {
                    self.failed.remove(0);
                }
                self.failed.push((visitor, second));
                if self.in_a_row >= IN_A_ROW_MAX && self.in_a_row_of.len() >= VISITORS_MIN {
                    self.stop(now);
                }
            }
            Answer::Answered(took) => {
                self.succeeded();
                self.latency.note(took, visitor, now);
            }
            Answer::Untimed => self.succeeded(),
        }
    }

    /// Stops the calls for a while, as when a circuit breaker has opened.
    pub fn stop(&mut self, now: Timestamp) {
        self.succeeded();
        self.share = SHARE_MIN;
        self.stopped_until = Some(now.plus(STOPPED_FOR));
    }

    /// The share of the rate at `now`.
    pub fn rate_share(&mut self, now: Timestamp) -> RateShare {
        self.step(now);
        if self.is_stopped(now) {
            return RateShare::NONE;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a million"
        )]
        let millionths = (self.share * 1e6).round() as u64;
        RateShare::millionths(millionths)
    }

    /// Whether calls are stopped. A clock that was set back must not stop them for hours.
    fn is_stopped(&self, now: Timestamp) -> bool {
        let until = self.stopped_until;
        until.is_some_and(|until| now < until && until <= now.plus(STOPPED_FOR))
    }

    fn succeeded(&mut self) {
        self.in_a_row = 0;
        self.in_a_row_of.clear();
    }

    /// Changes the share by what was seen, once a [`STEP`].
    fn step(&mut self, now: Timestamp) {
        self.latency.settle(now);
        let stepped_at = *self.stepped_at.get_or_insert(now);
        if now < stepped_at {
            // The clock was set back.
            self.stepped_at = Some(now);
            return;
        }
        let passed = now.since(stepped_at);
        if passed < STEP {
            return;
        }
        self.stepped_at = Some(now);
        if self.is_stopped(now) {
            return;
        }
        match self.pressure(now) {
            Pressure::High => self.share = (self.share * SLOWED).max(SHARE_MIN),
            Pressure::Some => {}
            // After a silence, for all of it: nobody was there to be slowed for.
            Pressure::None => self.share = (self.share + RAISED * passed.as_secs_f64()).min(1.0),
        }
    }

    fn pressure(&self, now: Timestamp) -> Pressure {
        let by_failures = self.failure_pressure(now);
        let by_latency = self.latency.pressure(now);
        match (by_failures, by_latency) {
            (Pressure::High, _) | (_, Pressure::High) => Pressure::High,
            (Pressure::None, Pressure::None) => Pressure::None,
            _ => Pressure::Some,
        }
    }

    fn failure_pressure(&self, now: Timestamp) -> Pressure {
        let newest = now.as_ms().div_euclid(1000);
        let is_recent = |second: i64| (0..WINDOW_SECONDS).contains(&(newest - second));
        let (answers, failures) = self
            .slices
            .iter()
            .filter(|slice| is_recent(slice.second))
            .fold((0, 0), |(all, failed), slice| {
                (all + slice.answers, failed + slice.failures)
            });
        let visitors = self.failed.iter().filter(|(_, second)| is_recent(*second));
        if answers < ANSWERS_MIN || visitors.count() < VISITORS_MIN {
            return Pressure::None;
        }
        let share = f64::from(failures) / f64::from(answers);
        if share > FAILURES_MAX {
            Pressure::High
        } else if share > FAILURES_CALM {
            Pressure::Some
        } else {
            Pressure::None
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha20Rng;

    use super::*;

    const START: Timestamp = Timestamp::from_ms(1_790_000_000_000);
    const USUAL: Duration = Duration::from_millis(100);

    /// An upstream with a hundred answers a second, from twenty visitors.
    struct Upstream {
        care: Care,
        ms: u64,
    }

    impl Upstream {
        /// One whose latency was the usual one for a minute.
        fn known() -> Self {
            let mut upstream = Self {
                care: Care::default(),
                ms: 0,
            };
            upstream.run(60, |_| Answer::Answered(USUAL));
            assert_eq!(upstream.share(), RateShare::ALL);
            upstream
        }

        fn now(&self) -> Timestamp {
            START.plus(Duration::from_millis(self.ms))
        }

        fn share(&mut self) -> RateShare {
            let now = self.now();
            self.care.rate_share(now)
        }

        /// Passes `seconds`, with the answers that `answer` gives to the milliseconds; the shares
        /// after each second.
        fn run(&mut self, seconds: u64, mut answer: impl FnMut(u64) -> Answer) -> Vec<RateShare> {
            let mut shares = Vec::new();
            for _ in 0..seconds {
                for _ in 0..100 {
                    self.ms += 10;
                    let (answer, now) = (answer(self.ms), self.now());
                    self.care.note(answer, self.ms / 10 % 20, now);
                }
                shares.push(self.share());
            }
            shares
        }
    }

    fn times(factor: f64) -> Answer {
        Answer::Answered(USUAL.mul_f64(factor))
    }

    #[test]
    fn at_twice_the_usual_latency_calls_fall_within_five_seconds() {
        let mut upstream = Upstream::known();
        let shares = upstream.run(5, |_| times(2.0));
        assert!(shares[4] <= RateShare::millionths(500_000), "{shares:?}");
        let shares = upstream.run(30, |_| times(2.0));
        assert_eq!(
            *shares.last().unwrap(),
            RateShare::millionths(50_000),
            "and never to nothing"
        );
    }

    #[test]
    fn recovery_ramps_up_step_by_step() {
        let mut upstream = Upstream::known();
        upstream.run(20, |_| times(3.0));
        let shares = upstream.run(30, |_| times(1.0));
        assert!(shares.is_sorted(), "{shares:?}");
        let steps = shares.windows(2).map(|pair| pair[1].0 - pair[0].0);
        assert!(steps.max() <= Some(50_001), "{shares:?}");
        assert_eq!(*shares.last().unwrap(), RateShare::ALL);
    }

    #[test]
    fn between_the_thresholds_nothing_changes() {
        let mut upstream = Upstream::known();
        upstream.run(3, |_| times(2.0));
        upstream.run(3, |_| times(1.4));
        let shares = upstream.run(60, |_| times(1.4));
        assert!(shares.iter().all(|share| *share == shares[0]), "{shares:?}");
    }

    #[test]
    fn failures_in_a_row_stop_the_calls_and_then_they_ramp_up() {
        let mut upstream = Upstream::known();
        let mut fail = |visitor| {
            let now = upstream.now();
            upstream.care.note(Answer::Failed, visitor, now);
            upstream.care.rate_share(now)
        };
        for visitor in [1, 1, 1, 1, 2, 2, 1, 2] {
            assert!(
                fail(visitor) > RateShare::NONE,
                "two visitors prove nothing"
            );
        }
        assert_eq!(fail(3), RateShare::NONE);
        let stopped = upstream.run(4, |_| times(1.0));
        assert!(
            stopped.iter().all(|share| *share == RateShare::NONE),
            "{stopped:?}"
        );
        let shares = upstream.run(40, |_| times(1.0));
        assert!(shares[1] < RateShare::millionths(150_000), "{shares:?}");
        assert!(
            shares.is_sorted() && *shares.last().unwrap() == RateShare::ALL,
            "{shares:?}"
        );
    }

    #[test]
    fn a_share_of_failures_slows_the_calls() {
        let mut upstream = Upstream::known();
        let every_fifth = |ms: u64| {
            if ms.is_multiple_of(50) {
                Answer::Failed
            } else {
                times(1.0)
            }
        };
        let shares = upstream.run(10, every_fifth);
        assert!(
            *shares.last().unwrap() < RateShare::millionths(500_000),
            "{shares:?}"
        );
        // A few do not: there are always some.
        let mut upstream = Upstream::known();
        let one_in_hundred = |ms: u64| {
            if ms.is_multiple_of(1000) {
                Answer::Failed
            } else {
                times(1.0)
            }
        };
        let shares = upstream.run(60, one_in_hundred);
        assert!(
            shares.iter().all(|share| *share == RateShare::ALL),
            "{shares:?}"
        );
    }

    #[test]
    fn one_visitor_moves_nothing() {
        for answer in [Answer::Failed, times(20.0)] {
            let mut upstream = Upstream::known();
            for _ in 0..1000 {
                let now = upstream.now();
                upstream.care.note(answer, 7, now);
                upstream.ms += 10;
                upstream.care.note(times(1.0), upstream.ms / 10 % 20, now);
                assert_eq!(upstream.share(), RateShare::ALL, "{answer:?}");
            }
        }
    }

    #[test]
    fn a_rise_that_nobody_feels_is_none() {
        let mut upstream = Upstream {
            care: Care::default(),
            ms: 0,
        };
        upstream.run(60, |_| Answer::Answered(Duration::from_millis(2)));
        let shares = upstream.run(60, |_| Answer::Answered(Duration::from_millis(8)));
        assert!(
            shares.iter().all(|share| *share == RateShare::ALL),
            "{shares:?}"
        );
    }

    #[test]
    fn what_lasts_becomes_usual() {
        let mut upstream = Upstream::known();
        let shares = upstream.run(1800, |_| times(2.0));
        assert_eq!(*shares.last().unwrap(), RateShare::ALL);
    }

    #[test]
    fn after_a_silence_the_whole_rate_is_given() {
        let mut upstream = Upstream::known();
        upstream.run(20, |_| times(3.0));
        upstream.ms += 30_000;
        assert_eq!(upstream.share(), RateShare::ALL);
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing_for_long() {
        let mut care = Care::default();
        care.stop(START.plus(Duration::from_hours(1)));
        assert!(care.rate_share(START) > RateShare::NONE);
    }

    /// An upstream that gets slower the more is called: the share must settle around what it bears
    /// instead of going from all to nothing and back.
    #[test]
    fn an_upstream_that_follows_its_load_settles() {
        let mut upstream = Upstream::known();
        let mut factor = 1.0;
        let mut shares = Vec::new();
        for _ in 0..600 {
            let latency = factor;
            shares.extend(upstream.run(1, |_| times(latency)));
            let load = shares.last().unwrap().ratio();
            let wanted = 1.0 + (load - 0.5).max(0.0) * 2.4;
            factor += (wanted - factor) * 0.3;
        }
        let settled = &shares[60..];
        assert!(
            settled
                .iter()
                .all(|share| *share >= RateShare::millionths(250_000)),
            "{settled:?}"
        );
        let turns = settled.windows(3).filter(|three| {
            (three[0] < three[1] && three[1] > three[2])
                || (three[0] > three[1] && three[1] < three[2])
        });
        let turns = turns.count();
        assert!(turns <= settled.len() / 5, "{turns} turns: {settled:?}");
    }

    #[test]
    fn a_share_of_a_rate_is_never_nothing_by_rounding() {
        assert_eq!(RateShare::millionths(50_000).of(600), 30);
        assert_eq!(RateShare::millionths(50_000).of(6), 1);
        assert_eq!((RateShare::NONE.of(600), RateShare::ALL.of(0)), (0, 0));
        assert_eq!(RateShare::millionths(u64::MAX), RateShare::ALL);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// Latencies that only vary, however widely, do not slow the calls.
        #[test]
        fn answers_that_vary_are_no_pressure(seed in any::<u64>(), spread in 0.0..1.2_f64) {
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let mut upstream = Upstream { care: Care::default(), ms: 0 };
            let shares = upstream.run(180, |_| {
                // The sum of twelve is close to a normal distribution of variance one.
                let sum: f64 = (0..12).map(|_| rng.random_range(0.0..1.0_f64)).sum();
                times((spread * (sum - 6.0)).exp())
            });
            let slowed = shares.iter().filter(|share| **share < RateShare::ALL).count();
            prop_assert!(slowed == 0, "{slowed} seconds");
        }

        /// The share is never above the whole, moves by bounded steps while it rises, and is not
        /// stuck: a minute of good answers leads to the whole rate, whatever was before.
        #[test]
        fn a_minute_of_good_answers_restores_the_rate(
            answers in prop::collection::vec(0u8..4, 1..40)
        ) {
            let mut upstream = Upstream::known();
            for kind in answers {
                upstream.run(1, |_| match kind {
                    0 => Answer::Failed,
                    1 => times(5.0),
                    2 => Answer::Untimed,
                    _ => times(1.0),
                });
            }
            let shares = upstream.run(60, |_| times(1.0));
            prop_assert_eq!(*shares.last().unwrap(), RateShare::ALL);
        }
    }
}

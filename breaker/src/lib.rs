//! A circuit breaker as a pure state machine.
//!
//! While closed, it counts outcomes in a sliding window. When too many of them are failures, it
//! opens and refuses every request for [`BreakerConfig::rest`]. Then it lets probes through, one
//! per visitor: one success closes the breaker, failed probes of several visitors open it again.

use std::time::Duration;

use contract::Timestamp;

/// Slices of the sliding window; outcomes leave the window one slice at a time.
const SLICES: i64 = 10;
/// [`SLICES`] as the length of an array.
const SLICES_LEN: usize = 10;

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerConfig {
    /// How long an outcome counts.
    pub window: Duration,
    /// Fewest outcomes in the window for which the share of failures is judged.
    pub outcomes_min: u32,
    /// Per cent of the outcomes in the window that may be failures.
    pub failures_max_percent: u32,
    /// Distinct visitors whose requests have to fail before the breaker opens, or opens again:
    /// failures that one visitor can cause alone say nothing about the upstream.
    pub visitors_min: usize,
    /// How long an open breaker refuses requests before it lets probes through, and how long a
    /// visitor whose probe failed waits for the next probe.
    pub rest: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            outcomes_min: 10,
            failures_max_percent: 50,
            visitors_min: 3,
            rest: Duration::from_secs(5),
        }
    }
}

/// What a breaker does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Requests pass.
    Closed,
    /// A few requests are let through to see whether the upstream has recovered.
    HalfOpen,
    /// Requests are refused.
    Open,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream answered.
    Success,
    /// The upstream failed, was too slow or said that it is overloaded.
    Failure,
    /// The client disconnected or was at fault, so the attempt says nothing about the upstream.
    Abandoned,
}

/// The right to make one attempt. Hand it back with [`Breaker::record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    /// State changes of the breaker before the permit was given. An outcome whose permit is from an
    /// earlier state is ignored.
    epoch: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    number: i64,
    successes: u32,
    failures: u32,
}

#[derive(Clone, Debug)]
enum Phase {
    Closed,
    Open {
        since: Timestamp,
    },
    Probing {
        since: Timestamp,
        probes: Vec<Probe>,
    },
}

/// A request that tests whether the upstream has recovered.
#[derive(Clone, Copy, Debug)]
struct Probe {
    visitor: u64,
    has_failed: bool,
}

/// The breaker of one upstream.
#[derive(Debug)]
pub struct Breaker {
    config: BreakerConfig,
    slices: [Slice; SLICES_LEN],
    /// Visitors whose requests failed within the window, each with the slice of the last failure.
    /// Holds no more visitors than [`BreakerConfig::visitors_min`].
    failed: Vec<(u64, i64)>,
    phase: Phase,
    epoch: u64,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            slices: [Slice::default(); SLICES_LEN],
            failed: Vec::new(),
            phase: Phase::Closed,
            epoch: 0,
        }
    }

    /// Asks for the permit for one attempt of `visitor`. The error is the wait before the next try.
    pub fn admit(&mut self, visitor: u64, now: Timestamp) -> Result<Permit, Duration> {
        let (rest, probes_max) = (self.config.rest, self.config.visitors_min.max(1));
        // A clock that was set back must not keep the breaker open for hours.
        let left = |since| {
            let rests = now >= since && now.since(since) < rest;
            rests.then(|| rest.saturating_sub(now.since(since)))
        };
        if let Phase::Open { since } = self.phase {
            if let Some(left) = left(since) {
                return Err(left);
            }
            let probes = Vec::new();
            self.enter(Phase::Probing { since: now, probes });
        }
        if let Phase::Probing { since, probes } = &mut self.phase {
            if left(*since).is_none() {
                // Too few probes failed to open the breaker again, so their visitors may probe
                // again.
                probes.retain(|probe| !probe.has_failed);
                *since = now;
            }
            let has_probed = probes.iter().any(|probe| probe.visitor == visitor);
            if has_probed || probes.len() >= probes_max {
                return Err(left(*since).unwrap_or(rest));
            }
            probes.push(Probe {
                visitor,
                has_failed: false,
            });
        }
        Ok(Permit { epoch: self.epoch })
    }

    /// Records how an attempt of `visitor` ended.
    pub fn record(&mut self, permit: Permit, outcome: Outcome, visitor: u64, now: Timestamp) {
        if permit.epoch != self.epoch {
            return;
        }
        match (&mut self.phase, outcome) {
            (Phase::Probing { .. }, Outcome::Success) => {
                self.slices = [Slice::default(); SLICES_LEN];
                self.failed.clear();
                self.enter(Phase::Closed);
            }
            (Phase::Probing { probes, .. }, Outcome::Failure) => {
                let of_visitor = |probe: &&mut Probe| probe.visitor == visitor;
                if let Some(probe) = probes.iter_mut().find(of_visitor) {
                    probe.has_failed = true;
                }
                let failed = probes.iter().filter(|probe| probe.has_failed).count();
                if failed >= self.config.visitors_min.max(1) {
                    self.enter(Phase::Open { since: now });
                }
            }
            // An abandoned probe frees its place, so the next request becomes a probe.
            (Phase::Probing { probes, .. }, Outcome::Abandoned) => {
                probes.retain(|probe| probe.visitor != visitor || probe.has_failed);
            }
            (Phase::Closed, Outcome::Success | Outcome::Failure) => {
                self.count(outcome, now);
                if outcome == Outcome::Failure {
                    self.note_failed(visitor, now);
                }
                if self.trips(now) {
                    self.enter(Phase::Open { since: now });
                }
            }
            (Phase::Closed, Outcome::Abandoned) | (Phase::Open { .. }, _) => {}
        }
    }

    /// What the breaker does at the moment.
    pub fn state(&self, now: Timestamp) -> BreakerState {
        match self.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { since } if now >= since && now.since(since) < self.config.rest => {
                BreakerState::Open
            }
            Phase::Open { .. } | Phase::Probing { .. } => BreakerState::HalfOpen,
        }
    }

    /// Outcomes and failures in the window.
    pub fn counts(&self, now: Timestamp) -> (u32, u32) {
        let newest = self.slice_number(now);
        self.slices
            .iter()
            .filter(|slice| (0..SLICES).contains(&(newest - slice.number)))
            .fold((0, 0), |(all, failed), slice| {
                (
                    all + slice.successes + slice.failures,
                    failed + slice.failures,
                )
            })
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }

    fn trips(&self, now: Timestamp) -> bool {
        let (all, failed) = self.counts(now);
        let share = u64::from(failed) * 100;
        all >= self.config.outcomes_min
            && self.failed.len() >= self.config.visitors_min
            && share > u64::from(all) * u64::from(self.config.failures_max_percent)
    }

    fn note_failed(&mut self, visitor: u64, now: Timestamp) {
        let newest = self.slice_number(now);
        self.failed
            .retain(|(known, slice)| *known != visitor && (0..SLICES).contains(&(newest - slice)));
        if self.failed.len() >= self.config.visitors_min.max(1) {
            self.failed.remove(0);
        }
        self.failed.push((visitor, newest));
    }

    fn count(&mut self, outcome: Outcome, now: Timestamp) {
        let number = self.slice_number(now);
        let place = usize::try_from(number.rem_euclid(SLICES)).unwrap_or(0);
        let slice = &mut self.slices[place];
        if slice.number != number {
            *slice = Slice {
                number,
                ..Slice::default()
            };
        }
        match outcome {
            Outcome::Success => slice.successes += 1,
            Outcome::Failure => slice.failures += 1,
            Outcome::Abandoned => {}
        }
    }

    fn slice_number(&self, now: Timestamp) -> i64 {
        let window_ms = i64::try_from(self.config.window.as_millis()).unwrap_or(i64::MAX);
        now.as_ms().div_euclid((window_ms / SLICES).max(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn config() -> BreakerConfig {
        BreakerConfig {
            outcomes_min: 4,
            visitors_min: 1,
            ..BreakerConfig::default()
        }
    }

    fn attempt(breaker: &mut Breaker, outcome: Outcome, now: Timestamp) {
        let permit = breaker.admit(1, now).unwrap();
        breaker.record(permit, outcome, 1, now);
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(config());
        for _ in 0..4 {
            attempt(&mut breaker, Outcome::Failure, START);
        }
        breaker
    }

    #[test]
    fn opens_when_most_outcomes_are_failures() {
        let mut breaker = Breaker::new(config());
        for outcome in [
            Outcome::Success,
            Outcome::Success,
            Outcome::Failure,
            Outcome::Failure,
        ] {
            attempt(&mut breaker, outcome, START);
        }
        assert_eq!(breaker.state(START), BreakerState::Closed);
        attempt(&mut breaker, Outcome::Failure, START);
        assert_eq!(breaker.state(START), BreakerState::Open);
        assert_eq!(breaker.admit(1, START), Err(Duration::from_secs(5)));
    }

    #[test]
    fn one_visitor_opens_nothing_however_much_fails() {
        let mut breaker = Breaker::new(BreakerConfig {
            visitors_min: 3,
            ..config()
        });
        let mut fails = |visitor| {
            let permit = breaker.admit(visitor, START).unwrap();
            breaker.record(permit, Outcome::Failure, visitor, START);
            breaker.state(START)
        };
        for visitor in [1, 1, 1, 1, 1, 1, 2, 1, 2, 2, 2] {
            assert_eq!(fails(visitor), BreakerState::Closed);
        }
        assert_eq!(fails(3), BreakerState::Open);
    }

    #[test]
    fn few_outcomes_and_abandoned_attempts_prove_nothing() {
        let mut breaker = Breaker::new(config());
        for _ in 0..3 {
            attempt(&mut breaker, Outcome::Failure, START);
        }
        for _ in 0..100 {
            attempt(&mut breaker, Outcome::Abandoned, START);
        }
        assert_eq!(breaker.state(START), BreakerState::Closed);
        assert_eq!(breaker.counts(START), (3, 3));
    }

    #[test]
    fn old_failures_fade() {
        let mut breaker = Breaker::new(config());
        for _ in 0..3 {
            attempt(&mut breaker, Outcome::Failure, START);
        }
        let later = START.plus(Duration::from_secs(11));
        attempt(&mut breaker, Outcome::Failure, later);
        assert_eq!(breaker.counts(later), (1, 1));
        assert_eq!(breaker.state(later), BreakerState::Closed);
    }

    #[test]
    fn one_probe_decides_after_the_rest() {
        let mut breaker = opened();
        let rested = START.plus(Duration::from_secs(5));
        assert_eq!(breaker.state(rested), BreakerState::HalfOpen);
        let probe = breaker.admit(1, rested).unwrap();
        for visitor in [1, 2] {
            assert!(
                breaker.admit(visitor, rested).is_err(),
                "a second request passed beside the probe"
            );
        }
        breaker.record(probe, Outcome::Failure, 1, rested);
        assert_eq!(breaker.state(rested), BreakerState::Open);

        let rested = rested.plus(Duration::from_secs(5));
        attempt(&mut breaker, Outcome::Success, rested);
        assert_eq!(breaker.state(rested), BreakerState::Closed);
        assert_eq!(breaker.counts(rested), (0, 0));
    }

    #[test]
    fn an_abandoned_probe_gives_its_turn_to_the_next() {
        let mut breaker = opened();
        let rested = START.plus(Duration::from_secs(5));
        attempt(&mut breaker, Outcome::Abandoned, rested);
        assert!(breaker.admit(1, rested).is_ok());
    }

    #[test]
    fn one_visitor_keeps_no_breaker_open() {
        let mut breaker = Breaker::new(BreakerConfig {
            visitors_min: 3,
            ..config()
        });
        let fails = |breaker: &mut Breaker, visitor, now| {
            let permit = breaker.admit(visitor, now).unwrap();
            breaker.record(permit, Outcome::Failure, visitor, now);
        };
        for visitor in [1, 2, 3, 1, 2] {
            if breaker.state(START) == BreakerState::Closed {
                fails(&mut breaker, visitor, START);
            }
        }
        assert_eq!(breaker.state(START), BreakerState::Open);
        // One visitor whose probe fails does not open the breaker again; other visitors' probes
        // decide.
        let rested = START.plus(Duration::from_secs(5));
        fails(&mut breaker, 9, rested);
        assert_eq!(breaker.state(rested), BreakerState::HalfOpen);
        assert_eq!(breaker.admit(9, rested), Err(Duration::from_secs(5)));
        let hanging = breaker.admit(8, rested).unwrap();
        let good = breaker.admit(1, rested).unwrap();
        assert!(breaker.admit(2, rested).is_err(), "three probes are enough");
        breaker.record(good, Outcome::Success, 1, rested);
        assert_eq!(breaker.state(rested), BreakerState::Closed);
        breaker.record(hanging, Outcome::Failure, 8, rested);
        assert_eq!(breaker.counts(rested), (0, 0));
    }

    #[test]
    fn visitors_who_failed_before_a_probe_do_not_count_after_it() {
        let mut breaker = Breaker::new(BreakerConfig {
            visitors_min: 2,
            ..config()
        });
        for visitor in [1, 2, 1, 2] {
            let permit = breaker.admit(visitor, START).unwrap();
            breaker.record(permit, Outcome::Failure, visitor, START);
        }
        let rested = START.plus(Duration::from_secs(5));
        attempt(&mut breaker, Outcome::Success, rested);
        for _ in 0..5 {
            attempt(&mut breaker, Outcome::Failure, rested);
            assert_eq!(breaker.state(rested), BreakerState::Closed);
        }
    }

    #[test]
    fn a_lone_visitor_may_try_again_after_a_rest() {
        let mut breaker = Breaker::new(BreakerConfig {
            visitors_min: 2,
            ..config()
        });
        for visitor in [1, 2, 1, 2] {
            let permit = breaker.admit(visitor, START).unwrap();
            breaker.record(permit, Outcome::Failure, visitor, START);
        }
        let rested = START.plus(Duration::from_secs(5));
        attempt(&mut breaker, Outcome::Failure, rested);
        assert!(breaker.admit(1, rested).is_err());
        let again = rested.plus(Duration::from_secs(5));
        attempt(&mut breaker, Outcome::Success, again);
        assert_eq!(breaker.state(again), BreakerState::Closed);
    }

    #[test]
    fn an_outcome_from_before_a_change_counts_for_nothing() {
        let mut breaker = Breaker::new(config());
        let slow = breaker.admit(1, START).unwrap();
        for _ in 0..4 {
            attempt(&mut breaker, Outcome::Failure, START);
        }
        let rested = START.plus(Duration::from_secs(5));
        let probe = breaker.admit(1, rested).unwrap();
        breaker.record(slow, Outcome::Success, 1, rested);
        assert_eq!(breaker.state(rested), BreakerState::HalfOpen);
        breaker.record(probe, Outcome::Failure, 1, rested);
        assert_eq!(breaker.state(rested), BreakerState::Open);
    }

    #[test]
    fn a_clock_set_back_does_not_keep_it_open() {
        let mut breaker = opened();
        assert!(
            breaker
                .admit(1, START.minus(Duration::from_hours(1)))
                .is_ok()
        );
    }

    proptest! {
        #[test]
        fn at_most_one_attempt_runs_while_not_closed(
            steps in proptest::collection::vec((0u64..4000, 0u8..4), 1..200)
        ) {
            let mut breaker = Breaker::new(config());
            let mut now = START;
            let mut running: Vec<Permit> = Vec::new();
            for (ms, step) in steps {
                now = now.plus(Duration::from_millis(ms));
                let before = breaker.state(now);
                match step {
                    0 => if let Ok(permit) = breaker.admit(1, now) {
                        prop_assert_ne!(before, BreakerState::Open);
                        running.push(permit);
                    },
                    _ => if let Some(permit) = running.pop() {
                        let outcome = [Outcome::Success, Outcome::Failure, Outcome::Abandoned];
                        breaker.record(permit, outcome[usize::from(step) - 1], 1, now);
                    },
                }
                if breaker.state(now) != BreakerState::Closed {
                    let probes = running.iter().filter(|one| one.epoch == breaker.epoch).count();
                    prop_assert!(probes <= 1);
                }
            }
        }
    }
}

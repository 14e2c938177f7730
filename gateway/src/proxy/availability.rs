//! Whether requests are sent to one of several addresses of a service, and how many of them may be
//! sent again elsewhere.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use contract::Timestamp;
use metrics::{Counter, Gauge, counter, gauge};

use super::ejection::{Ejection, EjectionConfig};
use super::telemetry;

/// What a retry takes from the budget, and the share of it that a request puts in: one retry for
/// five requests in the long run.
const RETRY_COST: i64 = 5;
/// The most retries at once: what a server has underway when it dies is asked for again elsewhere.
const RETRIES_MAX: i64 = 500;
/// Retries that an address may cause before it has had any request.
const RETRIES_FIRST: i64 = 100;

/// The state of one address. Of an upstream with a single address it is never asked.
pub(super) struct Availability {
    config: EjectionConfig,
    ejection: Mutex<Ejection>,
    /// Nothing has to be taken in when a request is answered.
    is_clean: AtomicBool,
    /// Milliseconds; left out before that.
    out_until: AtomicI64,
    /// Checks that fail: one for each way in which rooms have the address checked.
    failing_checks: AtomicU32,
    /// In shares of a retry.
    budget: AtomicI64,
    up: Gauge,
    ejections: Counter,
}

impl Availability {
    pub(super) fn new(label: &str, config: EjectionConfig) -> Self {
        let label = label.to_owned();
        let up = gauge!(telemetry::UP, "upstream" => label.clone());
        up.set(1.0);
        Self {
            config,
            ejection: Mutex::default(),
            is_clean: true.into(),
            out_until: i64::MIN.into(),
            failing_checks: 0.into(),
            budget: (RETRIES_FIRST * RETRY_COST).into(),
            up,
            ejections: counter!(telemetry::EJECTIONS_TOTAL, "upstream" => label),
        }
    }

    /// Whether requests are sent there at `now`.
    pub(super) fn is_up(&self, now: Timestamp) -> bool {
        self.ejected_until(now).is_none() && !self.fails_checks()
    }

    /// Until when it is left out, if it is. A time further away than the longest span is of a clock
    /// that was set back.
    pub(super) fn ejected_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.out_until.load(Ordering::Relaxed);
        let is_out = until > now.as_ms() && until <= now.plus(self.config.span_max).as_ms();
        is_out.then(|| Timestamp::from_ms(until))
    }

    /// Whether a check of it fails.
    pub(super) fn fails_checks(&self) -> bool {
        self.failing_checks.load(Ordering::Relaxed) > 0
    }

    /// Takes in that a request was answered.
    pub(super) fn answered(&self, now: Timestamp) {
        if self.is_clean.load(Ordering::Relaxed) {
            return;
        }
        let mut ejection = self.lock();
        ejection.answered(&self.config, now);
        self.is_clean.store(ejection.is_clean(), Ordering::Relaxed);
    }

    /// Takes in that a request was answered while no address was up: this one is.
    pub(super) fn is_back(&self, now: Timestamp) {
        let mut ejection = self.lock();
        ejection.is_back(now);
        let until = self.out_until.load(Ordering::Relaxed).min(now.as_ms());
        self.out_until.store(until, Ordering::Relaxed);
    }

    /// Takes in that a request of `visitor` failed; `None` for a failure that no visitor can bring
    /// about. Whether the address is left out from now on.
    pub(super) fn failed(&self, visitor: Option<u64>, now: Timestamp) -> bool {
        let mut ejection = self.lock();
        let until = ejection.failed(&self.config, visitor, now);
        self.is_clean.store(false, Ordering::Relaxed);
        let Some(until) = until else {
            return false;
        };
        self.out_until.store(until.as_ms(), Ordering::Relaxed);
        self.ejections.increment(1);
        self.up.set(0.0);
        true
    }

    /// Notes that one of the checks began to fail, or no longer does.
    pub(super) fn check_turned(&self, fails: bool) {
        if fails {
            self.failing_checks.fetch_add(1, Ordering::Relaxed);
        } else {
            self.failing_checks.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Shows whether requests are sent there.
    pub(super) fn show(&self, now: Timestamp) {
        self.up.set(if self.is_up(now) { 1.0 } else { 0.0 });
    }

    /// Shows that requests are sent there: it is the only address of its service.
    pub(super) fn is_only(&self) {
        self.up.set(1.0);
    }

    /// Puts the share of a request into the budget of retries.
    pub(super) fn request_begins(&self) {
        let budget = self.budget.fetch_add(1, Ordering::Relaxed);
        if budget >= RETRIES_MAX * RETRY_COST {
            self.budget.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes a retry from the budget, if it has one.
    pub(super) fn may_retry(&self) -> bool {
        let left = |budget: i64| (budget >= RETRY_COST).then_some(budget - RETRY_COST);
        self.budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
            .is_ok()
    }

    /// Ignores poisoning: the state is valid between any two statements.
    fn lock(&self) -> std::sync::MutexGuard<'_, Ejection> {
        self.ejection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_fifth_of_the_requests_in_the_long_run() {
        let address = Availability::new("shop:1", EjectionConfig::default());
        for _ in 0..RETRIES_FIRST {
            assert!(address.may_retry());
        }
        assert!(!address.may_retry());
        for _ in 0..50 {
            address.request_begins();
        }
        let retries = (0..50).filter(|_| address.may_retry()).count();
        assert_eq!(retries, 10);
        for _ in 0..100_000 {
            address.request_begins();
        }
        let retries = (0..100_000).filter(|_| address.may_retry()).count();
        assert_eq!(i64::try_from(retries), Ok(RETRIES_MAX));
    }

    #[test]
    fn an_address_is_up_unless_it_failed_or_a_check_does() {
        let now = Timestamp::from_ms(1_790_000_000_000);
        let address = Availability::new("shop:1", EjectionConfig::default());
        assert!(address.is_up(now));
        address.check_turned(true);
        address.check_turned(true);
        address.check_turned(false);
        assert!(!address.is_up(now), "one of two checks");
        address.check_turned(false);
        assert!(address.is_up(now));
        let turned: Vec<_> = (0..4).map(|_| address.failed(None, now)).collect();
        assert_eq!(turned, [false, false, true, false]);
        assert!(!address.is_up(now));
        address.is_back(now);
        assert!(address.is_up(now));
        assert!(address.failed(None, now));
        let until = address.ejected_until(now).unwrap();
        assert!(address.is_up(until));
        assert_eq!(address.ejected_until(until), None);
    }
}

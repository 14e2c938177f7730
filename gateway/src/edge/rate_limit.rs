//! Rate limits per address and per place.
//!
//! The limits are generous, because an office or a mobile network may share one address. They keep
//! a single machine from using up the line's capacity; they do not tell people from programs.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;

use contract::{PlaceId, Problem, ProblemCode};
use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota};
use metrics::{counter, gauge};
use web::ApiError;

use super::client_ip::{AddressGroup, ClientIp};
use super::telemetry;

/// A sustained rate, and the size of a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Sustained rate, in calls per second.
    pub per_second: NonZeroU32,
    /// Burst size, in calls.
    pub burst: NonZeroU32,
}

/// The rates per address and per place.
#[derive(Clone, Copy, Debug)]
pub struct RateLimitConfig {
    /// Joins per address.
    pub joins: Rate,
    /// Other calls to the line per address.
    pub calls: Rate,
    /// Status calls per place.
    pub polls: Rate,
    /// Verified signatures of uncached passes, per address.
    pub signatures: Rate,
}

/// The limits of one gateway process. Clones share them.
///
/// An address or place is remembered until its burst is full again (10 s after its last call with
/// the default rates) and then until the next [`RateLimits::forget_idle_once`], so the memory is
/// bounded by the number of calls in that time.
#[derive(Clone)]
pub struct RateLimits(Arc<Limits>);

struct Limits {
    joins: Limit<AddressGroup>,
    calls: Limit<AddressGroup>,
    polls: Limit<PlaceId>,
    signatures: Limit<AddressGroup>,
}

/// One limit, and its name in metrics.
struct Limit<K: Clone + Eq + Hash> {
    name: &'static str,
    limiter: DefaultKeyedRateLimiter<K>,
}

impl Rate {
    /// A rate with each value raised to at least one.
    pub(crate) fn at_least_one(per_second: u32, burst: u32) -> Self {
        Self {
            per_second: NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN),
            burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN),
        }
    }
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self {
            joins: Rate::at_least_one(50, 500),
            calls: Rate::at_least_one(100, 1000),
            polls: Rate::at_least_one(2, 20),
            // At most 1% of a core per address, and far more than the fans that are called at once.
            signatures: Rate::at_least_one(200, 1000),
        }
    }
}

impl RateLimits {
    /// Limits without any calls counted.
    pub fn new(config: RateLimitConfig) -> Self {
        Self(Arc::new(Limits {
            joins: Limit::new("joins", config.joins),
            calls: Limit::new("calls", config.calls),
            polls: Limit::new("polls", config.polls),
            signatures: Limit::new("signatures", config.signatures),
        }))
    }

    /// Counts a join by `client`.
    pub fn check_join(&self, client: ClientIp) -> Result<(), ApiError> {
        self.0.joins.check_client(client)
    }

    /// Counts another call of the line by `client`.
    pub fn check_call(&self, client: ClientIp) -> Result<(), ApiError> {
        self.0.calls.check_client(client)
    }

    /// Counts a status call for `place`.
    pub fn check_poll(&self, place: PlaceId) -> Result<(), ApiError> {
        self.0.polls.check(&place)
    }

    /// Counts the verification of a signature for `client`.
    pub fn check_signature(&self, client: ClientIp) -> Result<(), ApiError> {
        self.0.signatures.check_client(client)
    }

    /// Forgets addresses and places whose burst is full again.
    pub fn forget_idle_once(&self) {
        self.0.joins.forget_idle();
        self.0.calls.forget_idle();
        self.0.polls.forget_idle();
        self.0.signatures.forget_idle();
        for (name, count) in self.remembered() {
            let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
            gauge!(telemetry::RATE_LIMIT_KEYS, "limit" => name).set(count);
        }
    }

    /// Number of addresses or places that each limit remembers.
    pub fn remembered(&self) -> [(&'static str, usize); 4] {
        [
            self.0.joins.remembered(),
            self.0.calls.remembered(),
            self.0.polls.remembered(),
            self.0.signatures.remembered(),
        ]
    }
}

impl<K: Clone + Eq + Hash> Limit<K> {
    fn new(name: &'static str, rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Self {
            name,
            limiter: DefaultKeyedRateLimiter::keyed(quota),
        }
    }

    fn check(&self, key: &K) -> Result<(), ApiError> {
        self.limiter.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.limiter.clock().now());
            // Rounded up: a client that waits for less would be refused again.
            refusal(self.name, wait.as_secs() + 1)
        })
    }

    fn forget_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }

    fn remembered(&self) -> (&'static str, usize) {
        (self.name, self.limiter.len())
    }
}

impl Limit<AddressGroup> {
    fn check_client(&self, client: ClientIp) -> Result<(), ApiError> {
        match client.limited_as() {
            Some(address) => self.check(&address),
            None => Ok(()),
        }
    }
}

fn refusal(limit: &'static str, wait_seconds: u64) -> ApiError {
    counter!(telemetry::RATE_LIMITED_TOTAL, "limit" => limit).increment(1);
    Problem::new(ProblemCode::RateLimited)
        .detail("Slow down and try again after the time in Retry-After.")
        .retry_after(u32::try_from(wait_seconds).unwrap_or(u32::MAX))
        .into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_place_has_a_limit_of_its_own() {
        let limits = RateLimits::new(RateLimitConfig {
            polls: Rate::at_least_one(1, 3),
            ..RateLimitConfig::default()
        });
        let place = PlaceId::from_bytes([1; 16]);
        for _ in 0..3 {
            limits.check_poll(place).unwrap();
        }
        let refused = limits.check_poll(place).unwrap_err();
        assert_eq!(refused.problem().code, ProblemCode::RateLimited);
        assert_eq!(refused.problem().retry_after_seconds, Some(1));
        limits.check_poll(PlaceId::from_bytes([2; 16])).unwrap();
    }

    #[tokio::test]
    async fn what_has_rested_is_forgotten() {
        let limits = RateLimits::new(RateLimitConfig {
            polls: Rate::at_least_one(1000, 1),
            ..RateLimitConfig::default()
        });
        limits.check_poll(PlaceId::from_bytes([1; 16])).unwrap();
        assert_eq!(limits.remembered()[2], ("polls", 1));
        let forgotten = async {
            while limits.remembered()[2].1 > 0 {
                limits.forget_idle_once();
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), forgotten)
            .await
            .unwrap();
    }
}

//! What all requests to one upstream share: breaker, slots, connection pool and metrics.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use contract::room::AddressStats;
use contract::upstream::{Bounds, Upstream};
use contract::{Clock, Problem, ProblemCode, Timestamp};
use data_encoding::BASE64URL_NOPAD;
use line::policy::care::{Answer, RateShare};
use line::policy::place::subkey;
use web::ApiError;

use super::availability::Availability;
use super::care::UpstreamCare;
use super::connection::HeadSize;
use super::ejection::EjectionConfig;
use super::figures::Figures;
use super::pool::{Pool, PoolLimits};
use super::shares::{Allowed, Kind, Limits, Share, Shares, Visitor};
use super::slots::{Slot, Slots};
use breaker::{Breaker, BreakerConfig, BreakerState, Outcome, Permit};

/// Upstreams that have a lane of their own. Operators name the upstreams, so the bound only guards
/// against mistakes: beyond it, further upstreams share one lane until others are named no more.
const LANES_MAX: usize = 256;
/// Bytes of the name of an address.
const NAME_BYTES: usize = 9;
/// The metric label of the upstreams beyond [`LANES_MAX`].
const LANE_OVERFLOW: &str = "other";

/// The recent health of an upstream, an input to the admission rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneHealth {
    /// What the breaker does at the moment.
    pub breaker: BreakerState,
    /// Attempts that ended within the breaker's window.
    pub outcomes: u32,
    /// How many of the outcomes are failures.
    pub failures: u32,
    /// Requests and tunnels underway.
    pub in_flight: usize,
}

/// The lanes of all upstreams.
pub(super) struct Lanes {
    by_name: RwLock<HashMap<String, Arc<Lane>>>,
    breaker: BreakerConfig,
    ejection: EjectionConfig,
    /// Names lanes to visitors.
    naming_key: [u8; 32],
    limits: Limits,
    pool_limits: PoolLimits,
}

/// The shared state of one upstream.
pub(super) struct Lane {
    /// Idle connections; `None` in the lane that several upstreams share.
    pub(super) pool: Option<Arc<Pool>>,
    breaker: Mutex<Breaker>,
    care: UpstreamCare,
    limits: Limits,
    slots: Arc<Slots>,
    shares: Arc<Shares>,
    figures: Figures,
    /// Where it is one of several addresses.
    availability: Availability,
    /// What visitors know it by who stay with it: tells nothing of where it is.
    name: Arc<str>,
    /// It has sent a head with more than the usual number of headers.
    has_large_heads: AtomicBool,
}

/// One request to an upstream, from the breaker's permit to the last byte of the response.
///
/// Dropping it early means that the client disconnected, which the breaker does not count as a
/// failure.
pub(super) struct Attempt {
    lane: Arc<Lane>,
    clock: Arc<dyn Clock>,
    permit: Permit,
    stage: Stage,
    visitor: Visitor,
    /// Identifies the visitor to the breaker.
    visitor_hash: u64,
    allowed: Allowed,
    slot: Slot,
    share: Share,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    AwaitsHead,
    AwaitsBody,
    Over,
}

impl Lanes {
    pub(super) fn new(
        breaker: BreakerConfig,
        ejection: EjectionConfig,
        limits: Limits,
        pool_limits: PoolLimits,
    ) -> Self {
        Self {
            by_name: RwLock::default(),
            breaker,
            ejection,
            naming_key: [0; 32],
            limits,
            pool_limits,
        }
    }

    /// Names lanes to visitors by this key.
    pub(super) fn name_by(&mut self, key: [u8; 32]) {
        self.naming_key = key;
    }

    pub(super) fn of(&self, upstream: &Upstream) -> Arc<Lane> {
        let known = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let name = label_of(upstream);
        if let Some(lane) = known.get(name) {
            return Arc::clone(lane);
        }
        let label = if known.len() < LANES_MAX {
            name
        } else {
            LANE_OVERFLOW
        };
        drop(known);
        let mut known = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let lane = known.entry(label.to_owned()).or_insert_with(|| {
            Arc::new(Lane {
                pool: (label != LANE_OVERFLOW).then(|| Arc::new(Pool::new(self.pool_limits))),
                breaker: Mutex::new(Breaker::new(self.breaker)),
                care: UpstreamCare::default(),
                limits: self.limits,
                slots: Arc::default(),
                shares: Arc::default(),
                figures: Figures::of(label),
                availability: Availability::new(label, self.ejection),
                name: name_of(label, &self.naming_key),
                has_large_heads: AtomicBool::new(false),
            })
        });
        Arc::clone(lane)
    }

    /// Whether there is a lane with this label in metrics.
    pub(super) fn has(&self, label: &str) -> bool {
        let known = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        known.contains_key(label)
    }

    /// Forgets the lanes of upstreams that are not `named` and have nothing underway, which makes
    /// room for others.
    pub(super) fn keep<'a>(&self, named: impl Iterator<Item = &'a Upstream>) {
        let named: HashSet<&str> = named.map(label_of).collect();
        let is_over = |label: &str, lane: &Arc<Lane>| {
            let is_named = if label == LANE_OVERFLOW {
                named.len() > LANES_MAX
            } else {
                named.contains(label)
            };
            !is_named && Arc::strong_count(lane) == 1
        };
        let known = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        if !known.iter().any(|(label, lane)| is_over(label, lane)) {
            return;
        }
        drop(known);
        let mut known = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|label, lane| !is_over(label, lane));
    }
}

/// The label of an upstream in metrics: its authority, after the scheme if it is encrypted.
fn label_of(upstream: &Upstream) -> &str {
    if upstream.is_encrypted() {
        upstream.server()
    } else {
        upstream.authority()
    }
}

/// The name of an address, which only the gateways can make.
fn name_of(label: &str, key: &[u8; 32]) -> Arc<str> {
    let whole = subkey(key, label.as_bytes());
    let (short, _) = whole.split_at(NAME_BYTES);
    BASE64URL_NOPAD.encode(short).into()
}

impl Lane {
    pub(super) fn availability(&self) -> &Availability {
        &self.availability
    }

    /// Requests and tunnels underway.
    pub(super) fn underway(&self) -> usize {
        self.slots.underway()
    }

    /// Whether visitors know it by this name.
    pub(super) fn is_named(&self, name: &str) -> bool {
        *self.name == *name
    }

    /// How it does as one of several addresses.
    pub(super) fn address_stats(&self, address: &Upstream, now: Timestamp) -> AddressStats {
        AddressStats {
            url: address.url().to_owned(),
            is_up: self.availability.is_up(now),
            ejected_until: self.availability.ejected_until(now),
            fails_checks: self.availability.fails_checks(),
            in_flight: u64::try_from(self.underway()).unwrap_or(u64::MAX),
        }
    }

    /// Asks to send one request of `visitor` in a room with `bounds`. Refuses over the visitor's or
    /// the upstream's limit, and while the breaker is open.
    pub(super) fn begin(
        self: &Arc<Self>,
        clock: &Arc<dyn Clock>,
        visitor: Visitor,
        bounds: Bounds,
    ) -> Result<Attempt, ApiError> {
        let allowed = Allowed::of(self.limits, bounds, visitor);
        let share = self.share(visitor, Kind::Request, allowed.own_requests_max)?;
        let slot = self.slots.take(allowed.connections_max);
        let slot = slot.ok_or_else(|| self.saturated())?;
        let (now, visitor_hash) = (clock.now(), visitor.hash_value());
        let (admitted, state) = {
            let mut breaker = lock(&self.breaker);
            (breaker.admit(visitor_hash, now), breaker.state(now))
        };
        self.show_breaker(state);
        let permit = admitted.map_err(|wait| {
            self.count_request("resting");
            let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1);
            Problem::new(ProblemCode::UpstreamUnavailable)
                .detail("The service failed too often and is given a moment to recover.")
                .retry_after(seconds)
        })?;
        self.figures.in_flight.increment(1.0);
        Ok(Attempt {
            lane: Arc::clone(self),
            clock: Arc::clone(clock),
            permit,
            stage: Stage::AwaitsHead,
            visitor,
            visitor_hash,
            allowed,
            slot,
            share,
        })
    }

    /// Counts one more request or stream of `visitor`; refuses when they already have `max`.
    fn share(&self, visitor: Visitor, kind: Kind, max: usize) -> Result<Share, ApiError> {
        self.shares.take(visitor, kind, max).ok_or_else(|| {
            let (word, detail) = match visitor {
                Visitor::Session(_) => (
                    "session-limit",
                    "This session has as many requests underway as one may have.",
                ),
                Visitor::Address(_) | Visitor::Unknown => (
                    "address-limit",
                    "Your network has as many requests underway as one may have.",
                ),
            };
            self.count_request(word);
            Problem::new(ProblemCode::RateLimited).detail(detail).into()
        })
    }

    fn saturated(&self) -> ApiError {
        self.count_request("saturated");
        Problem::new(ProblemCode::UpstreamUnavailable)
            .detail("The service has as many requests as it may be given at once.")
            .into()
    }

    pub(super) fn health(&self, clock: &dyn Clock) -> LaneHealth {
        let now = clock.now();
        let breaker = lock(&self.breaker);
        let (outcomes, failures) = breaker.counts(now);
        LaneHealth {
            breaker: breaker.state(now),
            outcomes,
            failures,
            in_flight: self.slots.underway(),
        }
    }

    /// The share of its rate that a room with this upstream may call at: none while the breaker
    /// is open.
    pub(super) fn rate_share(&self, now: Timestamp) -> RateShare {
        if lock(&self.breaker).state(now) == BreakerState::Open {
            return RateShare::NONE;
        }
        self.care.rate_share(now)
    }

    /// The size of the heads that the upstream may send.
    pub(super) fn heads(&self) -> HeadSize {
        if self.has_large_heads.load(Ordering::Relaxed) {
            HeadSize::Large
        } else {
            HeadSize::Usual
        }
    }

    /// Notes that a head was larger than usual. Whether this is the first.
    pub(super) fn head_was_too_large(&self) -> bool {
        !self.has_large_heads.swap(true, Ordering::Relaxed)
    }

    pub(super) fn count_retry(&self) {
        self.figures.retries.increment(1);
    }

    fn count_request(&self, outcome: &'static str) {
        self.figures.requests.count(outcome);
    }

    fn count_body(&self, outcome: &'static str) {
        self.figures.bodies.count(outcome);
    }

    fn show_breaker(&self, state: BreakerState) {
        let level = match state {
            BreakerState::Closed => 0.0,
            BreakerState::HalfOpen => 1.0,
            BreakerState::Open => 2.0,
        };
        self.figures.breaker.set(level);
    }
}

impl Attempt {
    /// What visitors know the address by who stay with it.
    pub(super) fn address_name(&self) -> &Arc<str> {
        &self.lane.name
    }

    /// The pool that the connection of this request returns to.
    pub(super) fn pool(&self) -> Option<Arc<Pool>> {
        self.lane.pool.clone()
    }

    /// Records the head of a response, which came `took` after the upstream had the whole request,
    /// and what `answer` it is for the calls of the line.
    pub(super) fn head(
        &mut self,
        word: &'static str,
        outcome: Outcome,
        took: Duration,
        answer: Answer,
    ) {
        self.lane.figures.head_seconds.record(took);
        self.lane
            .care
            .note(answer, self.visitor_hash, self.clock.now());
        self.settle(word, outcome);
        self.stage = Stage::AwaitsBody;
    }

    /// Counts the response as a stream instead of a request from now on: it lasts for as long as
    /// the client listens.
    pub(super) fn becomes_stream(&mut self) -> Result<(), ApiError> {
        let own_max = self.allowed.own_streams_max;
        let share = self.lane.share(self.visitor, Kind::Stream, own_max);
        let taken = share.and_then(|share| {
            let may = self.slot.becomes_stream(self.allowed.streams_max);
            may.then_some(share).ok_or_else(|| self.lane.saturated())
        });
        match taken {
            Ok(share) => {
                self.share = share;
                Ok(())
            }
            Err(refused) => {
                self.stage = Stage::Over;
                Err(refused)
            }
        }
    }

    /// Records that no response came.
    pub(super) fn failed(&mut self, word: &'static str, outcome: Outcome) {
        if outcome == Outcome::Failure {
            self.lane
                .care
                .note(Answer::Failed, self.visitor_hash, self.clock.now());
        }
        self.settle(word, outcome);
        self.stage = Stage::Over;
    }

    /// Records that the whole response was passed on.
    pub(super) fn body_complete(&mut self) {
        if self.stage == Stage::AwaitsBody {
            self.lane.count_body("complete");
            self.stage = Stage::Over;
        }
    }

    /// Records that the gateway cut the response off; the breaker does not count it as a failure.
    pub(super) fn body_cut_off(&mut self, word: &'static str) {
        if self.stage == Stage::AwaitsBody {
            self.lane.count_body(word);
            self.stage = Stage::Over;
        }
    }

    /// Records that the upstream broke off in the middle of its response.
    pub(super) fn body_failed(&mut self, word: &'static str) {
        if self.stage == Stage::AwaitsBody {
            self.lane.count_body(word);
            self.lane
                .care
                .note(Answer::Failed, self.visitor_hash, self.clock.now());
            self.record(Outcome::Failure);
            self.stage = Stage::Over;
        }
    }

    fn settle(&mut self, word: &'static str, outcome: Outcome) {
        self.lane.count_request(word);
        self.record(outcome);
    }

    fn record(&self, outcome: Outcome) {
        let now = self.clock.now();
        let (before, after) = {
            let mut breaker = lock(&self.lane.breaker);
            let before = breaker.state(now);
            breaker.record(self.permit, outcome, self.visitor_hash, now);
            (before, breaker.state(now))
        };
        if after == BreakerState::Open && before != after {
            // So that calls ramp up when it closes.
            self.lane.care.stop(now);
        }
        self.lane.show_breaker(after);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        match self.stage {
            Stage::AwaitsHead => self.settle("client-gone", Outcome::Abandoned),
            Stage::AwaitsBody => self.lane.count_body("client-gone"),
            Stage::Over => {}
        }
        self.lane.figures.in_flight.decrement(1.0);
    }
}

/// Ignores poisoning: the state is valid between any two statements, and a panic in another request
/// must not disable the upstream.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use contract::SystemClock;

    use super::*;

    fn lanes() -> Lanes {
        let limits = Limits {
            connections_max: 4,
            requests_per_session_max: 4,
            streams_per_session_max: 4,
        };
        let pools = PoolLimits {
            rest_max: Duration::from_secs(1),
            count_max: 1,
        };
        Lanes::new(
            BreakerConfig::default(),
            EjectionConfig::default(),
            limits,
            pools,
        )
    }

    fn upstream(number: usize) -> Upstream {
        format!("http://shop-{number}:80").parse().unwrap()
    }

    #[test]
    fn a_lane_that_no_room_names_makes_room_for_another() {
        let lanes = lanes();
        let named: Vec<_> = (0..LANES_MAX).map(upstream).collect();
        for one in &named {
            lanes.of(one);
        }
        let next = upstream(LANES_MAX);
        assert!(lanes.of(&next).pool.is_none(), "it shares one");
        assert!(lanes.has(LANE_OVERFLOW) && !lanes.has(next.authority()));
        lanes.keep(named[1..].iter().chain([&next]));
        assert!(!lanes.has(named[0].authority()) && !lanes.has(LANE_OVERFLOW));
        assert!(lanes.of(&next).pool.is_some(), "it has one of its own");
        assert!(lanes.has(next.authority()));
        assert!(lanes.has(named[1].authority()));
    }

    #[test]
    fn a_lane_with_a_request_underway_is_kept_until_its_end() {
        let lanes = lanes();
        let one = upstream(0);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let begun = lanes
            .of(&one)
            .begin(&clock, Visitor::Unknown, Bounds::default());
        let begun = begun.ok().unwrap();
        lanes.keep(std::iter::empty());
        assert!(lanes.has(one.authority()));
        drop(begun);
        lanes.keep(std::iter::empty());
        assert!(!lanes.has(one.authority()));
    }

    #[test]
    fn plain_and_encrypted_are_two_services() {
        let lanes = lanes();
        let labels = ["http://shop", "https://shop"].map(|url| {
            let upstream: Upstream = url.parse().unwrap();
            lanes.of(&upstream);
            label_of(&upstream).to_owned()
        });
        assert_eq!(labels, ["shop", "https://shop"]);
        assert!(labels.iter().all(|label| lanes.has(label)));
    }
}

//! Limits on how often one address, and one place, may call.
//!
//! They are generous: a whole office or mobile network may share one address. Their task is to
//! keep a single machine from using up what the line can take, not to tell people from programs.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use contract::{PlaceId, Problem, ProblemCode};
use futures_util::future::Either;
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::{DefaultKeyedRateLimiter, Quota};
use http::{Request, Response};
use metrics::{counter, gauge};
use tower::{Layer, Service};
use tower_governor::governor::{Governor, GovernorConfig, GovernorConfigBuilder};
use tower_governor::key_extractor::KeyExtractor;
use tower_governor::{GovernorError, GovernorLayer, ResponseFuture};
use web::ApiError;

use super::client_ip::{AddressGroup, ClientIp};
use super::telemetry;

/// A sustained rate, and the size of a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls a second, sustained.
    pub per_second: NonZeroU32,
    /// Calls at once after a pause.
    pub burst: NonZeroU32,
}

/// What one address and one place may do.
#[derive(Clone, Copy, Debug)]
pub struct RateLimitConfig {
    /// Joins from one address.
    pub joins: Rate,
    /// Other calls of the line from one address.
    pub calls: Rate,
    /// Status calls with one place.
    pub polls: Rate,
    /// Signatures of passes that were not seen before, from one address.
    pub signatures: Rate,
}

/// The limits of one gateway process.
///
/// An address or place is remembered until its burst is whole again, 10 s after its last call
/// with the default numbers, and then until the next [`RateLimits::forget_idle_once`]: what they
/// take is bounded by the calls of that time.
#[derive(Clone)]
pub struct RateLimits {
    joins: AddressLimit,
    calls: AddressLimit,
    places: Arc<DefaultKeyedRateLimiter<PlaceId>>,
    signatures: Arc<DefaultKeyedRateLimiter<AddressGroup>>,
}

/// A layer that limits calls by address.
#[derive(Clone)]
pub struct AddressLimit {
    name: &'static str,
    config: Arc<GovernorConfig<ByAddress, NoOpMiddleware>>,
}

/// A service behind an [`AddressLimit`].
#[derive(Clone)]
pub struct AddressLimited<S> {
    governed: Governor<ByAddress, NoOpMiddleware, S, Body>,
}

/// Counts calls by the [`ClientIp`] that the middleware has put into the request.
#[derive(Clone, Copy, Debug)]
pub struct ByAddress;

impl Rate {
    /// `per_second` and `burst`, each at least one.
    pub(crate) fn at_least_one(per_second: u32, burst: u32) -> Self {
        Self {
            per_second: NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN),
            burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN),
        }
    }

    fn period(self) -> Duration {
        Duration::from_secs(1) / self.per_second.get()
    }
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self {
            joins: Rate::at_least_one(50, 500),
            calls: Rate::at_least_one(100, 1000),
            polls: Rate::at_least_one(2, 20),
            // One hundredth of a core for each address, and far more than are called at once.
            signatures: Rate::at_least_one(200, 1000),
        }
    }
}

impl RateLimits {
    /// Limits that have counted nothing yet.
    pub fn new(config: RateLimitConfig) -> Self {
        let quota = |rate: Rate| Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Self {
            joins: AddressLimit::new("joins", config.joins),
            calls: AddressLimit::new("calls", config.calls),
            places: Arc::new(DefaultKeyedRateLimiter::keyed(quota(config.polls))),
            signatures: Arc::new(DefaultKeyedRateLimiter::keyed(quota(config.signatures))),
        }
    }

    /// The layer for joins.
    pub fn joins(&self) -> AddressLimit {
        self.joins.clone()
    }

    /// The layer for all other calls of the line.
    pub fn calls(&self) -> AddressLimit {
        self.calls.clone()
    }

    /// Counts a status call with `place`.
    pub fn check_poll(&self, place: PlaceId) -> Result<(), ApiError> {
        self.places.check_key(&place).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.places.clock().now());
            refusal("polls", wait.as_secs() + 1)
        })
    }

    /// Counts the check of a signature for `client`.
    pub fn check_signature(&self, client: ClientIp) -> Result<(), ApiError> {
        let Some(address) = client.limited_as() else {
            return Ok(());
        };
        self.signatures.check_key(&address).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.signatures.clock().now());
            refusal("signatures", wait.as_secs() + 1)
        })
    }

    /// Forgets addresses and places whose burst is whole again.
    pub fn forget_idle_once(&self) {
        for limit in [&self.joins, &self.calls] {
            let limiter = limit.config.limiter();
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        self.places.retain_recent();
        self.places.shrink_to_fit();
        self.signatures.retain_recent();
        self.signatures.shrink_to_fit();
        for (name, count) in self.remembered() {
            let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
            gauge!(telemetry::RATE_LIMIT_KEYS, "limit" => name).set(count);
        }
    }

    /// How many addresses or places each limit remembers.
    pub fn remembered(&self) -> [(&'static str, usize); 4] {
        [
            (self.joins.name, self.joins.config.limiter().len()),
            (self.calls.name, self.calls.config.limiter().len()),
            ("polls", self.places.len()),
            ("signatures", self.signatures.len()),
        ]
    }
}

impl AddressLimit {
    fn new(name: &'static str, rate: Rate) -> Self {
        let config = GovernorConfigBuilder::default()
            .key_extractor(ByAddress)
            .period(rate.period())
            .burst_size(rate.burst.get())
            .finish()
            .expect("a period of a second over a u32 and a non-zero burst are both above zero");
        Self {
            name,
            config: Arc::new(config),
        }
    }
}

impl<S> Layer<S> for AddressLimit {
    type Service = AddressLimited<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let name = self.name;
        let governed = GovernorLayer::new(Arc::clone(&self.config))
            .error_handler(move |error| into_response(name, &error))
            .layer(inner);
        AddressLimited { governed }
    }
}

impl<S> Service<Request<Body>> for AddressLimited<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<ResponseFuture<S::Future, Body>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.governed.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let client = request.extensions().get::<ClientIp>();
        if client.is_some_and(|client| client.limited_as().is_none()) {
            return Either::Right(self.governed.inner.call(request));
        }
        Either::Left(self.governed.call(request))
    }
}

impl KeyExtractor for ByAddress {
    type Key = AddressGroup;

    fn extract<T>(&self, request: &Request<T>) -> Result<AddressGroup, GovernorError> {
        request
            .extensions()
            .get::<ClientIp>()
            .and_then(|client| client.limited_as())
            .ok_or(GovernorError::UnableToExtractKey)
    }
}

fn into_response(limit: &'static str, error: &GovernorError) -> Response<Body> {
    use axum::response::IntoResponse;

    match error {
        // Rounded down by the layer: a client that waits just that long would be refused again.
        GovernorError::TooManyRequests { wait_time, .. } => refusal(limit, wait_time + 1),
        GovernorError::UnableToExtractKey | GovernorError::Other { .. } => {
            ApiError::internal(&"no layer has found out the client's address")
        }
    }
    .into_response()
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

//! How often one address, and one customer, may call.
//!
//! Browsing, holding, paying and confirming are counted apart, so that looking at many shows
//! keeps nobody from paying. The limits by address are generous: a whole office or mobile network
//! may share one. Whoever has no session and no pass yet is counted by address alone.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use contract::{Problem, ProblemCode};
use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota};
use http::Method;
use web::{ApiError, LimitedAs};

use crate::app::Booking;
use crate::config::{Rate, RatePair, Rates};
use crate::customer::Customer;
use crate::telemetry;

/// What a request is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Browse,
    Hold,
    Pay,
    Confirm,
}

/// One kind's limits. An address or customer is remembered until its burst is whole again, and
/// then until the next [`Limits::forget_idle`].
struct Pair {
    name: &'static str,
    by_address: DefaultKeyedRateLimiter<IpAddr>,
    by_customer: DefaultKeyedRateLimiter<String>,
}

/// The limits of one process.
pub(crate) struct Limits([Pair; 4]);

impl Limits {
    /// Limits that have counted nothing yet.
    pub(crate) fn new(rates: &Rates) -> Self {
        Self([
            Pair::new("browse", rates.browse),
            Pair::new("hold", rates.hold),
            Pair::new("pay", rates.pay),
            Pair::new("confirm", rates.confirm),
        ])
    }

    /// Forgets whoever has rested.
    pub(crate) fn forget_idle(&self) {
        for pair in &self.0 {
            pair.by_address.retain_recent();
            pair.by_address.shrink_to_fit();
            pair.by_customer.retain_recent();
            pair.by_customer.shrink_to_fit();
        }
    }

    /// Counts a request. Fails with the seconds to wait.
    fn check(
        &self,
        kind: Kind,
        address: Option<IpAddr>,
        customer: Option<&String>,
    ) -> Result<(), (&'static str, u64)> {
        let [browse, hold, pay, confirm] = &self.0;
        let pair = match kind {
            Kind::Browse => browse,
            Kind::Hold => hold,
            Kind::Pay => pay,
            Kind::Confirm => confirm,
        };
        // The customer first: one who calls too often uses up nothing of the others' share.
        if let Some(customer) = customer {
            checked(&pair.by_customer, customer).map_err(|wait| (pair.name, wait))?;
        }
        if let Some(address) = address {
            checked(&pair.by_address, &address).map_err(|wait| (pair.name, wait))?;
        }
        Ok(())
    }
}

impl Pair {
    fn new(name: &'static str, pair: RatePair) -> Self {
        Self {
            name,
            by_address: DefaultKeyedRateLimiter::keyed(quota(pair.address)),
            by_customer: DefaultKeyedRateLimiter::keyed(quota(pair.customer)),
        }
    }
}

fn quota(rate: Rate) -> Quota {
    Quota::per_second(rate.per_second).allow_burst(rate.burst)
}

fn checked<K: Clone + Eq + std::hash::Hash>(
    limiter: &DefaultKeyedRateLimiter<K>,
    key: &K,
) -> Result<(), u64> {
    limiter.check_key(key).map_err(|not_until| {
        let wait = not_until.wait_time_from(limiter.clock().now());
        wait.as_secs() + 1
    })
}

/// Refuses requests above the limits. The pages' guard makes a page of the refusal.
pub(crate) async fn middleware(
    State(booking): State<Booking>,
    request: Request,
    next: Next,
) -> Response {
    let Some(kind) = kind_of(request.method(), request.uri().path()) else {
        return next.run(request).await;
    };
    let address = request
        .extensions()
        .get::<LimitedAs>()
        .map(|limited| limited.0);
    let customer = name_of(&booking.customer(request.headers()));
    match booking.0.limits.check(kind, address, customer.as_ref()) {
        Ok(()) => next.run(request).await,
        Err((limit, seconds)) => {
            metrics::counter!(telemetry::RATE_LIMITED, "limit" => limit).increment(1);
            let problem = Problem::new(ProblemCode::RateLimited)
                .detail("Slow down and try again after the time in Retry-After.")
                .retry_after(u32::try_from(seconds).unwrap_or(u32::MAX));
            ApiError::from(problem).into_response()
        }
    }
}

fn name_of(customer: &Customer) -> Option<String> {
    customer
        .subjects()
        .into_iter()
        .next()
        .or_else(|| customer.session_digest())
}

/// What a request is counted as; `None` for the provider's webhooks, which are signed.
fn kind_of(method: &Method, path: &str) -> Option<Kind> {
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    Some(match (method.as_str(), parts.as_slice()) {
        (_, ["payments", _, "webhook"]) => return None,
        ("POST", ["shows", _, "holds"] | ["holds", _, "release"]) | ("DELETE", ["holds", _]) => {
            Kind::Hold
        }
        ("POST", ["holds", _, "payments"]) => Kind::Pay,
        ("POST", ["holds", _, "confirm"]) | (_, ["holds", _, "return"]) => Kind::Confirm,
        _ => Kind::Browse,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_counted_apart() {
        for (method, path, kind) in [
            (Method::GET, "/", Some(Kind::Browse)),
            (Method::GET, "/api/v1/shows/a/seats", Some(Kind::Browse)),
            (Method::POST, "/api/v1/shows/a/holds", Some(Kind::Hold)),
            (Method::POST, "/shows/a/holds", Some(Kind::Hold)),
            (Method::DELETE, "/api/v1/holds/h", Some(Kind::Hold)),
            (Method::POST, "/api/v1/holds/h/payments", Some(Kind::Pay)),
            (Method::POST, "/holds/h/payments", Some(Kind::Pay)),
            (Method::POST, "/api/v1/holds/h/confirm", Some(Kind::Confirm)),
            (Method::GET, "/holds/h/return", Some(Kind::Confirm)),
            (Method::POST, "/api/v1/payments/stripe/webhook", None),
        ] {
            assert_eq!(kind_of(&method, path), kind, "{method} {path}");
        }
    }

    #[test]
    fn a_customer_and_an_address_have_limits_of_their_own() {
        let rates = Rates::default();
        let limits = Limits::new(&rates);
        let (customer, address) = ("c".to_owned(), IpAddr::from([192, 0, 2, 1]));
        let burst = rates.pay.customer.burst.get();
        let pay = |customer: Option<&String>| limits.check(Kind::Pay, Some(address), customer);
        for _ in 0..burst {
            pay(Some(&customer)).unwrap();
        }
        let (limit, seconds) = pay(Some(&customer)).unwrap_err();
        assert_eq!((limit, seconds > 0), ("pay", true));
        // Neither another customer nor another kind is concerned.
        pay(Some(&"d".to_owned())).unwrap();
        limits
            .check(Kind::Confirm, Some(address), Some(&customer))
            .unwrap();
        let most = rates.pay.address.burst.get() + 1000;
        assert!((0..most).any(|_| pay(None).is_err()));
        limits.check(Kind::Pay, None, None).unwrap();
    }
}

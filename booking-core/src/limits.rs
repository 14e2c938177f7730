//! Rate limits per address and per customer.
//!
//! Browsing, holding, paying, confirming, scanning and asking for mails are counted separately, so that browsing many shows
//! does not keep a customer from paying. The limits by address are generous, because an office or a
//! mobile network may share one. A request without session and pass is counted by address alone.

use std::net::IpAddr;

use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota};

use crate::config::{Rate, RatePair, Rates};

/// The group that a request is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Browse,
    Hold,
    Pay,
    Confirm,
    Scan,
    Mails,
}

/// The limits of one group. An address or customer is remembered until its burst is full again, and
/// then until the next [`Limits::forget_idle`].
struct Pair {
    name: &'static str,
    by_address: DefaultKeyedRateLimiter<IpAddr>,
    by_customer: DefaultKeyedRateLimiter<String>,
}

/// The limits of one process.
pub(crate) struct Limits([Pair; 6]);

impl Limits {
    /// Limits without any requests counted.
    pub(crate) fn new(rates: &Rates) -> Self {
        Self([
            Pair::new("browse", rates.browse),
            Pair::new("hold", rates.hold),
            Pair::new("pay", rates.pay),
            Pair::new("confirm", rates.confirm),
            Pair::new("scan", rates.scan),
            Pair::new("mails", rates.mails),
        ])
    }

    /// Forgets addresses and customers whose burst is full again.
    pub(crate) fn forget_idle(&self) {
        for pair in &self.0 {
            pair.by_address.retain_recent();
            pair.by_address.shrink_to_fit();
            pair.by_customer.retain_recent();
            pair.by_customer.shrink_to_fit();
        }
    }

    /// Counts a request. The error is the name of the limit and the seconds to wait.
    pub(crate) fn check(
        &self,
        kind: Kind,
        address: Option<IpAddr>,
        customer: Option<&String>,
    ) -> Result<(), (&'static str, u64)> {
        let [browse, hold, pay, confirm, scan, mails] = &self.0;
        let pair = match kind {
            Kind::Browse => browse,
            Kind::Hold => hold,
            Kind::Pay => pay,
            Kind::Confirm => confirm,
            Kind::Scan => scan,
            Kind::Mails => mails,
        };
        // The customer first, so that a customer over the limit does not use up the address's rate.
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

#[cfg(test)]
mod tests {
    use super::*;

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
        // Other customers and other groups are not affected.
        pay(Some(&"d".to_owned())).unwrap();
        limits
            .check(Kind::Confirm, Some(address), Some(&customer))
            .unwrap();
        let most = rates.pay.address.burst.get() + 1000;
        assert!((0..most).any(|_| pay(None).is_err()));
        limits.check(Kind::Pay, None, None).unwrap();
    }
}

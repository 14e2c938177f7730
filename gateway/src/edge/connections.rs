//! Limits on a listener's connections, in all and by address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::client_ip::{AddressGroup, TrustedProxies};

/// Limits on connections.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Open connections, switched ones included. A process has 20,000 open files; the remaining
    /// ones are for upstreams, stores and logs.
    pub total_max: usize,
    /// Open connections from one IPv4 address or one IPv6 /64. High, because a mobile network puts
    /// many fans behind one address, and low enough that one client can use only a fraction of all.
    pub per_address_max: usize,
    /// Proxies, whose connections carry many fans and are not counted by address.
    pub trusted: TrustedProxies,
    /// Whether loopback peers are counted by address. `false` where an undeclared local proxy may
    /// carry all fans.
    pub counts_loopback: bool,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            total_max: 16_000,
            per_address_max: 2_000,
            trusted: TrustedProxies::default(),
            counts_loopback: false,
        }
    }
}

/// The connections of one listener, or of several that share an address. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    limits: ConnectionLimits,
    total: Arc<Semaphore>,
    /// Has no more entries than there are connections.
    by_address: Arc<Mutex<HashMap<AddressGroup, usize>>>,
}

/// One counted connection; dropping it lowers the counts.
#[derive(Debug)]
pub(super) struct ConnectionPlace {
    _total: OwnedSemaphorePermit,
    counted: Option<Counted>,
}

#[derive(Debug)]
struct Counted {
    address: AddressGroup,
    by_address: Arc<Mutex<HashMap<AddressGroup, usize>>>,
}

/// Why a connection is refused; also the metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The listener has its maximum of connections.
    Listener,
    /// The address has its maximum of connections.
    Address,
}

impl Full {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Listener => "total",
            Self::Address => "address",
        }
    }
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self {
            total: Arc::new(Semaphore::new(limits.total_max)),
            limits,
            by_address: Arc::default(),
        }
    }

    /// Counts a connection from `peer`.
    pub(super) fn enter(&self, peer: IpAddr) -> Result<ConnectionPlace, Full> {
        let counted = match self.group_of(peer) {
            Some(address) => Some(self.count(address)?),
            None => None,
        };
        let total = Arc::clone(&self.total).try_acquire_owned();
        Ok(ConnectionPlace {
            _total: total.map_err(|_| Full::Listener)?,
            counted,
        })
    }

    /// Counts the connection at `place` for `client`, whose address a proxy told.
    pub(super) fn carries(&self, place: &mut ConnectionPlace, client: IpAddr) -> Result<(), Full> {
        if let Some(address) = self.group_of(client) {
            place.counted = Some(self.count(address)?);
        }
        Ok(())
    }

    /// The group that a connection from `peer` is counted for; `None` if not by address.
    fn group_of(&self, peer: IpAddr) -> Option<AddressGroup> {
        let peer = peer.to_canonical();
        let is_exempt = self.limits.trusted.contains(peer)
            || (peer.is_loopback() && !self.limits.counts_loopback);
        (!is_exempt).then(|| AddressGroup::of(peer))
    }

    fn count(&self, address: AddressGroup) -> Result<Counted, Full> {
        let mut by_address = lock(&self.by_address);
        let count = by_address.entry(address).or_default();
        if *count >= self.limits.per_address_max {
            return Err(Full::Address);
        }
        *count += 1;
        Ok(Counted {
            address,
            by_address: Arc::clone(&self.by_address),
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut by_address = lock(&self.by_address);
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// Ignores poisoning: every change of the counts is a single call, so a panic leaves them
/// consistent.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(total_max: usize, per_address_max: usize) -> Connections {
        Connections::new(ConnectionLimits {
            total_max,
            per_address_max,
            trusted: TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]),
            counts_loopback: false,
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let connections = connections(100, 2);
        let first = connections.enter(ip("192.0.2.1")).unwrap();
        let _second = connections.enter(ip("::ffff:192.0.2.1")).unwrap();
        let refused = connections.enter(ip("192.0.2.1")).unwrap_err();
        assert_eq!(refused, Full::Address);
        let _other = connections.enter(ip("192.0.2.2")).unwrap();
        drop(first);
        let _again = connections.enter(ip("192.0.2.1")).unwrap();
    }

    #[test]
    fn a_subscriber_of_ipv6_has_one_share() {
        let connections = connections(100, 2);
        let _places = [1, 2].map(|n| connections.enter(ip(&format!("2001:db8::{n}"))).unwrap());
        let refused = connections.enter(ip("2001:db8::3:4")).unwrap_err();
        assert_eq!(refused, Full::Address);
        let _other = connections.enter(ip("2001:db8:0:1::1")).unwrap();
    }

    #[test]
    fn proxies_and_loopback_count_for_all_only() {
        let connections = connections(3, 1);
        let _places: Vec<_> = ["10.0.0.1", "10.0.0.1", "127.0.0.1"]
            .map(|text| connections.enter(ip(text)).unwrap())
            .into();
        let refused = connections.enter(ip("10.0.0.1")).unwrap_err();
        assert_eq!(refused, Full::Listener);
        assert!(lock(&connections.by_address).is_empty());
    }

    #[test]
    fn a_client_behind_a_proxy_counts_by_its_own_address() {
        let connections = connections(9, 1);
        let behind = || {
            let mut place = connections.enter(ip("10.0.0.1")).unwrap();
            let counted = connections.carries(&mut place, ip("192.0.2.1"));
            counted.map(|()| place)
        };
        let first = behind().unwrap();
        assert_eq!(behind().unwrap_err(), Full::Address);
        assert_eq!(
            connections.enter(ip("192.0.2.1")).unwrap_err(),
            Full::Address
        );
        drop(first);
        behind().unwrap();
    }

    #[test]
    fn who_is_refused_for_the_listeners_sake_leaves_no_count() {
        let connections = connections(1, 5);
        let place = connections.enter(ip("192.0.2.1")).unwrap();
        assert_eq!(
            connections.enter(ip("192.0.2.2")).unwrap_err(),
            Full::Listener
        );
        drop(place);
        assert!(lock(&connections.by_address).is_empty());
    }
}

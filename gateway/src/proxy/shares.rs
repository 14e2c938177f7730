//! What one visitor may have of an upstream at once, so that none takes it from all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::PlaceId;

use super::headers::Forwarded;
use crate::edge::client_ip::AddressGroup;

/// Whom requests count for: the session, or the address of a visitor without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Visitor {
    Session(PlaceId),
    Address(AddressGroup),
}

impl Visitor {
    pub(super) fn of(forwarded: &Forwarded) -> Self {
        match forwarded.principals.first() {
            Some(fan) => Self::Session(fan.subject),
            None => Self::address(forwarded.client_ip),
        }
    }

    fn address(address: IpAddr) -> Self {
        Self::Address(AddressGroup::of(address))
    }
}

/// What each visitor has of one upstream. No larger than what is underway there.
#[derive(Debug, Default)]
pub(super) struct Shares(Mutex<HashMap<Visitor, Counts>>);

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    requests: usize,
    streams: usize,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A request until the end of its answer.
    Request,
    /// An event stream or a tunnel.
    Stream,
}

/// One request or stream of a visitor, given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    shares: Arc<Shares>,
    visitor: Visitor,
    kind: Kind,
}

impl Shares {
    /// One more of `kind` for `visitor`, unless they have `max`. Addresses are not limited: many
    /// fans may share one, and the edge limits their connections.
    pub(super) fn take(
        self: &Arc<Self>,
        visitor: Visitor,
        kind: Kind,
        max: usize,
    ) -> Option<Share> {
        let mut shares = self.lock();
        let has = shares
            .get_mut(&visitor)
            .map_or(0, |counts| *counts.of(kind));
        if matches!(visitor, Visitor::Session(_)) && has >= max {
            return None;
        }
        *shares.entry(visitor).or_default().of(kind) += 1;
        Some(Share {
            shares: Arc::clone(self),
            visitor,
            kind,
        })
    }

    /// A panic elsewhere leaves the counts whole: each change is one call.
    fn lock(&self) -> MutexGuard<'_, HashMap<Visitor, Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn of(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Request => &mut self.requests,
            Kind::Stream => &mut self.streams,
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut shares = self.shares.lock();
        if let Some(counts) = shares.get_mut(&self.visitor) {
            *counts.of(self.kind) -= 1;
            if counts.requests + counts.streams == 0 {
                shares.remove(&self.visitor);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_its_share_of_each_kind_and_gets_it_back() {
        let shares = Arc::new(Shares::default());
        let one = Visitor::Session(PlaceId::from_bytes([1; 16]));
        let two = Visitor::Session(PlaceId::from_bytes([2; 16]));
        let take = |visitor, kind| shares.take(visitor, kind, 1);
        let request = take(one, Kind::Request).unwrap();
        assert!(take(one, Kind::Request).is_none());
        let _stream = take(one, Kind::Stream).unwrap();
        let _other = take(two, Kind::Request).unwrap();
        drop(request);
        drop(take(one, Kind::Request).unwrap());
        let address = Visitor::address([192, 0, 2, 1].into());
        let _many = [0; 3].map(|_| take(address, Kind::Request).unwrap());
    }

    #[test]
    fn nobody_is_remembered_who_has_nothing() {
        let shares = Arc::new(Shares::default());
        let one = Visitor::Session(PlaceId::from_bytes([1; 16]));
        drop(shares.take(one, Kind::Stream, 1).unwrap());
        assert!(shares.take(one, Kind::Stream, 0).is_none());
        assert!(shares.lock().is_empty());
    }
}

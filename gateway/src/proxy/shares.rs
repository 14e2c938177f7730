//! Limits on one visitor's share of an upstream, so that no visitor uses all of it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::PlaceId;
use contract::upstream::Bounds;

use crate::edge::client_ip::AddressGroup;

/// Fewest visitors that can fill an upstream: one visitor may use at most 1/4 of it, unless the
/// minimums below allow more.
const VISITORS_MIN: usize = 4;
/// Requests of one visitor at even the smallest upstream: browsers open six connections.
const REQUESTS_MIN: usize = 8;
/// Event streams and tunnels of one visitor at even the smallest upstream, as from several tabs.
const STREAMS_MIN: usize = 4;

/// Whom requests are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Visitor {
    /// A session of a room, or the pass of a visitor whose address is not known.
    Session(PlaceId),
    /// All visitors at one address: in an idle room, a client can get any number of passes.
    Address(AddressGroup),
    /// A visitor without a pass behind an undeclared proxy, which may carry many fans.
    Unknown,
}

impl Visitor {
    /// Tells visitors apart where only their number counts.
    pub(super) fn hash_value(self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// Limits of the proxy per upstream and per session.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_field_names,
    reason = "names of limits end in max everywhere"
)]
pub(super) struct Limits {
    /// Connections to an upstream whose room sets no limit.
    pub(super) connections_max: usize,
    /// Requests of one session, at most.
    pub(super) requests_per_session_max: usize,
    /// Event streams and tunnels of one session, at most.
    pub(super) streams_per_session_max: usize,
}

/// Limits for one request: the counts below which it may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_field_names,
    reason = "names of limits end in max everywhere"
)]
pub(super) struct Allowed {
    /// Concurrent connections of all visitors.
    pub(super) connections_max: usize,
    /// Connections that carry event streams and tunnels: half, so that the rest stay free for
    /// pages.
    pub(super) streams_max: usize,
    /// Concurrent requests of the visitor.
    pub(super) own_requests_max: usize,
    /// Concurrent event streams and tunnels of the visitor.
    pub(super) own_streams_max: usize,
}

impl Allowed {
    pub(super) fn of(limits: Limits, bounds: Bounds, visitor: Visitor) -> Self {
        let connections_max = bounds.connections_max.unwrap_or(limits.connections_max);
        let streams_max = connections_max.div_ceil(2);
        let requests = (connections_max / VISITORS_MIN).max(REQUESTS_MIN);
        let streams = (streams_max / VISITORS_MIN).max(STREAMS_MIN);
        let (own_requests_max, own_streams_max) = match visitor {
            Visitor::Session(_) => (
                requests.min(limits.requests_per_session_max),
                streams.min(limits.streams_per_session_max),
            ),
            Visitor::Address(_) => (requests, streams),
            Visitor::Unknown => (usize::MAX, usize::MAX),
        };
        Self {
            connections_max,
            streams_max,
            own_requests_max,
            own_streams_max,
        }
    }
}

/// Counts per visitor at one upstream. Has no more entries than there are requests and streams
/// underway.
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

/// One counted request or stream of a visitor; dropping it lowers the count.
#[derive(Debug)]
pub(super) struct Share {
    shares: Arc<Shares>,
    visitor: Visitor,
    kind: Kind,
}

impl Shares {
    /// Counts one more of `kind` for `visitor`; `None` when they already have `max`.
    pub(super) fn take(
        self: &Arc<Self>,
        visitor: Visitor,
        kind: Kind,
        max: usize,
    ) -> Option<Share> {
        let mut shares = self.lock();
        match shares.entry(visitor) {
            Entry::Occupied(mut known) => {
                let has = known.get_mut().of(kind);
                if *has >= max {
                    return None;
                }
                *has += 1;
            }
            Entry::Vacant(unknown) => {
                if max == 0 {
                    return None;
                }
                *unknown.insert(Counts::default()).of(kind) += 1;
            }
        }
        Some(Share {
            shares: Arc::clone(self),
            visitor,
            kind,
        })
    }

    /// Ignores poisoning: every change of the counts is a single call, so a panic leaves them
    /// consistent.
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

    fn session(n: u8) -> Visitor {
        Visitor::Session(PlaceId::from_bytes([n; 16]))
    }

    #[test]
    fn a_visitor_has_a_share_of_each_kind_and_gets_it_back() {
        let shares = Arc::new(Shares::default());
        let take = |visitor, kind| shares.take(visitor, kind, 1);
        let request = take(session(1), Kind::Request).unwrap();
        assert!(take(session(1), Kind::Request).is_none());
        let _stream = take(session(1), Kind::Stream).unwrap();
        let _other = take(session(2), Kind::Request).unwrap();
        drop(request);
        drop(take(session(1), Kind::Request).unwrap());
        let address = |text: &str| Visitor::Address(AddressGroup::of(text.parse().unwrap()));
        let _one = take(address("192.0.2.1"), Kind::Request).unwrap();
        assert!(take(address("192.0.2.1"), Kind::Request).is_none());
        let _other = take(address("192.0.2.2"), Kind::Request).unwrap();
    }

    #[test]
    fn nobody_is_remembered_who_has_nothing() {
        let shares = Arc::new(Shares::default());
        drop(shares.take(session(1), Kind::Stream, 1).unwrap());
        assert!(shares.take(session(1), Kind::Stream, 0).is_none());
        assert!(shares.lock().is_empty());
    }

    #[test]
    fn nobody_has_more_than_a_quarter_of_an_upstream_but_what_a_browser_needs() {
        let limits = Limits {
            connections_max: 4096,
            requests_per_session_max: 64,
            streams_per_session_max: 16,
        };
        let address = Visitor::Address(AddressGroup::of([192, 0, 2, 1].into()));
        for (set, visitor, expected) in [
            (None, session(1), (4096, 2048, 64, 16)),
            (None, address, (4096, 2048, 1024, 512)),
            (Some(100), session(1), (100, 50, 25, 12)),
            (Some(100), address, (100, 50, 25, 12)),
            (Some(2), session(1), (2, 1, 8, 4)),
            (Some(1), address, (1, 1, 8, 4)),
        ] {
            let bounds = Bounds {
                connections_max: set,
                ..Bounds::default()
            };
            let allowed = Allowed::of(limits, bounds, visitor);
            let found = (
                allowed.connections_max,
                allowed.streams_max,
                allowed.own_requests_max,
                allowed.own_streams_max,
            );
            assert_eq!(found, expected, "{set:?} {visitor:?}");
        }
        let unknown = Allowed::of(limits, Bounds::default(), Visitor::Unknown);
        assert_eq!(unknown.own_requests_max, usize::MAX);
    }
}

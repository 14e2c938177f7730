//! What a room lets through without a limit: counted by why, so that none passes unnoticed.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use contract::{RoomId, Timestamp};
use metrics::{Counter, counter};
use serde::Serialize;

use crate::policy::passes_by::PassesBy;
use crate::telemetry;

/// Counts of one reason. They only grow.
struct Count {
    requests: AtomicU64,
    passes: AtomicU64,
    requests_metric: Counter,
    passes_metric: Counter,
}

/// What one gateway let through in one room without a limit, since the process began.
pub struct Unmetered {
    counts: [Count; PassesBy::ALL.len()],
    /// When the first was let through that is not in the audit log yet, milliseconds; 0 when all
    /// are.
    since_ms: AtomicI64,
}

/// How many were let through for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Passed {
    /// Requests.
    pub requests: u64,
    /// Passes that were given to some of them.
    pub passes: u64,
}

impl Passed {
    /// Those beyond `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            passes: self.passes.saturating_sub(earlier.passes),
        }
    }
}

impl Unmetered {
    /// Nothing yet; metrics are those of `room`.
    pub fn of(room: &RoomId) -> Self {
        let count = |why: PassesBy| {
            let room = || room.to_string();
            Count {
                requests: AtomicU64::new(0),
                passes: AtomicU64::new(0),
                requests_metric: counter!(telemetry::GATE, "room" => room(), "outcome" => why.as_str()),
                passes_metric: counter!(telemetry::UNMETERED_PASSES, "room" => room(), "reason" => why.as_str()),
            }
        };
        Self {
            counts: PassesBy::ALL.map(count),
            since_ms: AtomicI64::new(0),
        }
    }

    /// Counts a request that the gate lets through.
    pub fn request(&self, why: PassesBy, now: Timestamp) {
        let count = &self.counts[why as usize];
        count.requests_metric.increment(1);
        count.requests.fetch_add(1, Ordering::Relaxed);
        self.note(now);
    }

    /// Counts a pass that is given.
    pub fn pass(&self, why: PassesBy, now: Timestamp) {
        let count = &self.counts[why as usize];
        count.passes_metric.increment(1);
        count.passes.fetch_add(1, Ordering::Relaxed);
        self.note(now);
    }

    /// How many so far, by why.
    pub fn passed(&self) -> [(PassesBy, Passed); PassesBy::ALL.len()] {
        PassesBy::ALL.map(|why| {
            let count = &self.counts[why as usize];
            let passed = Passed {
                requests: count.requests.load(Ordering::Relaxed),
                passes: count.passes.load(Ordering::Relaxed),
            };
            (why, passed)
        })
    }

    /// Takes when the first was let through since this was last called; `None` when none was.
    pub(crate) fn take_since(&self) -> Option<Timestamp> {
        let since = self.since_ms.swap(0, Ordering::AcqRel);
        (since != 0).then(|| Timestamp::from_ms(since))
    }

    /// When the first was let through since then.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        let since = self.since_ms.load(Ordering::Acquire);
        (since != 0).then(|| Timestamp::from_ms(since))
    }

    /// Notes that one was let through at `now`.
    pub(crate) fn note(&self, now: Timestamp) {
        if self.since_ms.load(Ordering::Relaxed) == 0 {
            let now = now.as_ms();
            // Of several at the same moment, one is the first.
            let _first =
                self.since_ms
                    .compare_exchange(0, now, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
}

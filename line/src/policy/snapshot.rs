//! The snapshot of a line: enough to tell every place its position, at a size that does not
//! grow with the line.
//!
//! The order keys of the first places are listed one by one; the rest is described by knots,
//! pairs of order key and rank, about evenly spaced in rank. A position is a binary search and,
//! behind the head, an interpolation between two knots: exact near the front, within half a
//! knot's distance behind.

use contract::Timestamp;
use contract::line::EstimateAccuracy;
use serde::{Deserialize, Serialize};

use super::order::OrderKey;

/// Places at the front whose keys are listed one by one.
pub const HEAD_PLACES: usize = 1000;
/// Knots that describe the rest. With a thousand, a position is off by 0.1 % of the line at most.
pub const KNOTS: usize = 1000;

/// Counts of a room at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Places in the line, including those popped for a call that is not logged yet.
    pub in_line: u64,
    /// Places without a connection.
    pub absent: u64,
    /// Called and not claimed.
    pub called: u64,
    /// Sessions.
    pub active: u64,
    /// Places ever given.
    pub joins: u64,
    /// Calls ever made.
    pub calls: u64,
    /// Calls ever claimed.
    pub claims: u64,
    /// Calls whose deadline passed.
    pub no_shows: u64,
    /// Sessions ended before their time.
    pub ended: u64,
    /// Calls that let a visitor straight in, in stand-by. A gateway of an earlier version left none.
    #[serde(default)]
    pub straight: u64,
    /// Sum of the waits of live joiners called under the present leader, in milliseconds.
    pub waited_ms: u64,
    /// How many that sum is of.
    pub waited: u64,
}

impl Counts {
    /// Whether nobody waited, was called or was in a session.
    pub fn is_empty(&self) -> bool {
        self.in_line == 0 && self.called == 0 && self.active == 0
    }
}

/// A line at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was taken, milliseconds.
    pub taken_ms: i64,
    /// How often the name of a deleted room had been used again.
    pub epoch: u32,
    /// Counts at that moment.
    pub counts: Counts,
    /// Keys of the first places, ascending.
    pub head: Vec<u64>,
    /// Order key and rank (places with a smaller key), ascending; the first is where the head
    /// ends, the last is the last place. Empty when the head holds all.
    pub knots: Vec<(u64, u64)>,
    /// The live clock: the largest live key ever given, less the base of live keys.
    pub clock: u64,
    /// Names the making of the room in the store. Another name means that the store lost its
    /// memory in between.
    pub birth: String,
    /// Why the leader called no more, as [`LimitedBy`](contract::room::LimitedBy) writes it. A
    /// gateway of an earlier version left none, one of a later version may know other words.
    #[serde(default)]
    pub limited_by: Option<String>,
    /// How good the wait estimates were, as the leader has seen them turn out.
    #[serde(default)]
    pub accuracy: Option<EstimateAccuracy>,
}

/// How many are ahead, and whether that is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Places with a smaller key.
    pub ahead: u64,
    /// Counted, not interpolated.
    pub exact: bool,
}

impl Snapshot {
    /// When it was taken.
    pub fn taken_at(&self) -> Timestamp {
        Timestamp::from_ms(self.taken_ms)
    }

    /// How many places have a smaller key than `key`.
    pub fn rank(&self, key: OrderKey) -> Rank {
        let key = key.get();
        let ahead = self.head.partition_point(|k| *k < key);
        if ahead < self.head.len() || self.knots.is_empty() {
            return Rank {
                ahead: count(ahead),
                exact: true,
            };
        }
        let next = self.knots.partition_point(|(k, _)| *k < key);
        match (
            next.checked_sub(1).map(|i| self.knots[i]),
            self.knots.get(next),
        ) {
            // Behind the last place: it joined after the snapshot was taken.
            (Some((_, rank)), None) => Rank {
                ahead: rank + 1,
                exact: false,
            },
            (Some(low), Some(high)) => Rank {
                ahead: interpolate(low, *high, key),
                exact: false,
            },
            (None, _) => Rank {
                ahead: count(self.head.len()),
                exact: true,
            },
        }
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// The rank of `key` between two knots. The result lies within them, so that two keys are
/// never shown in the wrong order.
fn interpolate(low: (u64, u64), high: (u64, u64), key: u64) -> u64 {
    if key == high.0 {
        return high.1;
    }
    let span = u128::from(high.0 - low.0).max(1);
    let steps = u128::from(high.1.saturating_sub(low.1));
    let along = u128::from(key - low.0) * steps / span;
    // A key between two knots has at least the lower knot's place ahead of it.
    let rank = u64::try_from(along)
        .unwrap_or(u64::MAX)
        .saturating_add(low.1);
    rank.clamp(low.1 + u64::from(key > low.0), high.1)
}

/// Ranks at which knots are read for a line of `places`: from where the head ends to the last
/// place, evenly spaced. Empty when the head holds all.
pub fn knot_ranks(places: u64) -> Vec<u64> {
    let first = count(HEAD_PLACES);
    if places <= first {
        return Vec::new();
    }
    let last = places - 1;
    let span = last - (first - 1);
    let knots = span.min(count(KNOTS));
    (0..=knots).map(|i| first - 1 + span * i / knots).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn take(keys: &[u64]) -> Snapshot {
        let knots = knot_ranks(count(keys.len()));
        Snapshot {
            head: keys.iter().take(HEAD_PLACES).copied().collect(),
            knots: knots
                .iter()
                .map(|r| (keys[usize::try_from(*r).unwrap()], *r))
                .collect(),
            ..Snapshot::default()
        }
    }

    #[test]
    fn the_head_is_exact() {
        let keys: Vec<u64> = (0..50_000).map(|n| n * 7 + 3).collect();
        let snapshot = take(&keys);
        for rank in [0usize, 1, 500, 999] {
            let found = snapshot.rank(OrderKey::new(keys[rank]).unwrap());
            assert_eq!(
                found,
                Rank {
                    ahead: count(rank),
                    exact: true
                }
            );
        }
        let behind = snapshot.rank(OrderKey::new(keys[49_999] + 1).unwrap());
        assert_eq!(behind.ahead, 50_000);
    }

    #[test]
    fn a_short_line_is_exact_throughout() {
        let snapshot = take(&[5, 6, 9]);
        for (key, ahead) in [(5, 0), (6, 1), (7, 2), (9, 2), (10, 3)] {
            let rank = snapshot.rank(OrderKey::new(key).unwrap());
            assert_eq!(rank, Rank { ahead, exact: true });
        }
        assert_eq!(take(&[]).rank(OrderKey::new(1).unwrap()).ahead, 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Arbitrary gaps between keys, as absences and bursts make them.
        #[test]
        fn positions_are_within_half_a_percent_and_in_order(
            gaps in prop::collection::vec(1u64..5_000, 1..20_000)
        ) {
            let keys: Vec<u64> = gaps.iter().scan(0, |k, gap| { *k += gap; Some(*k) }).collect();
            let snapshot = take(&keys);
            let bound = count(keys.len()) / 200 + 1;
            let mut previous = 0;
            for (rank, key) in keys.iter().enumerate() {
                let found = snapshot.rank(OrderKey::new(*key).unwrap());
                let rank = count(rank);
                prop_assert!(found.ahead.abs_diff(rank) <= bound, "{} for {rank}", found.ahead);
                prop_assert!(!found.exact || found.ahead == rank);
                prop_assert!(found.ahead >= previous);
                previous = found.ahead;
            }
        }
    }
}

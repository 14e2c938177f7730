//! What the leader of a room finds when it decides how many to call.

use std::time::Duration;

use contract::Timestamp;
use contract::line::Phase;

use super::care::RateShare;

/// What the decision is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// What the room is doing.
    pub phase: Phase,
    /// The share of the configured rate that the upstream gets.
    pub upstream: RateShare,
    /// The rate: that share of the configured one.
    pub calls_per_minute: u64,
    /// How many are called at a time; evenly, when none.
    pub call_batch: Option<u64>,
    /// The configured cap.
    pub active_max: u64,
    /// Places that could be called.
    pub in_line: u64,
    /// Called, claimed or popped for a call.
    pub occupied: u64,
    /// Calls given back since the last tick.
    pub given_back: u64,
    /// Calls ever claimed.
    pub claims: u64,
    /// Tickets left, when the upstream tells; none means nobody is called.
    pub remaining: Option<u64>,
    /// Nobody is called before: the line is being put together again.
    pub held_until: Option<Timestamp>,
    /// How long the log took for the last batch.
    pub append_took: Duration,
    /// Whether the room rested until now: nothing was late in the time since the last tick.
    pub has_rested: bool,
}

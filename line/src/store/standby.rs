//! Letting visitors straight in while nobody waits: the part of the store that stand-by needs.

use async_trait::async_trait;
use contract::{PlaceId, Timestamp};
use uuid::Uuid;

use super::error::StoreResult;
use super::room_ref::RoomRef;
use crate::policy::order::OrderKey;

/// Most places of one [`Standby::standby_pop`]. Bounds the script to about a millisecond.
pub const STANDBY_BATCH_MAX: usize = 256;

/// A gateway's order to let newcomers straight in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandbyOrder {
    /// Names the batch, so that logging and publishing it may be repeated.
    pub batch: Uuid,
    /// Places that nobody had before: at least one, at most [`STANDBY_BATCH_MAX`].
    pub places: Vec<PlaceId>,
    /// The cap.
    pub active_max: u64,
    /// The rate.
    pub calls_per_minute: u64,
    /// When their sessions end.
    pub expires_at: Timestamp,
}

/// Why not everyone may go straight in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The room has not opened in the store yet.
    Unopened,
    /// The line was made again or has another server: those who waited come back first.
    Held,
    /// Another batch is on its way to the log.
    Pending,
    /// Somebody waits.
    Line,
    /// The store may not give so many live keys.
    Keyless,
    /// The cap.
    Cap,
    /// The rate.
    Rate,
}

impl Closed {
    /// All reasons.
    pub const ALL: [Self; 7] = [
        Self::Unopened,
        Self::Held,
        Self::Pending,
        Self::Line,
        Self::Keyless,
        Self::Cap,
        Self::Rate,
    ];

    /// The word in the store's answers and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unopened => "unopened",
            Self::Held => "held",
            Self::Pending => "pending",
            Self::Line => "line",
            Self::Keyless => "keyless",
            Self::Cap => "cap",
            Self::Rate => "rate",
        }
    }
}

/// Who may go straight in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandbyPopped {
    /// The first of the places, with their order keys: the pending batch. Nothing is pending when
    /// there is none.
    pub places: Vec<(PlaceId, OrderKey)>,
    /// Why not all.
    pub closed: Option<Closed>,
}

/// Stand-by. One atomic step, for all gateways together.
#[async_trait]
pub trait Standby: Send + Sync {
    /// Pops newcomers for sessions that begin at `now`, as far as rate and cap have room and only
    /// while nobody waits and no batch is pending. They get live keys, and are pending like a
    /// leader's batch: [`RoomStore::call_publish`](super::RoomStore::call_publish) makes them
    /// sessions, whoever calls it.
    async fn standby_pop(
        &self,
        room: &RoomRef,
        now: Timestamp,
        clock_now: u64,
        order: &StandbyOrder,
    ) -> StoreResult<StandbyPopped>;
}

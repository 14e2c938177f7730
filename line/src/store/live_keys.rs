//! Which server of the store may give live keys, and how far: the part of the store that keeps a
//! key from being given twice.
//!
//! A server gives no live key before it is confirmed: each confirmation has a term and a range of
//! keys that the durable records gave out once. A server that is started again or promoted is
//! another one, by its replication id, whatever its copy of the room says; so is none that was
//! confirmed before. What the one before it gave and lost is below its range.

use async_trait::async_trait;
use contract::Timestamp;

use super::error::StoreResult;
use super::room_ref::RoomRef;
use crate::policy::order::KeyRange;

/// Who may give live keys, as the store has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyState {
    /// Whether the server that answered is confirmed.
    pub is_confirmed: bool,
    /// The last confirmation that its copy of the room has; 0 before the first.
    pub term: u64,
    /// The live clock.
    pub clock: u64,
    /// The highest clock value that may be given.
    pub limit: u64,
    /// Where the clock was set ahead of the time, the oldest first: at most [`LIFTS_MAX`](crate::policy::order::LIFTS_MAX).
    pub lifts: Vec<u64>,
}

/// The right to give live keys. Each method is one atomic step.
#[async_trait]
pub trait LiveKeys: Send + Sync {
    /// Who may give live keys.
    async fn keys_state(&self, room: &RoomRef) -> StoreResult<KeyState>;

    /// Confirms the server, which gives the keys of `range` from now on. Whether it did: not when
    /// a term as new is in force. When another server was confirmed before, only places with keys
    /// that it had then are called before `kept_until`: whoever has a later one may have been
    /// behind someone whose place was lost.
    async fn keys_confirm(
        &self,
        room: &RoomRef,
        now: Timestamp,
        range: &KeyRange,
        kept_until: Timestamp,
    ) -> StoreResult<bool>;

    /// Raises the limit of the term to `limit`. Whether the term is in force.
    async fn keys_extend(&self, room: &RoomRef, term: u64, limit: u64) -> StoreResult<bool>;
}

//! Whether anyone is in rooms: the part of the store that lets a gateway look at many resting
//! rooms at a cost of one command each.

use std::sync::Arc;

use async_trait::async_trait;

use super::error::StoreResult;
use super::room_ref::RoomRef;

/// Most rooms of one look. Bounds it to a fraction of a millisecond of the store's time.
pub const LOOK_BATCH_MAX: usize = 500;

/// What a look at a room found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The server that has the room, by a name that no other has: it is another one after every
    /// failover and restart, and when the room moves to another shard.
    pub server: Arc<str>,
    /// Whether the room is there and empty: nobody waits, was popped or called, or is in a
    /// session. Its epoch is not looked at.
    pub is_empty: bool,
}

/// A look at many rooms. They may be on several shards, so it is no atomic step: each room's
/// answer is of some moment after the question.
#[async_trait]
pub trait RoomsLook: Send + Sync {
    /// Whether `rooms` are empty: at most [`LOOK_BATCH_MAX`]. Answers in the order asked; `None`
    /// for a room whose shard does not answer, or which is moving to another.
    async fn rooms_look(&self, rooms: &[RoomRef]) -> StoreResult<Vec<Option<Look>>>;
}

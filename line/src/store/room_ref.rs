//! How operations name a room.

use contract::RoomId;

/// A room as the store knows it. Every operation names the epoch it was prepared for, so that
/// no process works on the line of another room of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoomRef {
    /// The room.
    pub room: RoomId,
    /// How often the name of a deleted room was used again.
    pub epoch: u32,
}

//! Access to rooms, which the gateway owns.

use contract::RoomId;
use contract::line::Phase;
use futures_util::future::BoxFuture;

use crate::database::StoreError;

/// Access to rooms, which the gateway owns.
pub trait RoomDirectory: Send + Sync {
    /// Whether `room` exists. An error when this cannot be determined now.
    fn knows<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// The phase of `room`, as last known to this process.
    fn phase(&self, room: &RoomId) -> Option<Phase>;
}

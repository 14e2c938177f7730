//! The rooms that shows can be behind, which are not the booking core's own.

use contract::RoomId;
use contract::line::Phase;
use futures_util::future::BoxFuture;

use crate::database::StoreError;

/// What the booking core asks about rooms, which are not its own.
pub trait RoomDirectory: Send + Sync {
    /// Whether there is a room `room`. An error when that cannot be found out now.
    fn knows<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// What `room` is doing, as far as this process knows at the moment.
    fn phase(&self, room: &RoomId) -> Option<Phase>;
}

//! Where sessions that were just ended may still go: the part of the store that lets a fan see
//! the page that a shop redirects to in the answer that ends the session.

use async_trait::async_trait;
use contract::Timestamp;

use super::error::StoreResult;
use super::room_ref::RoomRef;

/// Most that the last page of one session may load. Heavy pages load about two hundred files.
pub const LOADS_MAX: u32 = 300;

/// Whether an ended session may go somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastPage {
    /// Yes, this once.
    Granted,
    /// Not there, or not again.
    Refused,
    /// The session has no such page: the shop did not redirect when it ended it, or its time is
    /// over.
    None,
}

/// The last pages of ended sessions. A pass is named by its `jti`. Each method is one atomic
/// step, for all gateways together.
#[async_trait]
pub trait LastPages: Send + Sync {
    /// Lets the session of `pass` go to `target`, a path with its query, until `until`.
    async fn last_page_put(
        &self,
        room: &RoomRef,
        now: Timestamp,
        pass: &str,
        until: Timestamp,
        target: &str,
    ) -> StoreResult<()>;

    /// Takes the one visit of `target`.
    async fn last_page_take(
        &self,
        room: &RoomRef,
        now: Timestamp,
        pass: &str,
        target: &str,
    ) -> StoreResult<LastPage>;

    /// Counts something the page loads, at most [`LOADS_MAX`] times and only once the page was
    /// taken. With `page`, it has to be that page which asks.
    async fn last_page_load(
        &self,
        room: &RoomRef,
        now: Timestamp,
        pass: &str,
        page: Option<&str>,
    ) -> StoreResult<LastPage>;
}

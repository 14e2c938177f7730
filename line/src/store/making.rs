//! Making a room in the store from the durable records, page by page.
//!
//! A process claims the making, adds the admissions of the log in their order, and with the last
//! of them the room takes everything else. The store knows up to which admission it has come: when
//! the process dies, another one goes on from there. Admissions that a room has lost are added in
//! the same way, while it takes everything else.

use std::time::Duration;

use async_trait::async_trait;
use contract::{PlaceId, Timestamp};
use uuid::Uuid;

use super::error::StoreResult;
use super::room_ref::RoomRef;
use crate::policy::order::OrderKey;

/// How long the process that makes a room may be silent before another goes on in its place.
pub const MAKING_MAX: Duration = Duration::from_secs(3);

/// Most admissions of a [`ServedPage`]. Bounds a step on Redis to a few milliseconds, for which
/// everyone else waits.
pub const SERVED_PAGE_MAX: usize = 1000;

/// Admissions that are added to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedPage<'a> {
    /// In the order of the log, at most [`SERVED_PAGE_MAX`].
    pub served: &'a [Served],
    /// The store has to have the log up to this ordinal. One that went back to an earlier state would
    /// have a gap otherwise.
    pub after: u64,
    /// The store has the log up to this ordinal then: also that of an admission before this room
    /// was made, which is not among the served.
    pub upto: u64,
    /// What comes with the end of the log; none while more pages follow.
    pub end: Option<MakingEnd>,
}

/// The end of making a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MakingEnd {
    /// A fresh name for the room as it is then, if it was not there.
    pub birth: Uuid,
    /// Nobody is called before, if the room was not there.
    pub held_until: Option<Timestamp>,
    /// Whether it has opened before.
    pub is_open: bool,
}

/// An admission known from the durable log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// Ordinal.
    pub seq: u64,
    /// Who.
    pub place: PlaceId,
    /// Their order key.
    pub key: OrderKey,
    /// When called.
    pub called_at: Timestamp,
    /// How it stands.
    pub state: ServedState,
}

/// How an admission from the log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServedState {
    /// Over.
    Over,
    /// Called, and not claimed as far as is known. Its connections are told.
    Called(Timestamp),
    /// Counts as a session until then.
    Active(Timestamp),
    /// The turn passed; forgiven until then.
    Missed(Timestamp),
    /// Given up.
    Left,
}

/// Makes rooms. Each method is one atomic step, and repeating one changes nothing.
#[async_trait]
pub trait Making: Send + Sync {
    /// Claims the making of the room at its epoch for `process`, and returns the ordinal up to which
    /// the store has the log. A room that is there keeps all it has, and one that
    /// another process left half made is gone on with; one at an earlier epoch is wiped. Refused
    /// while the store has a later epoch, and while another process is at it, until that was silent
    /// for [`MAKING_MAX`].
    async fn making_begin(&self, room: &RoomRef, process: Uuid, now: Timestamp)
    -> StoreResult<u64>;

    /// Adds admissions under the claim of `process`: those that come after the last one that the
    /// store has; places popped for a call stay so. With the end of the log the claim ends, and the
    /// room is there. Refused when another process has claimed the making since, without a claim
    /// unless the room is there, and where the store lacks earlier ones.
    async fn making_add(
        &self,
        room: &RoomRef,
        process: Uuid,
        now: Timestamp,
        page: &ServedPage<'_>,
    ) -> StoreResult<()>;
}

//! The port to what the line writes down for good: the admission log, the opening, the floor of
//! the live clock. [`Records`](crate::records) keep it in PostgreSQL; the simulation in memory.

use async_trait::async_trait;
use contract::{RoomId, Timestamp};

use crate::policy::outcome::Outcome;
use crate::records::{
    Admission, AdmissionBatch, Admissions, LogHead, RecordsError, RoomRecord, Rooms,
};

/// What a leader needs of the durable records. Every call may be repeated after any error.
#[async_trait]
pub trait DurableLine: Send + Sync {
    /// Appends a batch and returns the ordinals of its places, the same when it is repeated.
    async fn append(&self, room: &RoomId, batch: &AdmissionBatch)
    -> Result<Vec<u64>, RecordsError>;

    /// The end of the log.
    async fn head(&self, room: &RoomId) -> Result<LogHead, RecordsError>;

    /// The next admissions after the record `after_seq`, at most `limit`.
    async fn served_places(
        &self,
        room: &RoomId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<Admission>, RecordsError>;

    /// Notes what became of admissions; older word than what is known changes nothing.
    async fn outcomes_note(&self, room: &RoomId, outcomes: &[Outcome]) -> Result<(), RecordsError>;

    /// Notes the opening and publishes the draw's seed; the room as it is then.
    async fn seed_reveal(
        &self,
        room: &RoomId,
        now: Timestamp,
    ) -> Result<Option<RoomRecord>, RecordsError>;

    /// Raises the key below which no live key is given again; the floor then.
    async fn order_floor_raise(
        &self,
        room: &RoomId,
        floor: u64,
    ) -> Result<Option<u64>, RecordsError>;
}

/// The durable line in PostgreSQL.
#[derive(Clone, Debug)]
pub struct DurableRecords {
    /// Room settings.
    pub rooms: Rooms,
    /// The admission log.
    pub admissions: Admissions,
}

#[async_trait]
impl DurableLine for DurableRecords {
    async fn append(
        &self,
        room: &RoomId,
        batch: &AdmissionBatch,
    ) -> Result<Vec<u64>, RecordsError> {
        self.admissions.append(room, batch).await
    }

    async fn head(&self, room: &RoomId) -> Result<LogHead, RecordsError> {
        self.admissions.head(room).await
    }

    async fn served_places(
        &self,
        room: &RoomId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<Admission>, RecordsError> {
        self.admissions.served_places(room, after_seq, limit).await
    }

    async fn outcomes_note(&self, room: &RoomId, outcomes: &[Outcome]) -> Result<(), RecordsError> {
        self.admissions.outcomes_note(room, outcomes).await
    }

    async fn seed_reveal(
        &self,
        room: &RoomId,
        now: Timestamp,
    ) -> Result<Option<RoomRecord>, RecordsError> {
        self.rooms.seed_reveal(room, now).await
    }

    async fn order_floor_raise(
        &self,
        room: &RoomId,
        floor: u64,
    ) -> Result<Option<u64>, RecordsError> {
        self.rooms.order_floor_raise(room, floor).await
    }
}

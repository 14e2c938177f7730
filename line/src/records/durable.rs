//! The port to what the line writes down for good: the admission log, the opening, which live
//! keys were given out. [`Records`](crate::records) keep it in PostgreSQL; the simulation in memory.

use async_trait::async_trait;
use contract::{RoomId, Timestamp};

use crate::policy::order::KeyRange;
use crate::policy::outcome::Outcome;
use crate::records::{
    Act, Admission, AdmissionBatch, Admissions, Appended, Audit, AuditEntry, LogHead, NotedRoom,
    RecordsError, RoomRecord, Rooms, SYSTEM_ACTOR,
};

/// What a leader needs of the durable records. Every call may be repeated after any error.
#[async_trait]
pub trait DurableLine: Send + Sync {
    /// Appends a batch; a repeated one is found where it is. Quicker if the log still ends at
    /// `after`.
    async fn append(
        &self,
        room: &RoomId,
        batch: &AdmissionBatch,
        after: Option<LogHead>,
    ) -> Result<Appended, RecordsError>;

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

    /// The first room by name behind `after` of which outcomes are noted; of all without one.
    async fn outcomes_room(
        &self,
        after: Option<&RoomId>,
    ) -> Result<Option<NotedRoom>, RecordsError>;

    /// Forgets outcomes of admissions up to the record `upto`, at most `limit`; how many.
    async fn outcomes_forget(
        &self,
        room: &RoomId,
        upto: u64,
        limit: u64,
    ) -> Result<u64, RecordsError>;

    /// Notes the opening and publishes the draw's seed; the room as it is then.
    async fn seed_reveal(
        &self,
        room: &RoomId,
        now: Timestamp,
    ) -> Result<Option<RoomRecord>, RecordsError>;

    /// Reserves `count` live clock values above all that were reserved before, and not below
    /// `reached`, under a new term. `None` without such a room.
    async fn keys_reserve(
        &self,
        room: &RoomId,
        reached: u64,
        count: u64,
    ) -> Result<Option<KeyRange>, RecordsError>;

    /// Extends the range of `term` to `limit`; its limit then. `None` when another term is in
    /// force, or without such a room.
    async fn keys_extend(
        &self,
        room: &RoomId,
        term: u64,
        limit: u64,
    ) -> Result<Option<u64>, RecordsError>;

    /// Adds something that Ropeline did by itself to the audit log.
    async fn audit_note(&self, at: Timestamp, entry: AuditEntry) -> Result<(), RecordsError>;
}

/// The durable line in PostgreSQL.
#[derive(Clone, Debug)]
pub struct DurableRecords {
    /// Room settings.
    pub rooms: Rooms,
    /// The admission log.
    pub admissions: Admissions,
    /// The audit log.
    pub audit: Audit,
}

#[async_trait]
impl DurableLine for DurableRecords {
    async fn append(
        &self,
        room: &RoomId,
        batch: &AdmissionBatch,
        after: Option<LogHead>,
    ) -> Result<Appended, RecordsError> {
        self.admissions.append(room, batch, after).await
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

    async fn outcomes_room(
        &self,
        after: Option<&RoomId>,
    ) -> Result<Option<NotedRoom>, RecordsError> {
        self.admissions.outcomes_room(after).await
    }

    async fn outcomes_forget(
        &self,
        room: &RoomId,
        upto: u64,
        limit: u64,
    ) -> Result<u64, RecordsError> {
        self.admissions.outcomes_forget(room, upto, limit).await
    }

    async fn seed_reveal(
        &self,
        room: &RoomId,
        now: Timestamp,
    ) -> Result<Option<RoomRecord>, RecordsError> {
        self.rooms.seed_reveal(room, now).await
    }

    async fn keys_reserve(
        &self,
        room: &RoomId,
        reached: u64,
        count: u64,
    ) -> Result<Option<KeyRange>, RecordsError> {
        self.rooms.order_keys_reserve(room, reached, count).await
    }

    async fn keys_extend(
        &self,
        room: &RoomId,
        term: u64,
        limit: u64,
    ) -> Result<Option<u64>, RecordsError> {
        self.rooms.order_keys_extend(room, term, limit).await
    }

    async fn audit_note(&self, at: Timestamp, entry: AuditEntry) -> Result<(), RecordsError> {
        let act = Act {
            actor: SYSTEM_ACTOR.to_owned(),
            at,
        };
        self.audit.record(act, entry).await.map(drop)
    }
}

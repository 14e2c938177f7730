//! Adding a batch of calls to the admission log.

use std::ops::Range;

use contract::invariants::LOGGED_FIRST;
use contract::{PlaceId, RoomId, Timestamp};
use metric_families::breaches::breached;
use sha2::{Digest, Sha256};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::chain::{LogHead, chain_hash};
use super::columns::bigint;
use super::error::RecordsError;

/// Most places in one batch. Bounds the statement to a few milliseconds and about half a
/// megabyte.
pub const ADMISSION_BATCH_MAX: usize = 5_000;

/// Places called at one tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionBatch {
    /// Given by the leader when it took the places from the line, so that a batch whose answer
    /// was lost can be appended again.
    pub batch_id: Uuid,
    /// When they were called.
    pub called_at: Timestamp,
    /// Place and order key, in the order of calling.
    pub places: Vec<(PlaceId, u64)>,
}

impl AdmissionBatch {
    /// SHA-256 of places and order keys. Not of the time: a repeated batch may carry a later one,
    /// and the first counts.
    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for (place, order_key) in &self.places {
            hash.update(place.as_bytes());
            hash.update(order_key.to_be_bytes());
        }
        hash.finalize().into()
    }
}

/// Where a batch is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Ordinals of its places, in their order.
    pub seqs: Range<u64>,
    /// Where the log ended then: at this batch, unless it was there before.
    pub head: LogHead,
}

/// Appends a batch. In a single statement, and so with a single way to the database and back, if
/// the log still ends at `after`.
pub(super) async fn append(
    connection: &mut PgConnection,
    room: &RoomId,
    batch: &AdmissionBatch,
    after: Option<LogHead>,
) -> Result<Appended, RecordsError> {
    if let Some(head) = after
        && let Some(appended) = append_after(connection, room, batch, head).await?
    {
        return Ok(appended);
    }
    append_at_end(connection, room, batch).await
}

/// Appends a batch, if the log ends at `head` and does not have the batch. `None` when nothing was
/// written.
async fn append_after(
    connection: &mut PgConnection,
    room: &RoomId,
    batch: &AdmissionBatch,
    head: LogHead,
) -> Result<Option<Appended>, RecordsError> {
    let (rows, next) = Rows::after(head, batch);
    let written = sqlx::query!(
        "with moved as (
             update admission_heads set seq = $2, hash = $3
             where room = $1 and seq = $4 and hash = $5
             returning room
         ), noted as (
             -- A batch that is logged already fails here, and with it the whole statement.
             insert into admission_batches (room, batch_id, first_seq, last_seq, digest)
             select room, $6, $4 + 1, $2, $7 from moved
         )
         insert into admissions (room, seq, place, order_key, called_at, hash)
         select moved.room, called.seq, called.place, called.order_key, $8, called.hash
         from moved, unnest($9::bigint[], $10::bytea[], $11::bigint[], $12::bytea[])
             as called (seq, place, order_key, hash)",
        room.as_str(),
        bigint(next.seq),
        &next.hash[..],
        bigint(head.seq),
        &head.hash[..],
        batch.batch_id,
        &batch.digest()[..],
        OffsetDateTime::from(batch.called_at),
        &rows.ordinals[..],
        &rows.places[..],
        &rows.order_keys[..],
        &rows.hashes[..],
    )
    .execute(connection)
    .await;
    match written {
        Ok(done) if done.rows_affected() > 0 => Ok(Some(Appended {
            seqs: head.seq + 1..next.seq + 1,
            head: next,
        })),
        Ok(_) => Ok(None),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Appends a batch wherever the log ends, or finds it there.
async fn append_at_end(
    connection: &mut PgConnection,
    room: &RoomId,
    batch: &AdmissionBatch,
) -> Result<Appended, RecordsError> {
    let mut transaction = connection.begin().await?;
    let head = sqlx::query!(
        "select seq, hash from admission_heads where room = $1 for no key update",
        room.as_str(),
    )
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or_else(|| RecordsError::Conflict(format!("there was never a room {room}")))?;
    let head = LogHead::read(head.seq, head.hash)?;
    // Looked up under the lock of the head, so two copies of a batch cannot both miss it.
    let known = sqlx::query!(
        "select first_seq, last_seq, digest from admission_batches
         where room = $1 and batch_id = $2",
        room.as_str(),
        batch.batch_id,
    )
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some(known) = known {
        if known.digest != batch.digest() {
            breached(LOGGED_FIRST.name, 1);
            return Err(RecordsError::Conflict(format!(
                "batch {} of room {room} is logged with other places",
                batch.batch_id
            )));
        }
        let seqs = known.first_seq.unsigned_abs()..known.last_seq.unsigned_abs() + 1;
        return Ok(Appended { seqs, head });
    }
    // No one else can move the head now.
    let appended = append_after(&mut transaction, room, batch, head).await?;
    let appended = appended.ok_or_else(|| {
        breached(LOGGED_FIRST.name, 1);
        RecordsError::Corrupt {
            table: "admission_heads",
            detail: format!("the log of room {room} goes on behind its end"),
        }
    })?;
    transaction.commit().await?;
    Ok(appended)
}

/// What a batch is in the log, column by column.
struct Rows {
    ordinals: Vec<i64>,
    places: Vec<Vec<u8>>,
    order_keys: Vec<i64>,
    hashes: Vec<Vec<u8>>,
}

impl Rows {
    /// The rows of `batch` after `head`, and where the log ends with them.
    fn after(mut head: LogHead, batch: &AdmissionBatch) -> (Self, LogHead) {
        let count = batch.places.len();
        let mut rows = Self {
            ordinals: Vec::with_capacity(count),
            places: Vec::with_capacity(count),
            order_keys: Vec::with_capacity(count),
            hashes: Vec::with_capacity(count),
        };
        for (place, order_key) in &batch.places {
            let seq = head.seq + 1;
            let hash = chain_hash(&head.hash, seq, *order_key, batch.called_at, place);
            head = LogHead { seq, hash };
            rows.ordinals.push(bigint(seq));
            rows.places.push(place.as_bytes().to_vec());
            rows.order_keys.push(bigint(*order_key));
            rows.hashes.push(hash.to_vec());
        }
        (rows, head)
    }
}

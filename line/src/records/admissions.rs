//! The admission log: who was called, in which order, when. Hash-chained, only ever added to.

use std::time::Duration;

use contract::room::AdmissionRecord;
use contract::{PlaceId, RoomId, Timestamp};
use data_encoding::HEXLOWER;
use futures_util::Stream;
use futures_util::stream::{self, TryStreamExt};

use super::append::{ADMISSION_BATCH_MAX, AdmissionBatch, Appended, append};
use super::chain::LogHead;
use super::columns::bigint;
use super::database::Database;
use super::error::RecordsError;
use crate::policy::outcome::Fate;

/// Pauses before a chunk of the streamed log is asked for again.
const STREAM_PAUSES: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
];

/// Records read at once by [`Admissions::stream`]: all the memory that a reader costs.
const STREAM_CHUNK: i64 = 1_000;

/// Most places that [`Admissions::served_places`] reads at once.
const PLACES_MAX: usize = 20_000;

/// Longest a caller waits for an append. A full batch takes a few tens of milliseconds; the rest
/// is for a batch of another process that holds the head of the log.
const APPEND_MAX: Duration = Duration::from_secs(3);

/// A place that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Ordinal in the room, from 1.
    pub seq: u64,
    /// Who.
    pub place: PlaceId,
    /// Their order key.
    pub order_key: u64,
    /// When.
    pub called_at: Timestamp,
    /// What became of it, if that was noted.
    pub fate: Option<Fate>,
}

/// The admission logs in the database.
#[derive(Clone, Debug)]
pub struct Admissions {
    pub(super) database: Database,
}

impl Admissions {
    /// The logs in `database`.
    pub const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Appends a batch. Appending the same batch again writes nothing and finds it where it is, so
    /// a caller may repeat it after any error. Quicker if the log still ends at `after`. The same
    /// id with other places is a [`RecordsError::Conflict`], as is a room that was never made.
    pub async fn append(
        &self,
        room: &RoomId,
        batch: &AdmissionBatch,
        after: Option<LogHead>,
    ) -> Result<Appended, RecordsError> {
        if !(1..=ADMISSION_BATCH_MAX).contains(&batch.places.len()) {
            return Err(RecordsError::Conflict(format!(
                "a batch has 1 to {ADMISSION_BATCH_MAX} places, this one has {}",
                batch.places.len()
            )));
        }
        let (room, batch) = (room.clone(), batch.clone());
        self.database
            .run_within(APPEND_MAX, move |connection| {
                Box::pin(async move { append(connection, &room, &batch, after).await })
            })
            .await
    }

    /// The end of the log; empty for a room that was never made.
    pub async fn head(&self, room: &RoomId) -> Result<LogHead, RecordsError> {
        let room = room.clone();
        self.database
            .run(move |connection| {
                Box::pin(async move {
                    let row = sqlx::query!(
                        "select seq, hash from admission_heads where room = $1",
                        room.as_str(),
                    )
                    .fetch_optional(connection)
                    .await?;
                    row.map_or(Ok(LogHead::EMPTY), |row| LogHead::read(row.seq, row.hash))
                })
            })
            .await
    }

    /// The log from the record `from_seq` to the one that is last when the stream begins. Reads
    /// [`STREAM_CHUNK`] records at a time, and the next ones only when they are asked for.
    pub fn stream(
        &self,
        room: &RoomId,
        from_seq: u64,
    ) -> impl Stream<Item = Result<AdmissionRecord, RecordsError>> + Send + use<> {
        struct Reader {
            admissions: Admissions,
            room: RoomId,
            next: u64,
            last: Option<u64>,
        }
        let reader = Reader {
            admissions: self.clone(),
            room: room.clone(),
            next: from_seq.max(1),
            last: None,
        };
        stream::try_unfold(reader, async |mut reader| {
            let last = match reader.last {
                Some(last) => last,
                None => reader.admissions.head(&reader.room).await?.seq,
            };
            reader.last = Some(last);
            if reader.next > last {
                return Ok::<_, RecordsError>(None);
            }
            let records = reader
                .admissions
                .records_patiently(&reader.room, reader.next, last)
                .await?;
            let Some(end) = records.last().map(|record| record.seq) else {
                return Ok(None);
            };
            reader.next = end + 1;
            Ok(Some((stream::iter(records.into_iter().map(Ok)), reader)))
        })
        .try_flatten()
    }

    /// A reader of the whole log should not have to start over because one chunk of it was slow
    /// to come while the database was busy with calls.
    async fn records_patiently(
        &self,
        room: &RoomId,
        from: u64,
        to: u64,
    ) -> Result<Vec<AdmissionRecord>, RecordsError> {
        for pause in STREAM_PAUSES {
            match self.records(room, from, to).await {
                Err(error) if error.is_passing() => tokio::time::sleep(pause).await,
                read => return read,
            }
        }
        self.records(room, from, to).await
    }

    async fn records(
        &self,
        room: &RoomId,
        from: u64,
        to: u64,
    ) -> Result<Vec<AdmissionRecord>, RecordsError> {
        let room = room.clone();
        self.database
            .run(move |connection| {
                Box::pin(async move {
                    let rows = sqlx::query!(
                        "select seq, place, order_key, called_at, hash from admissions
                         where room = $1 and seq between $2 and $3 order by seq limit $4",
                        room.as_str(),
                        bigint(from),
                        bigint(to),
                        STREAM_CHUNK,
                    )
                    .fetch_all(connection)
                    .await?;
                    rows.into_iter()
                        .map(|row| {
                            Ok(AdmissionRecord {
                                seq: row.seq.unsigned_abs(),
                                place: place_read(&row.place)?,
                                order_key: row.order_key.to_string(),
                                called_at: row.called_at.into(),
                                hash: HEXLOWER.encode(&row.hash),
                            })
                        })
                        .collect()
                })
            })
            .await
    }

    /// The next places of the log after the record `after_seq`, to rebuild a lost line: these
    /// were served. A place that was called twice is in it twice.
    pub async fn served_places(
        &self,
        room: &RoomId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<Admission>, RecordsError> {
        let room = room.clone();
        let limit = bigint(limit.min(PLACES_MAX) as u64);
        self.database
            .run(move |connection| {
                Box::pin(async move {
                    let rows = sqlx::query!(
                        // Looked up for each admission: a plan that does not know the limit would
                        // read all outcomes for every page.
                        r#"select a.seq, a.place, a.order_key, a.called_at,
                                o.fate as "fate?", o.until_at as "until_at?"
                         from admissions a
                         left join lateral (
                             select seq, fate, until_at from admission_outcomes
                             where room = a.room and place = a.place limit 1
                         ) o on o.seq >= a.seq
                         where a.room = $1 and a.seq > $2 order by a.seq limit $3"#,
                        room.as_str(),
                        bigint(after_seq),
                        limit,
                    )
                    .fetch_all(connection)
                    .await?;
                    rows.into_iter()
                        .map(|row| {
                            let until = row.until_at.map(Timestamp::from);
                            Ok(Admission {
                                fate: row.fate.and_then(|word| Fate::read(&word, until)),
                                seq: row.seq.unsigned_abs(),
                                place: place_read(&row.place)?,
                                order_key: row.order_key.unsigned_abs(),
                                called_at: row.called_at.into(),
                            })
                        })
                        .collect()
                })
            })
            .await
    }
}

fn place_read(bytes: &[u8]) -> Result<PlaceId, RecordsError> {
    bytes
        .try_into()
        .map(PlaceId::from_bytes)
        .map_err(|_| RecordsError::Corrupt {
            table: "admissions",
            detail: "a place is not 16 bytes long".to_owned(),
        })
}

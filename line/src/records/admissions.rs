//! The admission log: who was called, in which order, when. Hash-chained, only ever added to.

use std::time::Duration;

use contract::room::AdmissionRecord;
use contract::{PlaceId, RoomId, Timestamp};
use data_encoding::HEXLOWER;
use futures_util::Stream;
use futures_util::stream::{self, TryStreamExt};
use sha2::{Digest, Sha256};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::database::Database;
use super::error::RecordsError;
use crate::policy::outcome::{Fate, Outcome};

/// Most places in one batch. Bounds the statement to a few milliseconds and about half a
/// megabyte.
pub const ADMISSION_BATCH_MAX: usize = 5_000;

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

/// The hash before the first record.
const GENESIS: [u8; 32] = [0; 32];

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

/// The end of a room's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// The last ordinal, 0 when the log is empty.
    pub seq: u64,
    /// The last hash, zeros when the log is empty.
    pub hash: [u8; 32],
}

/// Where a log does not fit its hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the admission log breaks at record {seq}: {problem}")]
pub struct ChainBreak {
    /// The first record that does not fit.
    pub seq: u64,
    /// Why.
    pub problem: &'static str,
}

/// The hash of a record after one with the hash `prev`.
pub fn chain_hash(
    prev: &[u8; 32],
    seq: u64,
    order_key: u64,
    called_at: Timestamp,
    place: &PlaceId,
) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(prev);
    hash.update(seq.to_be_bytes());
    hash.update(order_key.to_be_bytes());
    hash.update(called_at.as_ms().to_be_bytes());
    hash.update(place.as_bytes());
    hash.finalize().into()
}

/// Checks records against their hashes, from the one after `head`, and returns the new head.
/// A whole log is checked from [`LogHead::EMPTY`].
pub fn chain_verify<'r>(
    head: LogHead,
    records: impl IntoIterator<Item = &'r AdmissionRecord>,
) -> Result<LogHead, ChainBreak> {
    records.into_iter().try_fold(head, |head, record| {
        let broken = |problem| ChainBreak {
            seq: record.seq,
            problem,
        };
        if record.seq != head.seq + 1 {
            return Err(broken("its ordinal does not follow the one before"));
        }
        let order_key = record
            .order_key
            .parse()
            .map_err(|_| broken("its order key is not a number"))?;
        let hash = chain_hash(
            &head.hash,
            record.seq,
            order_key,
            record.called_at,
            &record.place,
        );
        if HEXLOWER.encode(&hash) == record.hash {
            Ok(LogHead {
                seq: record.seq,
                hash,
            })
        } else {
            Err(broken("its hash does not fit its content"))
        }
    })
}

impl LogHead {
    /// The head of an empty log.
    pub const EMPTY: Self = Self {
        seq: 0,
        hash: GENESIS,
    };
}

/// The admission logs in the database.
#[derive(Clone, Debug)]
pub struct Admissions {
    database: Database,
}

impl Admissions {
    /// The logs in `database`.
    pub const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Appends a batch and returns the ordinals of its places, in their order. Appending the same
    /// batch again writes nothing and returns the same ordinals, so a caller may repeat it after
    /// any error. The same id with other places is a [`RecordsError::Conflict`], as is a room
    /// that was never made.
    pub async fn append(
        &self,
        room: &RoomId,
        batch: &AdmissionBatch,
    ) -> Result<Vec<u64>, RecordsError> {
        if batch.places.is_empty() {
            return Ok(Vec::new());
        }
        if batch.places.len() > ADMISSION_BATCH_MAX {
            return Err(RecordsError::Conflict(format!(
                "a batch has at most {ADMISSION_BATCH_MAX} places, this one has {}",
                batch.places.len()
            )));
        }
        let (room, batch) = (room.clone(), batch.clone());
        self.database
            .run_within(APPEND_MAX, move |connection| {
                Box::pin(append(connection, room, batch))
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
                    row.map_or(Ok(LogHead::EMPTY), |row| head_read(row.seq, row.hash))
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
                        r#"select a.seq, a.place, a.order_key, a.called_at,
                                o.fate as "fate?", o.until_at
                         from admissions a
                         left join admission_outcomes o
                             on o.room = a.room and o.place = a.place and o.seq >= a.seq
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

impl Admissions {
    /// Notes what became of admissions. Older word than what is known changes nothing.
    pub async fn outcomes_note(
        &self,
        room: &RoomId,
        outcomes: &[Outcome],
    ) -> Result<(), RecordsError> {
        let room = room.clone();
        let places: Vec<_> = outcomes
            .iter()
            .map(|o| o.place.as_bytes().to_vec())
            .collect();
        let seqs: Vec<_> = outcomes.iter().map(|o| bigint(o.seq)).collect();
        let fates: Vec<_> = outcomes.iter().map(|o| o.fate.word().to_owned()).collect();
        let untils: Vec<_> = outcomes
            .iter()
            .map(|o| o.fate.until().map(OffsetDateTime::from))
            .collect();
        self.database
            .run(move |connection| {
                Box::pin(async move {
                    sqlx::query!(
                        "insert into admission_outcomes (room, place, seq, fate, until_at)
                         select $1, noted.* from unnest(
                             $2::bytea[], $3::bigint[], $4::text[], $5::timestamptz[]
                         ) as noted (place, seq, fate, until_at)
                         -- Whoever left without a call is in no log, and never asked for.
                         where exists (select 1 from admissions a
                             where a.room = $1 and a.place = noted.place)
                         on conflict (room, place) do update
                         set seq = excluded.seq, fate = excluded.fate, until_at = excluded.until_at
                         where excluded.seq >= admission_outcomes.seq",
                        room.as_str(),
                        &places[..],
                        &seqs[..],
                        &fates[..],
                        &untils[..] as &[Option<OffsetDateTime>],
                    )
                    .execute(connection)
                    .await?;
                    Ok(())
                })
            })
            .await
    }
}

async fn append(
    connection: &mut PgConnection,
    room: RoomId,
    batch: AdmissionBatch,
) -> Result<Vec<u64>, RecordsError> {
    let mut transaction = connection.begin().await?;
    let head = sqlx::query!(
        "select seq, hash from admission_heads where room = $1 for no key update",
        room.as_str(),
    )
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or_else(|| RecordsError::Conflict(format!("there was never a room {room}")))?;
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
            return Err(RecordsError::Conflict(format!(
                "batch {} of room {room} is logged with other places",
                batch.batch_id
            )));
        }
        return Ok((known.first_seq.unsigned_abs()..=known.last_seq.unsigned_abs()).collect());
    }
    let head = head_read(head.seq, head.hash)?;
    let (seqs, next) = rows_insert(&mut transaction, &room, &batch, head).await?;
    sqlx::query!(
        "insert into admission_batches (room, batch_id, first_seq, last_seq, digest)
         values ($1, $2, $3, $4, $5)",
        room.as_str(),
        batch.batch_id,
        bigint(head.seq + 1),
        bigint(next.seq),
        &batch.digest()[..],
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "update admission_heads set seq = $2, hash = $3 where room = $1",
        room.as_str(),
        bigint(next.seq),
        &next.hash[..],
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(seqs)
}

/// Inserts the places of `batch` after `head` and returns their ordinals and the new head.
async fn rows_insert(
    connection: &mut PgConnection,
    room: &RoomId,
    batch: &AdmissionBatch,
    mut head: LogHead,
) -> Result<(Vec<u64>, LogHead), RecordsError> {
    let count = batch.places.len();
    let mut seqs = Vec::with_capacity(count);
    let mut places = Vec::with_capacity(count);
    let mut order_keys = Vec::with_capacity(count);
    let mut hashes = Vec::with_capacity(count);
    for (place, order_key) in &batch.places {
        let seq = head.seq + 1;
        let hash = chain_hash(&head.hash, seq, *order_key, batch.called_at, place);
        head = LogHead { seq, hash };
        seqs.push(seq);
        places.push(place.as_bytes().to_vec());
        order_keys.push(bigint(*order_key));
        hashes.push(hash.to_vec());
    }
    let ordinals: Vec<i64> = seqs.iter().copied().map(bigint).collect();
    sqlx::query!(
        "insert into admissions (room, seq, place, order_key, called_at, hash)
         select $1, seq, place, order_key, $2, hash
         from unnest($3::bigint[], $4::bytea[], $5::bigint[], $6::bytea[])
             as called (seq, place, order_key, hash)",
        room.as_str(),
        OffsetDateTime::from(batch.called_at),
        &ordinals[..],
        &places[..],
        &order_keys[..],
        &hashes[..],
    )
    .execute(connection)
    .await?;
    Ok((seqs, head))
}

/// Ordinals and 53-bit order keys always fit.
fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn head_read(seq: i64, hash: Vec<u8>) -> Result<LogHead, RecordsError> {
    let hash = hash.try_into().map_err(|_| RecordsError::Corrupt {
        table: "admission_heads",
        detail: "a hash is not 32 bytes long".to_owned(),
    })?;
    Ok(LogHead {
        seq: seq.unsigned_abs(),
        hash,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    type Tampering = fn(&mut Vec<AdmissionRecord>);

    fn records(count: u64) -> Vec<AdmissionRecord> {
        let mut prev = GENESIS;
        (1..=count)
            .map(|seq| {
                let place = PlaceId::from_bytes([u8::try_from(seq).unwrap(); 16]);
                let called_at = Timestamp::from_ms(1_790_000_000_000);
                prev = chain_hash(&prev, seq, seq * 10, called_at, &place);
                AdmissionRecord {
                    seq,
                    place,
                    order_key: (seq * 10).to_string(),
                    called_at,
                    hash: HEXLOWER.encode(&prev),
                }
            })
            .collect()
    }

    /// The expected value is from Python's hashlib, over the bytes the contract describes.
    #[test]
    fn the_hash_is_the_documented_one() {
        let hash = chain_hash(
            &GENESIS,
            1,
            0x0010_0000_0000_0001,
            Timestamp::from_ms(1_790_000_000_000),
            &PlaceId::from_bytes([7; 16]),
        );
        assert_eq!(
            HEXLOWER.encode(&hash),
            "52d3bab5a2119b90737c91c1dab7a6df0699eff193340bff20a4fb6c0df76085"
        );
    }

    #[test]
    fn a_log_is_verified_whole_and_in_parts() {
        let log = records(9);
        let whole = chain_verify(LogHead::EMPTY, &log).unwrap();
        assert_eq!(whole.seq, 9);
        let part = chain_verify(LogHead::EMPTY, &log[..4]).unwrap();
        assert_eq!(chain_verify(part, &log[4..]).unwrap(), whole);
    }

    #[test]
    fn any_change_of_the_log_is_found() {
        let changes: [(&str, Tampering); 5] = [
            ("a record removed", |log| drop(log.remove(3))),
            ("two records swapped", |log| log.swap(3, 4)),
            ("another place", |log| {
                log[3].place = PlaceId::from_bytes([99; 16]);
            }),
            ("another order key", |log| {
                log[3].order_key = "41".to_owned();
            }),
            ("another time", |log| {
                log[3].called_at = Timestamp::from_ms(1);
            }),
        ];
        for (change, apply) in changes {
            let mut log = records(9);
            apply(&mut log);
            let broken = chain_verify(LogHead::EMPTY, &log).expect_err(change);
            assert!(broken.seq >= 4, "{change}: {broken}");
        }
    }
}

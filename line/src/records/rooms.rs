//! Rooms: settings, the manager's word, the draw, and what a rebuilt line needs to know.

use std::time::Duration;

use contract::line::Phase;
use contract::room::{Override, RoomSettings};
use contract::{RoomId, Timestamp};
use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;

use super::audit::{self, Act, AuditEntry};
use super::database::Database;
use super::error::RecordsError;
use super::room_record::{
    RoomRecord, RoomRow, TABLE, override_read, override_text, settings_json, settings_read,
    without_secrets,
};
use crate::policy::phase::phase_at;

/// Who the audit log names for what the gateway does by itself.
pub const SYSTEM_ACTOR: &str = "ropeline";

/// Longest that purging an admission log may take.
const PURGE_MAX: Duration = Duration::from_mins(5);

/// What became of a new room.
#[derive(Clone, Debug, PartialEq)]
pub enum CreateOutcome {
    /// It was made.
    Created(Box<RoomRecord>),
    /// There is one of this name.
    Exists,
}

/// What became of a change to a room.
#[derive(Clone, Debug, PartialEq)]
pub enum PutOutcome {
    /// It was made.
    Written(Box<RoomRecord>),
    /// The room is no longer at the version that the caller saw, but at this one.
    Stale(i64),
    /// There is no such room.
    Absent,
}

/// The rooms changed since a change number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoomChanges {
    /// Rooms as they are now.
    pub rooms: Vec<RoomRecord>,
    /// Rooms that are gone.
    pub deleted: Vec<RoomId>,
    /// Where to continue.
    pub change: i64,
}

/// The rooms in the database.
#[derive(Clone, Debug)]
pub struct Rooms {
    pub(super) database: Database,
}

impl Rooms {
    /// The rooms in `database`.
    pub const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Makes a room. The name of a deleted room may be used again: its admission log goes on,
    /// its epoch grows and everything else starts anew.
    pub async fn room_create(
        &self,
        settings: RoomSettings,
        seed: [u8; 32],
        act: Act,
    ) -> Result<CreateOutcome, RecordsError> {
        self.database
            .run(move |connection| Box::pin(create(connection, settings, seed, act)))
            .await
    }

    /// Every room, by name.
    pub async fn room_list(&self) -> Result<Vec<RoomRecord>, RecordsError> {
        let changes = self.rooms_changed_since(0).await?;
        let mut rooms = changes.rooms;
        rooms.sort_by(|a, b| a.settings.room.cmp(&b.settings.room));
        Ok(rooms)
    }

    /// The rooms changed since `change`, and the change to ask from next time. Costs one read of
    /// a single-row table while nothing changes. Starts over by itself when the database was
    /// restored to an earlier state. A row that cannot be read is logged and left out, so that
    /// it does not keep the other rooms from following their changes.
    pub async fn rooms_changed_since(&self, change: i64) -> Result<RoomChanges, RecordsError> {
        self.database
            .run(move |connection| Box::pin(changed_since(connection, change)))
            .await
    }

    /// One room.
    pub async fn room_get(&self, room: &RoomId) -> Result<Option<RoomRecord>, RecordsError> {
        let room = room.clone();
        self.database
            .run(move |connection| {
                Box::pin(async move {
                    read(connection, &room)
                        .await?
                        .map(RoomRecord::try_from)
                        .transpose()
                })
            })
            .await
    }

    /// Replaces the settings of the room they name, if it is still at version `if_match`.
    pub async fn room_put(
        &self,
        settings: RoomSettings,
        if_match: Option<i64>,
        act: Act,
    ) -> Result<PutOutcome, RecordsError> {
        self.database
            .run(move |connection| Box::pin(put(connection, settings, if_match, act)))
            .await
    }

    /// Sets the manager's word, or with `None` gives the room back to its schedule. `reason` is
    /// kept with a pause only.
    pub async fn room_override(
        &self,
        room: &RoomId,
        overridden: Option<Override>,
        reason: Option<String>,
        act: Act,
    ) -> Result<Option<RoomRecord>, RecordsError> {
        self.word_change(room, Word::Set(overridden, reason), act)
            .await
    }

    /// Undoes a pause: the word that it replaced is in force again. Also lifts a close, back to
    /// the schedule. A room that is neither stays as it is.
    pub async fn room_resume(
        &self,
        room: &RoomId,
        act: Act,
    ) -> Result<Option<RoomRecord>, RecordsError> {
        self.word_change(room, Word::Resume, act).await
    }

    async fn word_change(
        &self,
        room: &RoomId,
        word: Word,
        act: Act,
    ) -> Result<Option<RoomRecord>, RecordsError> {
        let room = room.clone();
        self.database
            .run(move |connection| Box::pin(override_set(connection, room, word, act)))
            .await
    }

    /// Deletes a room; its admission log stays. `false` when there is none of this name.
    pub async fn room_delete(&self, room: &RoomId, act: Act) -> Result<bool, RecordsError> {
        let room = room.clone();
        self.database
            .run(move |connection| Box::pin(delete(connection, room, act)))
            .await
    }

    /// Deletes a room, if it is there still, and its admission log for good: those of earlier rooms
    /// of the name too. Returns how many records went; `None` when there was neither room nor log.
    pub async fn room_purge(&self, room: &RoomId, act: Act) -> Result<Option<u64>, RecordsError> {
        let room = room.clone();
        self.database
            .run_within(PURGE_MAX, move |connection| {
                Box::pin(purge(connection, room, act))
            })
            .await
    }

    /// Publishes the seed and notes that the room has opened. Only the first call changes
    /// anything. `None` when there is no such room.
    pub async fn seed_reveal(
        &self,
        room: &RoomId,
        now: Timestamp,
    ) -> Result<Option<RoomRecord>, RecordsError> {
        let room = room.clone();
        self.database
            .run(move |connection| Box::pin(reveal(connection, room, now)))
            .await
    }
}

/// How the manager's word changes.
enum Word {
    Set(Option<Override>, Option<String>),
    Resume,
}

/// Takes the number of the change that this transaction makes. Every transaction that changes a
/// room begins with it: it is the one lock order, and it makes changes visible in order.
async fn change_next(connection: &mut PgConnection) -> Result<i64, RecordsError> {
    let row = sqlx::query!("update room_change_counter set last = last + 1 returning last")
        .fetch_one(connection)
        .await?;
    Ok(row.last)
}

async fn read(
    connection: &mut PgConnection,
    room: &RoomId,
) -> Result<Option<RoomRow>, RecordsError> {
    Ok(sqlx::query_as!(
        RoomRow,
        "select slug, settings, overridden, override_before_pause, paused_reason, seed,
             commitment, seed_revealed_at, open_ordered_at, opened_at, epoch, version, change,
             created_at, updated_at, deleted_at
         from rooms where slug = $1 and deleted_at is null",
        room.as_str(),
    )
    .fetch_optional(connection)
    .await?)
}

async fn changed_since(
    connection: &mut PgConnection,
    since: i64,
) -> Result<RoomChanges, RecordsError> {
    let last = sqlx::query!("select last from room_change_counter")
        .fetch_one(&mut *connection)
        .await?
        .last;
    if last == since {
        return Ok(RoomChanges {
            change: since,
            ..RoomChanges::default()
        });
    }
    let since = if last < since { 0 } else { since };
    let rows = sqlx::query_as!(
        RoomRow,
        "select slug, settings, overridden, override_before_pause, paused_reason, seed,
             commitment, seed_revealed_at, open_ordered_at, opened_at, epoch, version, change,
             created_at, updated_at, deleted_at
         from rooms where change > $1 order by change",
        since,
    )
    .fetch_all(connection)
    .await?;
    let mut changes = RoomChanges {
        // Rows newer than `last` may have been committed in between; they come in order.
        change: rows.last().map_or(last, |row| row.change.max(last)),
        ..RoomChanges::default()
    };
    for row in rows {
        let (slug, gone) = (row.slug.clone(), row.deleted_at.is_some());
        match (gone, slug.parse()) {
            (true, Ok(room)) => changes.deleted.push(room),
            (true, Err(_)) => {}
            (false, _) => match RoomRecord::try_from(row) {
                Ok(record) => changes.rooms.push(record),
                Err(error) => tracing::error!(room = slug, %error, "a stored room is unreadable"),
            },
        }
    }
    Ok(changes)
}

async fn create(
    connection: &mut PgConnection,
    settings: RoomSettings,
    seed: [u8; 32],
    act: Act,
) -> Result<CreateOutcome, RecordsError> {
    let mut transaction = connection.begin().await?;
    let change = change_next(&mut transaction).await?;
    let row = sqlx::query_as!(
        RoomRow,
        "insert into rooms (slug, settings, seed, commitment, change, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $6)
         on conflict (slug) do update set
             settings = excluded.settings, seed = excluded.seed,
             commitment = excluded.commitment, change = excluded.change,
             created_at = excluded.created_at, updated_at = excluded.updated_at,
             overridden = null, override_before_pause = null, paused_reason = null,
             seed_revealed_at = null, open_ordered_at = null, opened_at = null, deleted_at = null,
             epoch = rooms.epoch + 1, order_floor = 0, order_reserved = 0,
             version = rooms.version + 1
         where rooms.deleted_at is not null
         returning slug, settings, overridden, override_before_pause, paused_reason, seed,
             commitment, seed_revealed_at, open_ordered_at, opened_at, epoch, version, change,
             created_at, updated_at, deleted_at",
        settings.room.as_str(),
        settings_json(&settings)?,
        &seed[..],
        HEXLOWER.encode(&Sha256::digest(seed)),
        change,
        OffsetDateTime::from(act.at),
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(row) = row else {
        return Ok(CreateOutcome::Exists);
    };
    sqlx::query!(
        "insert into admission_heads (room, hash) values ($1, $2) on conflict (room) do nothing",
        settings.room.as_str(),
        &[0u8; 32][..],
    )
    .execute(&mut *transaction)
    .await?;
    let record = RoomRecord::try_from(row)?;
    let entry = AuditEntry::new("room.create", settings.room.as_str())
        .after(&without_secrets(&record.settings));
    audit::write(&mut transaction, &act, &entry).await?;
    transaction.commit().await?;
    Ok(CreateOutcome::Created(Box::new(record)))
}

async fn put(
    connection: &mut PgConnection,
    settings: RoomSettings,
    if_match: Option<i64>,
    act: Act,
) -> Result<PutOutcome, RecordsError> {
    let mut transaction = connection.begin().await?;
    let change = change_next(&mut transaction).await?;
    let Some(before) = read(&mut transaction, &settings.room).await? else {
        return Ok(PutOutcome::Absent);
    };
    let mut record = RoomRecord::try_from(before)?;
    if if_match.is_some_and(|version| version != record.version) {
        return Ok(PutOutcome::Stale(record.version));
    }
    let entry = AuditEntry::new("room.put", settings.room.as_str())
        .before(&without_secrets(&record.settings))
        .after(&without_secrets(&settings));
    let after = (&settings, record.overridden);
    let ordered = opening_ordered((&record.settings, record.overridden), after, act.at);
    let row = sqlx::query!(
        "update rooms set settings = $2, change = $3, updated_at = $4, version = version + 1,
             open_ordered_at = coalesce(open_ordered_at, $5)
         where slug = $1 returning version, open_ordered_at",
        settings.room.as_str(),
        settings_json(&settings)?,
        change,
        OffsetDateTime::from(act.at),
        ordered.map(OffsetDateTime::from),
    )
    .fetch_one(&mut *transaction)
    .await?;
    audit::write(&mut transaction, &act, &entry).await?;
    transaction.commit().await?;
    record.settings = settings;
    record.version = row.version;
    record.open_ordered_at = row.open_ordered_at.map(Timestamp::from);
    record.updated_at = act.at;
    Ok(PutOutcome::Written(Box::new(record)))
}

async fn override_set(
    connection: &mut PgConnection,
    room: RoomId,
    word: Word,
    act: Act,
) -> Result<Option<RoomRecord>, RecordsError> {
    let mut transaction = connection.begin().await?;
    let change = change_next(&mut transaction).await?;
    let Some(row) = read(&mut transaction, &room).await? else {
        return Ok(None);
    };
    let paused_over = row.override_before_pause.clone();
    let mut record = RoomRecord::try_from(row)?;
    let paused = record.overridden == Some(Override::Pause);
    let before = json!({"override": record.overridden, "pausedReason": record.paused_reason});
    let (action, overridden, reason) = match word {
        Word::Set(word, reason) => (
            word.map_or("follow-schedule", override_text),
            word,
            reason.filter(|_| word == Some(Override::Pause)),
        ),
        Word::Resume => {
            let word = match record.overridden {
                Some(Override::Pause) => paused_over
                    .as_deref()
                    .map(override_read)
                    .transpose()
                    .map_err(|detail| RecordsError::Corrupt {
                        table: TABLE,
                        detail,
                    })?,
                Some(Override::Open) => Some(Override::Open),
                Some(Override::Close) | None => None,
            };
            ("resume", word, None)
        }
    };
    // A second pause, to change the reason, must not forget what the first one replaced.
    let paused_over = match (overridden, paused) {
        (Some(Override::Pause), true) => paused_over,
        (Some(Override::Pause), false) => record.overridden.map(override_text).map(str::to_owned),
        _ => None,
    };
    let after = (&record.settings, overridden);
    let ordered = opening_ordered((&record.settings, record.overridden), after, act.at);
    let updated = sqlx::query!(
        "update rooms set overridden = $2, override_before_pause = $3, paused_reason = $4,
             change = $5, updated_at = $6, version = version + 1,
             open_ordered_at = coalesce(open_ordered_at, $7)
         where slug = $1 returning version, open_ordered_at",
        room.as_str(),
        overridden.map(override_text),
        paused_over,
        reason,
        change,
        OffsetDateTime::from(act.at),
        ordered.map(OffsetDateTime::from),
    )
    .fetch_one(&mut *transaction)
    .await?;
    let entry = AuditEntry::new(format!("room.{action}"), room.as_str())
        .before(&before)
        .after(&json!({"override": overridden, "pausedReason": reason}));
    audit::write(&mut transaction, &act, &entry).await?;
    transaction.commit().await?;
    record.overridden = overridden;
    record.paused_reason = reason;
    record.version = updated.version;
    record.open_ordered_at = updated.open_ordered_at.map(Timestamp::from);
    record.updated_at = act.at;
    Ok(Some(record))
}

/// When a room whose settings and word change from `before` to `after` was told to open by
/// either: a change is in force when it is made, however soon the next one follows.
fn opening_ordered(
    before: (&RoomSettings, Option<Override>),
    after: (&RoomSettings, Option<Override>),
    at: Timestamp,
) -> Option<Timestamp> {
    let opens =
        |(settings, word): (&RoomSettings, _)| phase_at(settings, word, at) == Phase::Queueing;
    (opens(before) || opens(after)).then_some(at)
}

async fn delete(
    connection: &mut PgConnection,
    room: RoomId,
    act: Act,
) -> Result<bool, RecordsError> {
    let mut transaction = connection.begin().await?;
    let change = change_next(&mut transaction).await?;
    let row = sqlx::query!(
        "update rooms set deleted_at = $2, change = $3, version = version + 1
         where slug = $1 and deleted_at is null returning settings",
        room.as_str(),
        OffsetDateTime::from(act.at),
        change,
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(row) = row else {
        return Ok(false);
    };
    let mut entry = AuditEntry::new("room.delete", room.as_str());
    if let Ok(settings) = settings_read(row.settings) {
        entry = entry.before(&without_secrets(&settings));
    }
    audit::write(&mut transaction, &act, &entry).await?;
    transaction.commit().await?;
    Ok(true)
}

async fn purge(
    connection: &mut PgConnection,
    room: RoomId,
    act: Act,
) -> Result<Option<u64>, RecordsError> {
    // On its own, because every change of a room waits for it, and the log may be long.
    let deleted = delete(connection, room.clone(), act.clone()).await?;
    let mut transaction = connection.begin().await?;
    sqlx::query!(
        "select set_config('statement_timeout', $1, true) as timeout",
        PURGE_MAX.as_millis().to_string()
    )
    .fetch_one(&mut *transaction)
    .await?;
    // Keeps the name from being used again meanwhile.
    let gone = sqlx::query!(
        "select deleted_at from rooms where slug = $1 for update",
        room.as_str()
    )
    .fetch_optional(&mut *transaction)
    .await?;
    match gone {
        None => return Ok(None),
        Some(gone) if gone.deleted_at.is_none() => {
            let what = format!("room {room} was made again before its log was purged");
            return Err(RecordsError::Conflict(what));
        }
        Some(_) => {}
    }
    // The end of the log goes first: an append waits for it, and finds none then.
    let head = sqlx::query!("delete from admission_heads where room = $1", room.as_str())
        .execute(&mut *transaction)
        .await?;
    if !deleted && head.rows_affected() == 0 {
        return Ok(None);
    }
    let purged = sqlx::query!("delete from admissions where room = $1", room.as_str())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
    sqlx::query!(
        "delete from admission_batches where room = $1",
        room.as_str()
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "delete from admission_outcomes where room = $1",
        room.as_str()
    )
    .execute(&mut *transaction)
    .await?;
    let entry = AuditEntry::new("room.purge-log", room.as_str())
        .after(&json!({"purgedAdmissions": purged}));
    audit::write(&mut transaction, &act, &entry).await?;
    transaction.commit().await?;
    Ok(Some(purged))
}

async fn reveal(
    connection: &mut PgConnection,
    room: RoomId,
    now: Timestamp,
) -> Result<Option<RoomRecord>, RecordsError> {
    let mut transaction = connection.begin().await?;
    let change = change_next(&mut transaction).await?;
    let Some(row) = read(&mut transaction, &room).await? else {
        return Ok(None);
    };
    let mut record = RoomRecord::try_from(row)?;
    if record.seed_revealed_at.is_some() {
        return Ok(Some(record));
    }
    sqlx::query!(
        "update rooms set seed_revealed_at = $2, opened_at = $2, change = $3 where slug = $1",
        room.as_str(),
        OffsetDateTime::from(now),
        change,
    )
    .execute(&mut *transaction)
    .await?;
    let act = Act {
        actor: SYSTEM_ACTOR.to_owned(),
        at: now,
    };
    let entry = AuditEntry::new("room.seed-reveal", room.as_str())
        .after(&json!({"openedAt": now, "drawCommitment": record.commitment}));
    audit::write(&mut transaction, &act, &entry).await?;
    transaction.commit().await?;
    record.seed_revealed_at = Some(now);
    record.opened_at = Some(now);
    Ok(Some(record))
}

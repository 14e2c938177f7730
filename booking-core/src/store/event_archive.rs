//! The archive of older events.

use contract::Timestamp;
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::database::StoreError;

/// Which events are old enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Old {
    /// Those that were sequenced before this,
    pub(crate) before: Timestamp,
    /// and those behind this many newer ones.
    pub(crate) newer_max: i64,
    /// How many become one block, at once.
    pub(crate) block: i64,
}

/// What came of archiving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Archived {
    /// So many events.
    Moved(i64),
    /// The next block is not old enough, or another process is at it.
    Nothing,
    /// An event of the next block is missing.
    Gap,
}

/// Moves the next block of events into the archive if all of it is old. One transaction, and one
/// process at a time: the others find the end of the archive locked.
pub(crate) async fn archive(
    pool: &PgPool,
    old: Old,
    now: Timestamp,
) -> Result<Archived, StoreError> {
    let mut tx = pool.begin().await?;
    let end = sqlx::query!(
        "select z.position, h.position as head from event_archive_end z, event_head h
         for no key update of z skip locked"
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(end) = end.filter(|end| end.head >= end.position + old.block) else {
        return Ok(Archived::Nothing);
    };
    let (after, upto) = (end.position, end.position + old.block);
    let found = sqlx::query!(
        r#"select count(*) as "count!", max(sequenced_at) as newest from events
           where position > $1 and position <= $2"#,
        after,
        upto
    )
    .fetch_one(&mut *tx)
    .await?;
    let is_old = found
        .newest
        .is_some_and(|at| Timestamp::from(at) < old.before);
    if !is_old && end.head - upto < old.newer_max {
        return Ok(Archived::Nothing);
    }
    if found.count != old.block {
        return Ok(Archived::Gap);
    }
    sqlx::query!(
        "insert into event_archive (last_position, first_position, kinds, body, archived_at)
         select max(position), min(position), array_agg(distinct kind),
            jsonb_agg(to_jsonb(e) order by position), $3
         from events e where position > $1 and position <= $2",
        after,
        upto,
        OffsetDateTime::from(now)
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "with gone as (
            delete from events where position > $1 and position <= $2 returning dedupe, position
        )
        insert into event_archive_keys (digest, position)
        select md5(dedupe)::uuid, position from gone",
        after,
        upto
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("update event_archive_end set position = $1", upto)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Archived::Moved(old.block))
}

//! The outbox: events for those who tell others, written in the transaction that made them happen.
//!
//! A row's key is its topic and the id of what it is about, so that an event is written once. Mail
//! takes every row: see [`super::notices::collect`], and so does the log of events:
//! [`super::events`].

use contract::Timestamp;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::StoreError;

/// Writes an event, unless it was written before.
pub(crate) async fn add(
    connection: &mut PgConnection,
    topic: &str,
    about: Uuid,
    payload: Value,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into outbox (topic, dedupe, payload, created_at) values ($1, $2, $3, $4)
         on conflict (dedupe) do nothing",
        topic,
        format!("{topic}:{about}"),
        payload,
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes outbox rows from before `before` that were taken and are in the log of events, up to `limit`. Reads only the oldest
/// rows, which have the lowest ids, so it needs no index and costs the same when nothing is due.
pub(crate) async fn purge(pool: &PgPool, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "delete from outbox where created_at < $1 and done_at is not null
            and position is not null and id in (select id from outbox order by id limit $2)",
        OffsetDateTime::from(before),
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

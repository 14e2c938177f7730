//! The inbox of webhooks.

use contract::Timestamp;
use serde_json::Value;
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::database::StoreError;

/// A webhook that has not been processed.
#[derive(Clone, Debug)]
pub(crate) struct EventRow {
    pub(crate) event_id: String,
    pub(crate) kind: String,
    pub(crate) payload: Value,
    /// Failed attempts to process it.
    pub(crate) attempt_count: i32,
}

/// Stores a webhook. False if it is stored already: the provider repeats deliveries.
pub(crate) async fn store(
    pool: &PgPool,
    provider: &str,
    event_id: &str,
    kind: &str,
    payload: &Value,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into payment_events (provider, event_id, kind, payload, received_at,
            next_attempt_at)
         values ($1, $2, $3, $4, $5, $5) on conflict (provider, event_id) do nothing",
        provider,
        event_id,
        kind,
        payload,
        OffsetDateTime::from(now)
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Claims events that are due, by moving their next attempt to `until`. A claim does not count as
/// an attempt; only a failure does.
pub(crate) async fn claim_due(
    pool: &PgPool,
    provider: &str,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<EventRow>, StoreError> {
    let rows = sqlx::query_as!(
        EventRow,
        "with due as materialized (
            select event_id from payment_events
            where provider = $1 and processed_at is null and next_attempt_at <= $2
            order by next_attempt_at limit $4 for no key update skip locked
        )
        update payment_events e set next_attempt_at = $3
        from due d where e.provider = $1 and e.event_id = d.event_id
        returning e.event_id, e.kind, e.payload, e.attempt_count",
        provider,
        OffsetDateTime::from(now),
        OffsetDateTime::from(until),
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// Marks an event as processed, with a note if it had no effect.
pub(crate) async fn done(
    pool: &PgPool,
    provider: &str,
    event_id: &str,
    note: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update payment_events set processed_at = $3, last_error = $4
         where provider = $1 and event_id = $2",
        provider,
        event_id,
        OffsetDateTime::from(now),
        note
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Postpones an event after a failed attempt.
pub(crate) async fn put_off(
    pool: &PgPool,
    provider: &str,
    event_id: &str,
    error: &str,
    next_attempt_at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update payment_events set next_attempt_at = $3, last_error = $4,
            attempt_count = attempt_count + 1
         where provider = $1 and event_id = $2",
        provider,
        event_id,
        OffsetDateTime::from(next_attempt_at),
        error
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Removes events that were processed before `before`, up to `limit`.
pub(crate) async fn purge(pool: &PgPool, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "delete from payment_events where (provider, event_id) in (
            select provider, event_id from payment_events where processed_at < $1
            order by processed_at limit $2)",
        OffsetDateTime::from(before),
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

//! The inbox of webhooks.

use std::collections::HashSet;

use contract::Timestamp;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
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

/// A webhook that was received.
#[derive(Clone, Debug)]
pub(crate) struct NewEvent {
    pub(crate) provider: String,
    pub(crate) event_id: String,
    pub(crate) kind: String,
    pub(crate) payload: Value,
    pub(crate) now: Timestamp,
}

/// Stores webhooks. For each whether it is new: the provider repeats deliveries.
pub(crate) async fn store_all(pool: &PgPool, events: &[NewEvent]) -> Result<Vec<bool>, StoreError> {
    let providers: Vec<&str> = events.iter().map(|event| event.provider.as_str()).collect();
    let ids: Vec<&str> = events.iter().map(|event| event.event_id.as_str()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    let payloads: Vec<&Value> = events.iter().map(|event| &event.payload).collect();
    let times: Vec<OffsetDateTime> = events.iter().map(|event| event.now.into()).collect();
    // In order, so that two processes that store the same events cannot deadlock.
    let rows = sqlx::query!(
        "insert into payment_events (provider, event_id, kind, payload, received_at,
            next_attempt_at)
         select provider, event_id, kind, payload, at, at
         from unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::timestamptz[])
            as e (provider, event_id, kind, payload, at)
         order by provider, event_id
         on conflict (provider, event_id) do nothing
         returning provider, event_id",
        &providers as &[&str],
        &ids as &[&str],
        &kinds as &[&str],
        &payloads as &[&Value],
        &times
    )
    .fetch_all(pool)
    .await?;
    let new = rows.into_iter().map(|row| (row.provider, row.event_id));
    let mut new: HashSet<(String, String)> = new.collect();
    let name = |event: &NewEvent| (event.provider.clone(), event.event_id.clone());
    Ok(events
        .iter()
        .map(|event| new.remove(&name(event)))
        .collect())
}

/// An event that needs no work, or none if the payment that it names has succeeded.
#[derive(Clone, Debug)]
pub(crate) struct Closable<'a> {
    pub(crate) event_id: &'a str,
    /// The provider's id of the intent or the charge whose success closes it. Without, it is closed
    /// in any case.
    pub(crate) intent_id: Option<String>,
    /// The provider's id of the money, if the event names it: another than that of the payment is
    /// to be looked at.
    pub(crate) charge_id: Option<String>,
    pub(crate) note: Option<&'static str>,
}

/// Marks events as processed that need no work and that nobody else works on. Returns their ids.
pub(crate) async fn close_settled(
    connection: &mut PgConnection,
    provider: &str,
    events: &[Closable<'_>],
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let ids: Vec<&str> = events.iter().map(|event| event.event_id).collect();
    let intents: Vec<Option<&str>> = events.iter().map(|it| it.intent_id.as_deref()).collect();
    let charges: Vec<Option<&str>> = events.iter().map(|it| it.charge_id.as_deref()).collect();
    let notes: Vec<Option<&str>> = events.iter().map(|event| event.note).collect();
    let rows = sqlx::query!(
        "with settled as materialized (
            select w.event_id, w.note
            from unnest($2::text[], $3::text[], $4::text[], $6::text[])
                as w (event_id, intent_id, note, charge_id)
            where w.intent_id is null
                or exists (select 1 from payments p where p.provider = $1
                    and p.intent_id = w.intent_id and p.status = 'SUCCEEDED'
                    and (w.charge_id is null or w.charge_id = p.charge_id))
                or exists (select 1 from payments p where p.provider = $1
                    and p.charge_id = w.intent_id and p.status = 'SUCCEEDED')
        ),
        closed as materialized (
            select s.event_id, s.note
            from (select event_id, note from settled order by event_id) s
            cross join lateral (
                select processed_at from payment_events
                where provider = $1 and event_id = s.event_id
                for no key update skip locked
            ) e
            where e.processed_at is null
        )
        update payment_events e set processed_at = $5, last_error = c.note
        from closed c where e.provider = $1 and e.event_id = c.event_id
        returning e.event_id",
        provider,
        &ids as &[&str],
        &intents as &[Option<&str>],
        &notes as &[Option<&str>],
        OffsetDateTime::from(now),
        &charges as &[Option<&str>]
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| row.event_id).collect())
}

/// Events that are due, those that waited longest first.
pub(crate) async fn due(
    pool: &PgPool,
    provider: &str,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<EventRow>, StoreError> {
    let rows = sqlx::query_as!(
        EventRow,
        "select event_id, kind, payload, attempt_count from payment_events
         where provider = $1 and processed_at is null and next_attempt_at <= $2
         order by next_attempt_at limit $3",
        provider,
        OffsetDateTime::from(now),
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// Claims those of `ids` that are due still, by moving their next attempt to `until`, and returns
/// their ids. A claim does not count as an attempt; only a failure does.
pub(crate) async fn claim(
    connection: &mut PgConnection,
    provider: &str,
    ids: &[&str],
    now: Timestamp,
    until: Timestamp,
) -> Result<HashSet<String>, StoreError> {
    let rows = sqlx::query_scalar!(
        "with due as materialized (
            select event_id from payment_events
            where provider = $1 and event_id = any($2) and processed_at is null
                and next_attempt_at <= $3
            order by event_id for no key update skip locked
        )
        update payment_events e set next_attempt_at = $4
        from due d where e.provider = $1 and e.event_id = d.event_id
        returning e.event_id",
        provider,
        ids as &[&str],
        OffsetDateTime::from(now),
        OffsetDateTime::from(until)
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().collect())
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

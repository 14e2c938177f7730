//! Deliveries of events to subscriptions.
//!
//! A transaction locks the subscription before its deliveries.

use contract::Timestamp;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{subscriptions, text_of, word};
use crate::database::StoreError;
use crate::delivery::DeliveryStatus;

/// A delivery that this process may try until its lease ends.
#[derive(Clone, Debug)]
pub(crate) struct ClaimedDelivery {
    pub(crate) subscription_id: Uuid,
    pub(crate) position: i64,
    /// With this attempt.
    pub(crate) attempt_count: i32,
    pub(crate) due_since: Timestamp,
}

/// What an attempt came to.
#[derive(Clone, Debug)]
pub(crate) struct Tried {
    pub(crate) status: DeliveryStatus,
    pub(crate) next_attempt_at: Timestamp,
    pub(crate) answer_status: Option<i16>,
    pub(crate) error: Option<String>,
}

/// A delivery, for operators.
#[derive(Clone, Debug)]
pub(crate) struct DeliveryRow {
    pub(crate) position: i64,
    pub(crate) event_id: Uuid,
    pub(crate) kind: String,
    pub(crate) status: DeliveryStatus,
    pub(crate) attempt_count: i32,
    pub(crate) next_attempt_at: Timestamp,
    pub(crate) tried_at: Option<Timestamp>,
    pub(crate) answer_status: Option<i16>,
    pub(crate) last_error: Option<String>,
    pub(crate) delivered_at: Option<Timestamp>,
}

/// Enabled subscriptions that are behind the log.
pub(crate) async fn behind(pool: &PgPool) -> Result<Vec<Uuid>, StoreError> {
    let rows = sqlx::query!(
        "select s.subscription_id from event_subscriptions s, event_head h
         where s.status = 'ENABLED' and s.position < h.position order by s.subscription_id"
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| row.subscription_id).collect())
}

/// Makes deliveries of the next `limit` events of a subscription, unless `due_max` wait already.
/// Returns how many events were looked at.
pub(crate) async fn fan_out(
    pool: &PgPool,
    subscription_id: Uuid,
    (limit, due_max): (i64, i64),
    now: Timestamp,
) -> Result<usize, StoreError> {
    let row = sqlx::query!(
        r#"with sub as materialized (
            select s.subscription_id, s.position, s.kinds from event_subscriptions s
            where s.subscription_id = $1 and s.status = 'ENABLED'
                and (select count(*) from event_deliveries d
                    where d.subscription_id = $1 and d.status = 'DUE') < $3
            for no key update skip locked
        ), page as materialized (
            select e.position, e.kind from sub
            cross join lateral event_log(sub.position,
                (select least(position, sub.position + $2) from event_head)) e
        ), made as (
            insert into event_deliveries (subscription_id, position, next_attempt_at, due_since,
                created_at)
            select sub.subscription_id, page.position, $4, $4, $4 from page, sub
            where cardinality(sub.kinds) = 0 or page.kind = any(sub.kinds)
        ), moved as (
            update event_subscriptions s set position = p.position
            from (select max(position) as position from page) p
            where s.subscription_id = $1 and p.position is not null
        )
        select count(*) as "count!" from page"#,
        subscription_id,
        limit,
        due_max,
        OffsetDateTime::from(now)
    )
    .fetch_one(pool)
    .await?;
    Ok(usize::try_from(row.count).unwrap_or(0))
}

/// Enabled subscriptions with deliveries that are due.
pub(crate) async fn subscriptions_due(
    pool: &PgPool,
    now: Timestamp,
) -> Result<Vec<Uuid>, StoreError> {
    let rows = sqlx::query!(
        "select s.subscription_id from event_subscriptions s
         where s.status = 'ENABLED' and exists (select 1 from event_deliveries d
            where d.subscription_id = s.subscription_id and d.status = 'DUE'
                and d.next_attempt_at <= $1)",
        OffsetDateTime::from(now)
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| row.subscription_id).collect())
}

/// Claims deliveries of a subscription that are due, by moving their next attempt to `until`, so that
/// other processes skip them meanwhile.
pub(crate) async fn claim_due(
    pool: &PgPool,
    subscription_id: Uuid,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<ClaimedDelivery>, StoreError> {
    let rows = sqlx::query!(
        "with due as materialized (
            select d.position from event_deliveries d
            where d.subscription_id = $1 and d.status = 'DUE' and d.next_attempt_at <= $2
                and exists (select 1 from event_subscriptions s
                    where s.subscription_id = $1 and s.status = 'ENABLED')
            order by d.next_attempt_at, d.position limit $4 for no key update skip locked
        )
        update event_deliveries d set next_attempt_at = $3, attempt_count = d.attempt_count + 1
        from due where d.subscription_id = $1 and d.position = due.position
        returning d.position, d.attempt_count, d.due_since",
        subscription_id,
        OffsetDateTime::from(now),
        OffsetDateTime::from(until),
        limit
    )
    .fetch_all(pool)
    .await?;
    let mut claimed: Vec<ClaimedDelivery> = rows
        .into_iter()
        .map(|row| ClaimedDelivery {
            subscription_id,
            position: row.position,
            attempt_count: row.attempt_count,
            due_since: row.due_since.into(),
        })
        .collect();
    claimed.sort_by_key(|delivery| delivery.position);
    Ok(claimed)
}

/// Records what an attempt came to. A success counts also when the lease had ended; a failure
/// changes nothing if another attempt has begun.
pub(crate) async fn record(
    pool: &PgPool,
    delivery: &ClaimedDelivery,
    tried: &Tried,
    disabled_because: impl Fn(Timestamp) -> Option<&'static str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let at = OffsetDateTime::from(now);
    let delivered = tried.status == DeliveryStatus::Delivered;
    let mut tx = pool.begin().await?;
    let failing_since = sqlx::query!(
        "update event_subscriptions
         set failing_since = case when $2 then null else coalesce(failing_since, $3) end
         where subscription_id = $1 and ((failing_since is null) <> $2 or not $2)
         returning failing_since",
        delivery.subscription_id,
        delivered,
        at
    )
    .fetch_optional(&mut *tx)
    .await?;
    sqlx::query!(
        "update event_deliveries set status = $4, next_attempt_at = $5, tried_at = $6::timestamptz,
            answer_status = $7, last_error = $8, delivered_at = case when $9 then $6::timestamptz end
         where subscription_id = $1 and position = $2 and status <> 'DELIVERED'
            and (attempt_count = $3 or $9)",
        delivery.subscription_id,
        delivery.position,
        delivery.attempt_count,
        text_of(tried.status),
        OffsetDateTime::from(tried.next_attempt_at),
        at,
        tried.answer_status,
        tried.error,
        delivered
    )
    .execute(&mut *tx)
    .await?;
    let mut disabled = false;
    if let Some(since) = failing_since.and_then(|row| row.failing_since)
        && let Some(why) = disabled_because(since.into())
    {
        let id = delivery.subscription_id;
        disabled = subscriptions::disable(&mut tx, id, why, now).await?;
        if disabled {
            subscriptions::note_disabled(&mut tx, id, why, now).await?;
        }
    }
    tx.commit().await?;
    Ok(disabled)
}

/// Deliveries of a subscription, the newest first, at most `limit`.
pub(crate) async fn list(
    pool: &PgPool,
    subscription_id: Uuid,
    status: Option<DeliveryStatus>,
    limit: i64,
) -> Result<Vec<DeliveryRow>, StoreError> {
    let rows = sqlx::query!(
        r#"select d.position, e.event_id as "event_id!", e.kind as "kind!", d.status, d.attempt_count, d.next_attempt_at,
            d.tried_at, d.answer_status, d.last_error, d.delivered_at
         from event_deliveries d cross join lateral event_log(d.position - 1, d.position) e
         where d.subscription_id = $1 and ($2::text is null or d.status = $2)
         order by d.position desc limit $3"#,
        subscription_id,
        status.map(text_of),
        limit
    )
    .fetch_all(pool)
    .await?;
    let rows = rows.into_iter().map(|row| {
        Ok(DeliveryRow {
            position: row.position,
            event_id: row.event_id,
            kind: row.kind,
            status: word("event_deliveries", &row.status)?,
            attempt_count: row.attempt_count,
            next_attempt_at: row.next_attempt_at.into(),
            tried_at: row.tried_at.map(Timestamp::from),
            answer_status: row.answer_status,
            last_error: row.last_error,
            delivered_at: row.delivered_at.map(Timestamp::from),
        })
    });
    rows.collect()
}

/// Makes dead letters due again: one, or all up to `limit`, the oldest first. Returns how many.
pub(crate) async fn retry(
    pool: &PgPool,
    subscription_id: Uuid,
    position: Option<i64>,
    now: Timestamp,
    limit: i64,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update event_deliveries set status = 'DUE', attempt_count = 0, next_attempt_at = $3,
            due_since = $3
         where subscription_id = $1 and position in (
            select position from event_deliveries
            where subscription_id = $1 and status = 'FAILED'
                and ($2::bigint is null or position = $2)
            order by position limit $4 for no key update skip locked)",
        subscription_id,
        position,
        OffsetDateTime::from(now),
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Removes deliveries from before `before` that do not wait, up to `limit`.
pub(crate) async fn purge(pool: &PgPool, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "delete from event_deliveries where ctid in (
            select ctid from event_deliveries where status <> 'DUE' and created_at < $1
            order by created_at limit $2)",
        OffsetDateTime::from(before),
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

//! Cancelled shows.

use contract::{ShowId, Timestamp};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::StoreError;

/// How far the cancellation of a show has come.
#[derive(Clone, Debug)]
pub(crate) struct ProgressRow {
    pub(crate) cancelled_at: Timestamp,
    pub(crate) reason: Option<String>,
    pub(crate) bookings_left: u64,
    pub(crate) bookings_stuck: u64,
    pub(crate) bookings_cancelled: u64,
    pub(crate) refunds_open: u64,
    pub(crate) refunds_failed: u64,
    pub(crate) refunded_minor: i64,
    pub(crate) currency: String,
}

/// Cancels a show. Returns whether it was not cancelled before; `None` for an unknown show.
pub(crate) async fn begin(
    pool: &PgPool,
    show: &ShowId,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Option<bool>, StoreError> {
    let mut tx = pool.begin().await?;
    let row = sqlx::query!(
        "select show_no, cancelled_at from shows where show_id = $1 for no key update",
        show.as_str()
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.cancelled_at.is_some() {
        return Ok(Some(false));
    }
    sqlx::query!(
        "update shows set cancelled_at = $2, updated_at = $2, revision = revision + 1
         where show_no = $1",
        row.show_no,
        OffsetDateTime::from(now)
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "insert into show_cancellations (show_no, reason, created_at) values ($1, $2, $3)
         on conflict (show_no) do nothing",
        row.show_no,
        reason,
        OffsetDateTime::from(now)
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(true))
}

/// Cancelled shows that still have bookings with tickets, with the reasons.
pub(crate) async fn with_bookings(pool: &PgPool) -> Result<Vec<(i32, Option<String>)>, StoreError> {
    let rows = sqlx::query!(
        "select c.show_no, c.reason from show_cancellations c
         where exists (select 1 from bookings b
            where b.show_no = c.show_no and b.status <> 'CANCELLED')
         order by c.show_no"
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.show_no, row.reason))
        .collect())
}

/// Notes that a booking could not be cancelled. It is passed over for a minute, and twice as long
/// each further time, up to an hour.
pub(crate) async fn failed(
    pool: &PgPool,
    booking_id: Uuid,
    error: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into show_cancel_failures as f (booking_id, failed_count, next_attempt_at, last_error)
         values ($1, 1, $2::timestamptz + interval '1 minute', $3)
         on conflict (booking_id) do update set failed_count = f.failed_count + 1, last_error = $3,
            next_attempt_at = $2::timestamptz
                + least(interval '1 minute' * 2 ^ least(f.failed_count, 10), interval '1 hour')",
        booking_id,
        OffsetDateTime::from(now),
        error
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// How far the cancellation of a show has come; `None` when it was not cancelled.
pub(crate) async fn progress(
    pool: &PgPool,
    show: &ShowId,
) -> Result<Option<ProgressRow>, StoreError> {
    let row = sqlx::query!(
        r#"select s.cancelled_at as "cancelled_at!", c.reason, s.currency,
            (select count(*) from bookings b where b.show_no = s.show_no
                and b.status <> 'CANCELLED') as "bookings_left!",
            (select count(*) from bookings b join show_cancel_failures f using (booking_id)
                where b.show_no = s.show_no and b.status <> 'CANCELLED') as "bookings_stuck!",
            (select count(*) from bookings b where b.show_no = s.show_no
                and b.status = 'CANCELLED') as "bookings_cancelled!",
            r.open as "open!", r.failed as "failed!", r.refunded as "refunded!"
         from shows s left join show_cancellations c using (show_no)
         cross join lateral (
            select count(*) filter (where r.status in ('REQUESTED', 'SUBMITTED', 'FAILED')) as open,
                count(*) filter (where r.status = 'NEEDS_OPS') as failed,
                coalesce(sum(r.amount_minor) filter (where r.status = 'SUCCEEDED'), 0)::bigint
                    as refunded
            from bookings b join payments p on p.hold_id = b.hold_id and p.disposition = 'BOOKED'
            join refunds r using (payment_id) where b.show_no = s.show_no) r
         where s.show_id = $1 and s.cancelled_at is not null"#,
        show.as_str()
    )
    .fetch_optional(pool)
    .await?;
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(row.map(|row| ProgressRow {
        cancelled_at: row.cancelled_at.into(),
        reason: row.reason,
        bookings_left: count(row.bookings_left),
        bookings_stuck: count(row.bookings_stuck),
        bookings_cancelled: count(row.bookings_cancelled),
        refunds_open: count(row.open),
        refunds_failed: count(row.failed),
        refunded_minor: row.refunded,
        currency: row.currency,
    }))
}

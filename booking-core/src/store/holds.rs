//! Reads and changes single holds, and sweeps.

use std::collections::HashMap;

use contract::booking::HoldStatus;
use contract::{HoldId, Timestamp};
use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::seats::{self, Returned, SeatReport};
use super::{coupons, outbox, text_of, word};
use crate::database::StoreError;

/// A hold, as read from the database.
#[derive(Clone, Debug)]
pub(crate) struct HoldRow {
    pub(crate) hold_id: Uuid,
    pub(crate) show_no: i32,
    pub(crate) subject: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) limit_owner: String,
    pub(crate) status: HoldStatus,
    pub(crate) seat_nos: Vec<i32>,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) attempt_count: i32,
    pub(crate) payment_open: bool,
    pub(crate) expires_at: Timestamp,
    pub(crate) hard_deadline: Timestamp,
    /// Whether it was extended, which happens once.
    pub(crate) was_extended: bool,
    /// The use of a coupon that its price contains.
    pub(crate) coupon_use_id: Option<Uuid>,
    pub(crate) booking_id: Option<Uuid>,
}

impl HoldRow {
    /// Whether the hold still has its seats.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.status, HoldStatus::Active | HoldStatus::Paying)
    }

    pub(crate) fn returned(&self) -> Returned {
        Returned {
            hold_id: self.hold_id,
            show_no: self.show_no,
            seat_nos: self.seat_nos.clone(),
            limit_owner: self.limit_owner.clone(),
        }
    }
}

macro_rules! hold_row {
    ($row:expr) => {{
        let row = $row;
        HoldRow {
            hold_id: row.hold_id,
            show_no: row.show_no,
            subject: row.subject,
            session: row.session,
            limit_owner: row.limit_owner,
            status: word("holds", &row.status)?,
            seat_nos: row.seat_nos,
            amount_minor: row.amount_minor,
            currency: row.currency,
            attempt_count: row.attempt_count,
            payment_open: row.payment_open,
            expires_at: row.expires_at.into(),
            hard_deadline: row.hard_deadline.into(),
            was_extended: row.was_extended,
            coupon_use_id: row.coupon_use_id,
            booking_id: row.booking_id,
        }
    }};
}

/// Reads the hold without a lock.
pub(crate) async fn find(
    database: impl PgExecutor<'_>,
    hold_id: Uuid,
) -> Result<Option<HoldRow>, StoreError> {
    let row = sqlx::query!(
        r#"select h.hold_id, h.show_no, h.subject, h.session, h.limit_owner, h.status, h.seat_nos,
            h.amount_minor, h.currency, h.attempt_count, h.payment_open, h.expires_at,
            h.hard_deadline, h.extended_at is not null as "was_extended!", h.coupon_use_id,
            b.booking_id as "booking_id?"
           from holds h left join bookings b using (hold_id) where h.hold_id = $1"#,
        hold_id
    )
    .fetch_optional(database)
    .await?;
    row.map(|row| Ok(hold_row!(row))).transpose()
}

/// Reads holds without a lock, in the order of `hold_ids`.
pub(crate) async fn find_all(
    connection: &mut PgConnection,
    hold_ids: &[Uuid],
) -> Result<Vec<Option<HoldRow>>, StoreError> {
    let rows = sqlx::query!(
        r#"select h.hold_id, h.show_no, h.subject, h.session, h.limit_owner, h.status, h.seat_nos,
            h.amount_minor, h.currency, h.attempt_count, h.payment_open, h.expires_at,
            h.hard_deadline, h.extended_at is not null as "was_extended!", h.coupon_use_id,
            (select b.booking_id from bookings b where b.hold_id = h.hold_id) as booking_id
           from holds h where h.hold_id = any($1)"#,
        hold_ids
    )
    .fetch_all(connection)
    .await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let hold: HoldRow = hold_row!(row);
        found.insert(hold.hold_id, hold);
    }
    Ok(hold_ids.iter().map(|id| found.get(id).cloned()).collect())
}

/// A hold that can still be paid, as far as a page shows it.
#[derive(Clone, Debug)]
pub(crate) struct OpenHoldRow {
    pub(crate) hold_id: Uuid,
    pub(crate) show_no: i32,
    pub(crate) seat_count: u32,
    pub(crate) expires_at: Timestamp,
}

/// Holds of `owners` that can still be paid, the next to end first, at most `limit`.
pub(crate) async fn open_of(
    connection: &mut PgConnection,
    owners: &[String],
    now: Timestamp,
    limit: i64,
) -> Result<Vec<OpenHoldRow>, StoreError> {
    let rows = sqlx::query!(
        r#"select hold_id, show_no, cardinality(seat_nos) as "seat_count!", expires_at
           from holds
           where limit_owner = any($1) and status in ('ACTIVE', 'PAYING') and expires_at > $2
           order by expires_at, hold_id limit $3"#,
        owners,
        OffsetDateTime::from(now),
        limit
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| OpenHoldRow {
            hold_id: row.hold_id,
            show_no: row.show_no,
            seat_count: u32::try_from(row.seat_count).unwrap_or(0),
            expires_at: row.expires_at.into(),
        })
        .collect())
}

/// Reads and locks the hold. Every transaction that changes a hold or its money takes this lock
/// first.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    hold_id: Uuid,
) -> Result<Option<HoldRow>, StoreError> {
    let row = sqlx::query!(
        r#"select h.hold_id, h.show_no, h.subject, h.session, h.limit_owner, h.status, h.seat_nos,
            h.amount_minor, h.currency, h.attempt_count, h.payment_open, h.expires_at,
            h.hard_deadline, h.extended_at is not null as "was_extended!", h.coupon_use_id,
            (select b.booking_id from bookings b where b.hold_id = h.hold_id) as booking_id
           from holds h where h.hold_id = $1 for no key update"#,
        hold_id
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| Ok(hold_row!(row))).transpose()
}

/// Sets the status of a locked hold. A closing status gets `now` as its time.
pub(crate) async fn set_status(
    connection: &mut PgConnection,
    hold_id: Uuid,
    status: HoldStatus,
    now: Timestamp,
) -> Result<(), StoreError> {
    let closed = !matches!(status, HoldStatus::Active | HoldStatus::Paying);
    let done = sqlx::query!(
        "update holds set status = $2, closed_at = $3 where hold_id = $1",
        hold_id,
        text_of(status),
        closed.then(|| OffsetDateTime::from(now))
    )
    .execute(connection)
    .await?;
    one_row(done.rows_affected())
}

/// Extends a locked hold, once.
pub(crate) async fn extend(
    connection: &mut PgConnection,
    hold_id: Uuid,
    until: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update holds set expires_at = $2, extended_at = $3
         where hold_id = $1 and extended_at is null and hard_deadline >= $2",
        hold_id,
        OffsetDateTime::from(until),
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends the time of a locked hold: no payment begins for it any more.
pub(crate) async fn end_time(
    connection: &mut PgConnection,
    hold_id: Uuid,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update holds set expires_at = least(expires_at, $2) where hold_id = $1",
        hold_id,
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Recomputes `payment_open` from the hold's payments.
pub(crate) async fn refresh_payment_open(
    connection: &mut PgConnection,
    hold_id: Uuid,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update holds h set payment_open = exists (
            select 1 from payments p where p.hold_id = h.hold_id and p.provider_open)
         where h.hold_id = $1",
        hold_id
    )
    .execute(connection)
    .await?;
    one_row(done.rows_affected())
}

fn one_row(affected: u64) -> Result<(), StoreError> {
    if affected == 1 {
        Ok(())
    } else {
        Err(StoreError::corrupt("holds", "a locked hold vanished"))
    }
}

/// Closes a locked hold and frees its seats. One that expires with an attempt to pay is announced.
pub(crate) async fn close(
    connection: &mut PgConnection,
    hold: &HoldRow,
    status: HoldStatus,
    now: Timestamp,
) -> Result<Vec<SeatReport>, StoreError> {
    // Mark the hold closed before its seats are freed: in the reverse order, another customer could
    // hold a seat while this hold can still be confirmed.
    set_status(connection, hold.hold_id, status, now).await?;
    if status == HoldStatus::Expired && hold.attempt_count > 0 {
        let payload = serde_json::json!({ "holdId": HoldId::new(hold.hold_id) });
        outbox::add(connection, "hold.expired", hold.hold_id, payload, now).await?;
    }
    let reports = seats::give_back(connection, &[hold.returned()]).await?;
    if hold.coupon_use_id.is_some() {
        coupons::release(connection, &[hold.hold_id], now).await?;
    }
    Ok(reports)
}

/// Expires up to `limit` holds past their end that have no open payment, except those in `but`.
/// Returns how many, and the freed seats. Those with an attempt to pay are announced. Any number of
/// processes may sweep at once.
pub(crate) async fn sweep(
    pool: &PgPool,
    now: Timestamp,
    but: &[Uuid],
    limit: i64,
) -> Result<(usize, Vec<SeatReport>), StoreError> {
    let mut tx = pool.begin().await?;
    let due = sqlx::query_as!(
        Returned,
        "with due as materialized (
            select hold_id, attempt_count from holds
            where status in ('ACTIVE', 'PAYING') and expires_at <= $1 and not payment_open
                and hold_id <> all($3)
            order by expires_at limit $2 for no key update skip locked
        ), told as (
            -- Without an attempt to pay no address is known.
            insert into outbox (topic, dedupe, payload, created_at)
            select 'hold.expired', 'hold.expired:' || hold_id,
                jsonb_build_object('holdId', 'hold_' || replace(hold_id::text, '-', '')), $1
            from due where attempt_count > 0
            on conflict (dedupe) do nothing
        )
        update holds h set status = 'EXPIRED', closed_at = $1
        from due d where h.hold_id = d.hold_id
        returning h.hold_id, h.show_no, h.seat_nos, h.limit_owner",
        OffsetDateTime::from(now),
        limit,
        but
    )
    .fetch_all(&mut *tx)
    .await?;
    let reports = seats::give_back(&mut tx, &due).await?;
    let hold_ids: Vec<Uuid> = due.iter().map(|hold| hold.hold_id).collect();
    coupons::release(&mut tx, &hold_ids, now).await?;
    tx.commit().await?;
    Ok((due.len(), reports))
}

/// The holds that [`sweep`] would expire.
pub(crate) async fn due(
    pool: &PgPool,
    now: Timestamp,
    but: &[Uuid],
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let rows = sqlx::query!(
        "select hold_id from holds
         where status in ('ACTIVE', 'PAYING') and expires_at <= $1 and not payment_open
            and hold_id <> all($3)
         order by expires_at limit $2",
        OffsetDateTime::from(now),
        limit,
        but
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| row.hold_id).collect())
}

/// Expires one hold if it is past its end and has no open payment. Returns the freed seats.
pub(crate) async fn expire(
    pool: &PgPool,
    hold_id: Uuid,
    now: Timestamp,
) -> Result<Vec<SeatReport>, StoreError> {
    let mut tx = pool.begin().await?;
    let Some(hold) = lock(&mut tx, hold_id).await? else {
        return Ok(Vec::new());
    };
    if !hold.is_open() || hold.expires_at > now || hold.payment_open {
        return Ok(Vec::new());
    }
    let reports = close(&mut tx, &hold, HoldStatus::Expired, now).await?;
    tx.commit().await?;
    Ok(reports)
}

/// The ticket limit of a hold's show.
pub(crate) async fn ticket_limit(
    connection: &mut PgConnection,
    show_no: i32,
) -> Result<i32, StoreError> {
    let row = sqlx::query!("select ticket_limit from shows where show_no = $1", show_no)
        .fetch_one(connection)
        .await?;
    Ok(row.ticket_limit)
}

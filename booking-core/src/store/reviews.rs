//! Purchases that a person decides about.

use contract::Timestamp;
use contract::booking::BookingStatus;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::risk::signals;
use super::word;
use crate::database::StoreError;
use crate::fraud::signal::Signal;

/// The state of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ReviewState {
    /// Nobody has decided.
    Waiting,
    /// The tickets may be sent.
    Approved,
    /// The booking is cancelled and the money goes back.
    Refused,
}

/// A review with its booking.
#[derive(Clone, Debug)]
pub(crate) struct ReviewRow {
    pub(crate) hold_id: Uuid,
    pub(crate) booking_id: Uuid,
    pub(crate) code: String,
    pub(crate) show_id: String,
    pub(crate) starts_at: Timestamp,
    pub(crate) email: String,
    pub(crate) booking_status: BookingStatus,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) ticket_count: u32,
    pub(crate) state: ReviewState,
    pub(crate) signals: Vec<Signal>,
    pub(crate) score: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) decided_at: Option<Timestamp>,
    pub(crate) by_time: bool,
    pub(crate) note: Option<String>,
}

/// Puts a purchase aside for a person, before it is booked. One that is there stays as it is.
/// Returns whether it is new.
pub(crate) async fn begin(
    connection: &mut PgConnection,
    hold_id: Uuid,
    signals: &[Signal],
    score: u32,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into reviews (hold_id, signals, score, created_at) values ($1, $2, $3, $4)
         on conflict (hold_id) do nothing",
        hold_id,
        serde_json::to_value(signals).unwrap_or_default(),
        i32::try_from(score).unwrap_or(i32::MAX),
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

macro_rules! review_row {
    ($row:expr) => {{
        let row = $row;
        Ok(ReviewRow {
            hold_id: row.hold_id,
            booking_id: row.booking_id,
            code: row.code,
            show_id: row.show_id,
            starts_at: row.starts_at.into(),
            email: row.email,
            booking_status: word("bookings", &row.booking_status)?,
            amount_minor: row.amount_minor,
            currency: row.currency,
            ticket_count: u32::try_from(row.ticket_count).unwrap_or(0),
            state: word("reviews", &row.state)?,
            signals: signals("reviews", row.signals)?,
            score: u32::try_from(row.score).unwrap_or(0),
            created_at: row.created_at.into(),
            decided_at: row.decided_at.map(Timestamp::from),
            by_time: row.by_time,
            note: row.note,
        })
    }};
}

/// Reviews that wait for a decision, those whose show begins first first, at most `limit`.
pub(crate) async fn waiting(pool: &PgPool, limit: i64) -> Result<Vec<ReviewRow>, StoreError> {
    let rows = sqlx::query!(
        r#"select r.hold_id, b.booking_id, b.code, s.show_id, s.starts_at, b.email,
            b.status as booking_status, b.amount_minor, b.currency, r.state, r.signals, r.score,
            r.created_at, r.decided_at, r.by_time, r.note,
            (select count(*) from tickets t
                where t.booking_id = b.booking_id and t.status <> 'VOID') as "ticket_count!"
         from reviews r join bookings b using (hold_id) join shows s using (show_no)
         where r.state = 'WAITING' and b.status <> 'CANCELLED'
         order by s.starts_at, r.created_at limit $1"#,
        limit
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| review_row!(row)).collect()
}

/// The review of a booking.
pub(crate) async fn of_booking(
    pool: &PgPool,
    booking_id: Uuid,
) -> Result<Option<ReviewRow>, StoreError> {
    let row = sqlx::query!(
        r#"select r.hold_id, b.booking_id, b.code, s.show_id, s.starts_at, b.email,
            b.status as booking_status, b.amount_minor, b.currency, r.state, r.signals, r.score,
            r.created_at, r.decided_at, r.by_time, r.note,
            (select count(*) from tickets t
                where t.booking_id = b.booking_id and t.status <> 'VOID') as "ticket_count!"
         from reviews r join bookings b using (hold_id) join shows s using (show_no)
         where b.booking_id = $1"#,
        booking_id
    )
    .fetch_optional(pool)
    .await?;
    row.map(|row| review_row!(row)).transpose()
}

/// A decision about a review.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided<'a> {
    pub(crate) hold_id: Uuid,
    pub(crate) state: ReviewState,
    pub(crate) by_time: bool,
    pub(crate) note: Option<&'a str>,
    pub(crate) now: Timestamp,
}

/// Decides a review that waits. When it is approved, the mail with the tickets is due at once. False
/// if it was decided before.
pub(crate) async fn decide(pool: &PgPool, decided: &Decided<'_>) -> Result<bool, StoreError> {
    let mut tx = pool.begin().await?;
    let now = OffsetDateTime::from(decided.now);
    let done = sqlx::query!(
        "update reviews set state = $2, decided_at = $3, by_time = $4, note = $5
         where hold_id = $1 and state = 'WAITING'",
        decided.hold_id,
        super::text_of(decided.state),
        now,
        decided.by_time,
        decided.note
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 1 && decided.state == ReviewState::Approved {
        sqlx::query!(
            "update notices set next_attempt_at = $2, due_since = $2
             where kind = 'BOOKING_CONFIRMED' and status = 'DUE'
                and about = (select booking_id from bookings where hold_id = $1)",
            decided.hold_id,
            now
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(done.rows_affected() == 1)
}

/// Reviews that wait since `before` or longer, at most `limit`.
pub(crate) async fn to_approve(
    pool: &PgPool,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let rows = sqlx::query!(
        "select r.hold_id from reviews r join bookings b using (hold_id)
         where r.state = 'WAITING' and r.created_at <= $1 and b.status <> 'CANCELLED'
         order by r.created_at limit $2",
        OffsetDateTime::from(before),
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| row.hold_id).collect())
}

/// Bookings whose review was refused and that are not cancelled yet, with the holds, at most `limit`.
pub(crate) async fn to_cancel(pool: &PgPool, limit: i64) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    let rows = sqlx::query!(
        "select b.booking_id, b.hold_id from reviews r join bookings b using (hold_id)
         where r.state = 'REFUSED' and b.status <> 'CANCELLED'
         order by r.decided_at limit $1",
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.booking_id, row.hold_id))
        .collect())
}

/// How many reviews wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReviewBacklog {
    pub(crate) waiting: u64,
    /// Those of shows that begin before a time, or have begun.
    pub(crate) urgent: u64,
}

/// Counts reviews that wait; those of shows that begin before `urgent_before` are urgent.
pub(crate) async fn backlog(
    pool: &PgPool,
    urgent_before: Timestamp,
) -> Result<ReviewBacklog, StoreError> {
    let row = sqlx::query!(
        r#"select count(*) as "waiting!",
            count(*) filter (where s.starts_at < $1) as "urgent!"
         from reviews r join bookings b using (hold_id) join shows s using (show_no)
         where r.state = 'WAITING' and b.status <> 'CANCELLED'"#,
        OffsetDateTime::from(urgent_before)
    )
    .fetch_one(pool)
    .await?;
    Ok(ReviewBacklog {
        waiting: u64::try_from(row.waiting).unwrap_or(0),
        urgent: u64::try_from(row.urgent).unwrap_or(0),
    })
}

/// Removes reviews that were approved before `before`, and those of holds that never became a
/// booking. Returns how many; there may be more. Those that were refused stay: their tickets are
/// never given out.
pub(crate) async fn purge(pool: &PgPool, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "delete from reviews where hold_id in (
            select r.hold_id from reviews r
            where (r.state = 'APPROVED' and r.decided_at < $1) or (r.created_at < $1
                and not exists (select 1 from bookings b where b.hold_id = r.hold_id))
            order by r.created_at limit $2)",
        OffsetDateTime::from(before),
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

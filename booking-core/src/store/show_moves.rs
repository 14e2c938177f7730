//! Moved shows, and reminders of shows.

use contract::booking::Venue;
use contract::{ShowId, Timestamp};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::StoreError;
use crate::notice::NoticeKind;

/// Where and when a show is to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NewMove {
    pub(crate) move_id: Uuid,
    pub(crate) starts_at: Timestamp,
    pub(crate) ends_at: Option<Timestamp>,
    /// The present one when `None`.
    pub(crate) venue: Option<Venue>,
    pub(crate) reason: Option<String>,
    pub(crate) refund_until: Option<Timestamp>,
}

/// The outcome of moving a show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// It takes place there and then from now on.
    Now,
    /// It did already.
    Before,
    /// It was cancelled.
    Cancelled,
    /// It has begun.
    Begun,
}

/// How far the telling of the last move of a show has come.
#[derive(Clone, Debug)]
pub(crate) struct MoveProgressRow {
    pub(crate) sequence: i32,
    pub(crate) moved_at: Timestamp,
    pub(crate) old_starts_at: Timestamp,
    pub(crate) starts_at: Timestamp,
    pub(crate) reason: Option<String>,
    pub(crate) refund_until: Option<Timestamp>,
    pub(crate) bookings_left: u64,
    pub(crate) notices_due: u64,
    pub(crate) notices_sent: u64,
    pub(crate) notices_failed: u64,
}

/// A move as a booking is told of it.
#[derive(Clone, Debug)]
pub(crate) struct ToldMove {
    pub(crate) booking_id: Uuid,
    pub(crate) old_starts_at: Timestamp,
    pub(crate) old_venue: String,
    pub(crate) reason: Option<String>,
    pub(crate) refund_until: Option<Timestamp>,
    /// Whether the show was moved again.
    pub(crate) is_outdated: bool,
}

/// Moves a show; `None` for an unknown one. The end of its sale moves along.
pub(crate) async fn begin(
    pool: &PgPool,
    show: &ShowId,
    new: &NewMove,
    now: Timestamp,
) -> Result<Option<Moved>, StoreError> {
    let mut tx = pool.begin().await?;
    let row = sqlx::query!(
        "select show_no, starts_at, ends_at, venue, cancelled_at from shows
         where show_id = $1 for no key update",
        show.as_str()
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.cancelled_at.is_some() {
        return Ok(Some(Moved::Cancelled));
    }
    let venue = match &new.venue {
        Some(venue) => serde_json::to_value(venue)
            .map_err(|error| StoreError::corrupt("shows", error.to_string()))?,
        None => row.venue.clone(),
    };
    let (starts_at, ends_at) = (OffsetDateTime::from(new.starts_at), new.ends_at);
    let ends_at = ends_at.map(OffsetDateTime::from);
    if (row.starts_at, row.ends_at, &row.venue) == (starts_at, ends_at, &venue) {
        return Ok(Some(Moved::Before));
    }
    if row.starts_at <= OffsetDateTime::from(now) {
        return Ok(Some(Moved::Begun));
    }
    sqlx::query!(
        "insert into show_moves (move_id, show_no, sequence, old_starts_at, old_ends_at, old_venue,
            reason, refund_until, created_at)
         values ($1, $2, (select coalesce(max(sequence), 0) + 1 from show_moves where show_no = $2),
            $3, $4, $5, $6, $7, $8)",
        new.move_id,
        row.show_no,
        row.starts_at,
        row.ends_at,
        row.venue,
        new.reason,
        new.refund_until.map(OffsetDateTime::from),
        OffsetDateTime::from(now)
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update shows set starts_at = $2, ends_at = $3, venue = $4,
            sale_closes_at = greatest(sale_opens_at, sale_closes_at + ($2 - starts_at)),
            updated_at = $5, revision = revision + 1
         where show_no = $1",
        row.show_no,
        starts_at,
        ends_at,
        venue,
        OffsetDateTime::from(now)
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(Moved::Now))
}

/// Makes notices for up to `limit` bookings that were held before the last move of their show and
/// are not told of it. What is left is read from the bookings. Returns how many were made.
pub(crate) async fn tell(
    pool: &PgPool,
    domain: &str,
    since: Timestamp,
    now: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let made = sqlx::query!(
        r#"with last as (
            select distinct on (show_no) move_id, show_no, created_at from show_moves
            where created_at > $1 order by show_no, sequence desc
        ), made as (
            insert into show_move_tells (tell_id, move_id, booking_id)
            select gen_random_uuid(), l.move_id, b.booking_id
            from last l join bookings b using (show_no) join holds h using (hold_id)
            where h.created_at <= l.created_at and b.status <> 'CANCELLED'
                and not exists (select 1 from show_move_tells t
                    where t.move_id = l.move_id and t.booking_id = b.booking_id)
            limit $2
            on conflict (move_id, booking_id) do nothing
            returning tell_id
        )
        insert into notices (notice_id, kind, about, message_id, urgency, next_attempt_at,
            created_at, due_since)
        select gen_random_uuid(), 'SHOW_MOVED', tell_id, 'show-moved.' || tell_id || '@' || $3, $4,
            $5, $5, $5
        from made"#,
        OffsetDateTime::from(since),
        limit,
        domain,
        NoticeKind::ShowMoved.urgency(),
        OffsetDateTime::from(now)
    )
    .execute(pool)
    .await?;
    Ok(usize::try_from(made.rows_affected()).unwrap_or(0))
}

/// The move that a notice is about.
pub(crate) async fn told(pool: &PgPool, tell_id: Uuid) -> Result<Option<ToldMove>, StoreError> {
    let row = sqlx::query!(
        r#"select t.booking_id, m.old_starts_at, m.old_venue->>'name' as old_venue, m.reason,
            m.refund_until,
            exists (select 1 from show_moves l where l.show_no = m.show_no
                and l.sequence > m.sequence) as "is_outdated!"
         from show_move_tells t join show_moves m using (move_id) where t.tell_id = $1"#,
        tell_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| ToldMove {
        booking_id: row.booking_id,
        old_starts_at: row.old_starts_at.into(),
        old_venue: row.old_venue.unwrap_or_default(),
        reason: row.reason,
        refund_until: row.refund_until.map(Timestamp::from),
        is_outdated: row.is_outdated,
    }))
}

/// How far the telling of the last move has come; `None` when the show was not moved.
pub(crate) async fn progress(
    pool: &PgPool,
    show: &ShowId,
) -> Result<Option<MoveProgressRow>, StoreError> {
    let row = sqlx::query!(
        r#"select m.sequence, m.created_at, m.old_starts_at, s.starts_at, m.reason, m.refund_until,
            (select count(*) from bookings b join holds h using (hold_id)
                where b.show_no = s.show_no and b.status <> 'CANCELLED'
                    and h.created_at <= m.created_at
                    and not exists (select 1 from show_move_tells t
                        where t.move_id = m.move_id and t.booking_id = b.booking_id)) as "left!",
            n.due as "due!", n.sent as "sent!", n.failed as "failed!"
         from shows s join show_moves m using (show_no)
         cross join lateral (
            select count(*) filter (where n.status = 'DUE') as due,
                count(*) filter (where n.status = 'SENT') as sent,
                count(*) filter (where n.status = 'FAILED') as failed
            from show_move_tells t join notices n on n.kind = 'SHOW_MOVED' and n.about = t.tell_id
            where t.move_id = m.move_id) n
         where s.show_id = $1 order by m.sequence desc limit 1"#,
        show.as_str()
    )
    .fetch_optional(pool)
    .await?;
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(row.map(|row| MoveProgressRow {
        sequence: row.sequence,
        moved_at: row.created_at.into(),
        old_starts_at: row.old_starts_at.into(),
        starts_at: row.starts_at.into(),
        reason: row.reason,
        refund_until: row.refund_until.map(Timestamp::from),
        bookings_left: count(row.left),
        notices_due: count(row.due),
        notices_sent: count(row.sent),
        notices_failed: count(row.failed),
    }))
}

/// How often a show was moved.
pub(crate) async fn sequence(connection: &mut PgConnection, show: &str) -> Result<u32, StoreError> {
    let row = sqlx::query!(
        r#"select coalesce(max(m.sequence), 0) as "sequence!"
         from show_moves m join shows s using (show_no) where s.show_id = $1"#,
        show
    )
    .fetch_one(connection)
    .await?;
    Ok(u32::try_from(row.sequence).unwrap_or(0))
}

/// The show as the audit log has it.
pub(crate) async fn state(pool: &PgPool, show: &ShowId) -> Result<Option<Value>, StoreError> {
    let row = sqlx::query!(
        "select starts_at, ends_at, venue from shows where show_id = $1",
        show.as_str()
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| {
        let ends_at = row.ends_at.map(Timestamp::from);
        serde_json::json!({
            "startsAt": Timestamp::from(row.starts_at), "endsAt": ends_at, "venue": row.venue,
        })
    }))
}

/// Notes how long before a show its customers are reminded.
pub(crate) async fn set_reminder(
    connection: &mut PgConnection,
    show_no: i32,
    hours: Option<u32>,
) -> Result<(), StoreError> {
    match hours.and_then(|hours| i32::try_from(hours).ok()) {
        Some(hours) => {
            sqlx::query!(
                "insert into show_reminders (show_no, hours) values ($1, $2)
                 on conflict (show_no) do update set hours = excluded.hours",
                show_no,
                hours
            )
            .execute(connection)
            .await?;
        }
        None => {
            sqlx::query!("delete from show_reminders where show_no = $1", show_no)
                .execute(connection)
                .await?;
        }
    }
    Ok(())
}

/// Makes up to `limit` reminders that are due: as long before the show as it says, else two hours
/// for customers who get them on their telephone or in their browser, and a day for the others.
/// Who booked later than that is not reminded. Returns how many were made.
pub(crate) async fn remind(
    pool: &PgPool,
    domain: &str,
    now: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let made = sqlx::query!(
        r#"with soon as (
            select s.show_no, s.starts_at, r.hours
            from shows s left join show_reminders r using (show_no)
            where s.cancelled_at is null and s.starts_at > $1
                and s.starts_at <= $1::timestamptz + make_interval(hours => coalesce(r.hours, 24))
        ), due as (
            select b.booking_id
            from soon s join bookings b using (show_no)
            left join booking_contacts c using (booking_id)
            cross join lateral (select s.starts_at - make_interval(hours => coalesce(s.hours,
                case when c.preferred in ('SMS', 'PUSH') then 2 else 24 end)) as at) d
            where b.status <> 'CANCELLED' and d.at <= $1 and b.created_at < d.at
                and not exists (select 1 from notices n
                    where n.kind = 'SHOW_REMINDER' and n.about = b.booking_id)
            limit $2
        )
        insert into notices (notice_id, kind, about, message_id, urgency, next_attempt_at,
            created_at, due_since)
        select gen_random_uuid(), 'SHOW_REMINDER', booking_id,
            'show-reminder.' || booking_id || '@' || $3, $4, $1, $1, $1
        from due
        on conflict (kind, about) do nothing"#,
        OffsetDateTime::from(now),
        limit,
        domain,
        NoticeKind::ShowReminder.urgency()
    )
    .execute(pool)
    .await?;
    Ok(usize::try_from(made.rows_affected()).unwrap_or(0))
}

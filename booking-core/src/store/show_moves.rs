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
    /// It did already, by the same order.
    Before,
    /// It did already, by an order with another reason or refund window.
    Otherwise,
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
    /// The transfer by which the reader got tickets; `None` for the buyer.
    pub(crate) transfer_id: Option<Uuid>,
    /// As the reader knew it: before the first move that the reader was not told of.
    pub(crate) old_starts_at: Timestamp,
    pub(crate) old_venue: String,
    pub(crate) reason: Option<String>,
    /// The latest of all moves since the tickets were held.
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
        let last = sqlx::query!(
            "select reason, refund_until from show_moves where show_no = $1
             order by sequence desc limit 1",
            row.show_no
        )
        .fetch_optional(&mut *tx)
        .await?;
        let same = last.is_none_or(|last| {
            (last.reason, last.refund_until)
                == (
                    new.reason.clone(),
                    new.refund_until.map(OffsetDateTime::from),
                )
        });
        return Ok(Some(if same {
            Moved::Before
        } else {
            Moved::Otherwise
        }));
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

/// Makes notices of the last move of a show for up to `limit` readers who are not told of it: buyers
/// who held before it, and whoever was passed tickets on before it. Who is left is read from
/// bookings and tickets; a show of which nobody was left is looked at again `look_again` later, for
/// who pays after the move. Returns how many were found.
pub(crate) async fn tell(
    pool: &PgPool,
    domain: &str,
    (since, looked_at): (Timestamp, Timestamp),
    now: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let found = sqlx::query!(
        r#"with last as materialized (
            select distinct on (show_no) move_id, show_no, created_at, all_told_at from show_moves
            where created_at > $1 order by show_no, sequence desc
        ), open as materialized (
            select move_id, show_no, created_at from last
            where all_told_at is null or all_told_at <= $6
        ), readers as (
            select o.move_id, b.booking_id, null::uuid as transfer_id
            from open o join bookings b using (show_no) join holds h using (hold_id)
            where h.created_at <= o.created_at and b.status <> 'CANCELLED'
            union all
            select distinct o.move_id, t.booking_id, t.transfer_id
            from open o join tickets t using (show_no)
            join transfers p on p.transfer_id = t.transfer_id
            where p.created_at <= o.created_at and t.status <> 'VOID'
        ), due as materialized (
            select r.move_id, r.booking_id, r.transfer_id from readers r
            where not exists (select 1 from show_move_tells t
                where t.move_id = r.move_id and t.booking_id = r.booking_id
                    and t.transfer_id is not distinct from r.transfer_id)
            limit $2
        ), made as (
            insert into show_move_tells (tell_id, move_id, booking_id, transfer_id)
            select gen_random_uuid(), move_id, booking_id, transfer_id from due
            on conflict (move_id, booking_id, transfer_id) do nothing
            returning tell_id
        ), notes as (
            insert into notices (notice_id, kind, about, message_id, urgency, next_attempt_at,
                created_at, due_since)
            select gen_random_uuid(), 'SHOW_MOVED', tell_id,
                'show-moved.' || tell_id || '@' || $3, $4, $5, $5, $5
            from made
        ), done as (
            update show_moves m set all_told_at = $5 from open o
            where m.move_id = o.move_id and not exists (select 1 from due)
        )
        select count(*) as "count!" from due"#,
        OffsetDateTime::from(since),
        limit,
        domain,
        NoticeKind::ShowMoved.urgency(),
        OffsetDateTime::from(now),
        OffsetDateTime::from(looked_at)
    )
    .fetch_one(pool)
    .await?;
    Ok(usize::try_from(found.count).unwrap_or(0))
}

/// The move that a notice is about.
pub(crate) async fn told(pool: &PgPool, tell_id: Uuid) -> Result<Option<ToldMove>, StoreError> {
    let row = sqlx::query!(
        r#"select t.booking_id as "booking_id!", t.transfer_id,
            f.old_starts_at as "old_starts_at!", f.old_venue->>'name' as old_venue, m.reason,
            (select max(r.refund_until) from show_moves r
                where r.show_no = m.show_no and r.created_at >= h.created_at) as refund_until,
            exists (select 1 from show_moves l where l.show_no = m.show_no
                and l.sequence > m.sequence) as "is_outdated!"
         from show_move_tells t join show_moves m using (move_id)
         join bookings b on b.booking_id = t.booking_id join holds h on h.hold_id = b.hold_id
         left join transfers p on p.transfer_id = t.transfer_id
         cross join lateral (
            select e.old_starts_at, e.old_venue from show_moves e
            where e.show_no = m.show_no and (e.sequence = m.sequence or (
                e.sequence < m.sequence
                and e.created_at >= coalesce(p.created_at, h.created_at)
                and e.sequence > coalesce((select max(o.sequence)
                    from show_move_tells x join show_moves o using (move_id)
                    join notices n on n.kind = 'SHOW_MOVED' and n.about = x.tell_id
                    where x.booking_id = t.booking_id and n.status = 'SENT'
                        and x.transfer_id is not distinct from t.transfer_id), 0)))
            order by e.sequence limit 1) f
         where t.tell_id = $1"#,
        tell_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| ToldMove {
        booking_id: row.booking_id,
        transfer_id: row.transfer_id,
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
                        where t.move_id = m.move_id and t.booking_id = b.booking_id
                            and t.transfer_id is null))
            + (select count(distinct k.transfer_id) from tickets k
                join transfers p on p.transfer_id = k.transfer_id
                where k.show_no = s.show_no and k.status <> 'VOID'
                    and p.created_at <= m.created_at
                    and not exists (select 1 from show_move_tells t
                        where t.move_id = m.move_id and t.booking_id = k.booking_id
                            and t.transfer_id = k.transfer_id)) as "left!",
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
/// for buyers who get them on their telephone or in their browser, and a day for the others. Who got
/// the tickets later than that is not reminded. Who was reminded of a date that has changed since is
/// reminded again. Returns how many were made.
pub(crate) async fn remind(
    pool: &PgPool,
    domain: &str,
    now: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let made = sqlx::query!(
        r#"with soon as materialized (
            select s.show_no, s.starts_at, r.hours,
                coalesce((select max(m.sequence) from show_moves m
                    where m.show_no = s.show_no), 0) as sequence
            from shows s left join show_reminders r using (show_no)
            where s.cancelled_at is null and s.starts_at > $1
                and s.starts_at <= $1::timestamptz + make_interval(hours => coalesce(r.hours, 24))
        ), readers as (
            select s.sequence, b.booking_id, null::uuid as transfer_id, b.created_at,
                s.starts_at - make_interval(hours => coalesce(s.hours,
                    case when c.preferred in ('SMS', 'PUSH') then 2 else 24 end)) as at
            from soon s join bookings b using (show_no)
            left join booking_contacts c using (booking_id)
            where b.status <> 'CANCELLED'
            union all
            -- Who was passed tickets on is told by mail.
            select distinct s.sequence, t.booking_id, t.transfer_id, p.created_at,
                s.starts_at - make_interval(hours => coalesce(s.hours, 24))
            from soon s join tickets t using (show_no)
            join transfers p on p.transfer_id = t.transfer_id
            where t.status <> 'VOID'
        ), made as (
            insert into show_reminder_tells (reminder_id, booking_id, transfer_id, sequence)
            select gen_random_uuid(), r.booking_id, r.transfer_id, r.sequence from readers r
            where r.at <= $1 and r.created_at < r.at
                and not exists (select 1 from show_reminder_tells t
                    where t.booking_id = r.booking_id and t.sequence = r.sequence
                        and t.transfer_id is not distinct from r.transfer_id)
                -- Tickets of a purchase that is not approved are not mailed.
                and not exists (select 1 from reviews v join bookings b using (hold_id)
                    where b.booking_id = r.booking_id and v.state <> 'APPROVED')
            limit $2
            on conflict (booking_id, transfer_id, sequence) do nothing
            returning reminder_id
        )
        insert into notices (notice_id, kind, about, message_id, urgency, next_attempt_at,
            created_at, due_since)
        select gen_random_uuid(), 'SHOW_REMINDER', reminder_id,
            'show-reminder.' || reminder_id || '@' || $3, $4, $1, $1, $1
        from made"#,
        OffsetDateTime::from(now),
        limit,
        domain,
        NoticeKind::ShowReminder.urgency()
    )
    .execute(pool)
    .await?;
    Ok(usize::try_from(made.rows_affected()).unwrap_or(0))
}

/// Who is reminded, and whether the show was moved since.
#[derive(Clone, Debug)]
pub(crate) struct Reminded {
    pub(crate) booking_id: Uuid,
    /// The transfer by which the reader got tickets; `None` for the buyer.
    pub(crate) transfer_id: Option<Uuid>,
    pub(crate) is_outdated: bool,
}

/// The reminder that a notice is about.
pub(crate) async fn reminded(
    pool: &PgPool,
    reminder_id: Uuid,
) -> Result<Option<Reminded>, StoreError> {
    let row = sqlx::query!(
        r#"select t.booking_id, t.transfer_id,
            exists (select 1 from show_moves m join bookings b using (show_no)
                where b.booking_id = t.booking_id and m.sequence > t.sequence) as "is_outdated!"
         from show_reminder_tells t where t.reminder_id = $1"#,
        reminder_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Reminded {
        booking_id: row.booking_id,
        transfer_id: row.transfer_id,
        is_outdated: row.is_outdated,
    }))
}

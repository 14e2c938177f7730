//! Notices: mail to fans, from the outbox to its end.

use contract::Timestamp;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::word;
use crate::database::StoreError;
use crate::notice::{ChannelKind, NoticeKind, NoticeStatus};

/// A notice that this process may try to send until its lease ends.
#[derive(Clone, Debug)]
pub(crate) struct ClaimedNotice {
    pub(crate) notice_id: Uuid,
    pub(crate) kind: NoticeKind,
    /// The booking, refund or hold.
    pub(crate) about: Uuid,
    /// Without angle brackets.
    pub(crate) message_id: String,
    /// With this attempt.
    pub(crate) attempt_count: i32,
    pub(crate) created_at: Timestamp,
    pub(crate) due_since: Timestamp,
    /// Channels that are not tried again.
    pub(crate) failed_channels: Vec<ChannelKind>,
    /// The last failure.
    pub(crate) last_error: Option<String>,
    urgency: i16,
}

/// A notice, for operators.
#[derive(Clone, Debug)]
pub(crate) struct NoticeRow {
    pub(crate) notice_id: Uuid,
    pub(crate) kind: NoticeKind,
    pub(crate) status: NoticeStatus,
    pub(crate) message_id: String,
    pub(crate) attempt_count: i32,
    pub(crate) last_error: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) next_attempt_at: Timestamp,
    pub(crate) sent_at: Option<Timestamp>,
    /// The channel that took it.
    pub(crate) channel: Option<ChannelKind>,
    /// Channels that did not.
    pub(crate) failed_channels: Vec<ChannelKind>,
    /// What the channel's provider calls it.
    pub(crate) receipt: Option<String>,
}

/// Notices that wait, and those that were given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backlog {
    pub(crate) due_count: u64,
    pub(crate) failed_count: u64,
    /// Since when the oldest waits.
    pub(crate) oldest_due_since: Option<Timestamp>,
}

/// Makes notices of events in the outbox. Returns how many events were done; there may be more.
pub(crate) async fn collect(
    pool: &PgPool,
    now: Timestamp,
    domain: &str,
    limit: i64,
) -> Result<usize, StoreError> {
    let row = sqlx::query_file!(
        "src/store/notices_collect.sql",
        OffsetDateTime::from(now),
        limit,
        domain
    )
    .fetch_one(pool)
    .await?;
    Ok(usize::try_from(row.count).unwrap_or(0))
}

/// Claims notices that are due, the most urgent first, by moving their next attempt to `until`, so
/// that other processes skip them meanwhile. While `mail_waits`, only those that may go another way.
pub(crate) async fn claim_due(
    pool: &PgPool,
    now: Timestamp,
    until: Timestamp,
    mail_waits: bool,
    limit: i64,
) -> Result<Vec<ClaimedNotice>, StoreError> {
    let known: Vec<String> = NoticeKind::ALL.map(super::text_of).into();
    let rows = sqlx::query!(
        "with due as materialized (
            select notice_id from notices where status = 'DUE' and next_attempt_at <= $1
                and kind = any($5)
                and (not $4 or 'EMAIL' = any(failed_channels)
                    or kind in ('YOUR_TURN', 'SHOW_MOVED', 'SHOW_REMINDER'))
            order by urgency, next_attempt_at limit $3 for no key update skip locked
        )
        update notices n set next_attempt_at = $2, attempt_count = n.attempt_count + 1
        from due d where n.notice_id = d.notice_id
        returning n.notice_id, n.kind, n.about, n.message_id, n.attempt_count, n.created_at,
            n.due_since, n.urgency, n.failed_channels, n.last_error",
        OffsetDateTime::from(now),
        OffsetDateTime::from(until),
        limit,
        mail_waits,
        &known
    )
    .fetch_all(pool)
    .await?;
    let claimed = rows.into_iter().map(|row| {
        Ok(ClaimedNotice {
            notice_id: row.notice_id,
            kind: word("notices", &row.kind)?,
            about: row.about,
            message_id: row.message_id,
            attempt_count: row.attempt_count,
            created_at: row.created_at.into(),
            due_since: row.due_since.into(),
            failed_channels: channels(&row.failed_channels)?,
            last_error: row.last_error,
            urgency: row.urgency,
        })
    });
    let mut claimed: Vec<ClaimedNotice> = claimed.collect::<Result<_, StoreError>>()?;
    claimed.sort_by_key(|notice| (notice.urgency, notice.created_at));
    Ok(claimed)
}

fn channels(words: &[String]) -> Result<Vec<ChannelKind>, StoreError> {
    words.iter().map(|text| word("notices", text)).collect()
}

/// Records that a channel took a notice, with what its provider calls it. Also when the lease had
/// ended: it was sent.
pub(crate) async fn sent(
    pool: &PgPool,
    notice_id: Uuid,
    channel: ChannelKind,
    receipt: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update notices set status = 'SENT', sent_at = $2, last_error = null, channel = $3,
            receipt = $4
         where notice_id = $1 and status <> 'SENT'",
        notice_id,
        OffsetDateTime::from(now),
        super::text_of(channel),
        receipt
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Leaves a notice to the next channel, at once. Changes nothing if another attempt has begun.
pub(crate) async fn channel_failed(
    pool: &PgPool,
    notice: &ClaimedNotice,
    channel: ChannelKind,
    why: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update notices set failed_channels = failed_channels || $3::text, last_error = $4,
            next_attempt_at = $5
         where notice_id = $1 and status = 'DUE' and attempt_count = $2",
        notice.notice_id,
        notice.attempt_count,
        super::text_of(channel),
        why,
        OffsetDateTime::from(now)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Puts a notice off until `next_attempt_at`; an attempt that does not count is taken back. Changes
/// nothing if another attempt has begun.
pub(crate) async fn put_off(
    pool: &PgPool,
    notice: &ClaimedNotice,
    next_attempt_at: Timestamp,
    counts: bool,
    why: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update notices set next_attempt_at = $3, last_error = $4, attempt_count = $5
         where notice_id = $1 and status = 'DUE' and attempt_count = $2",
        notice.notice_id,
        notice.attempt_count,
        OffsetDateTime::from(next_attempt_at),
        why,
        notice.attempt_count - i32::from(!counts)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Ends a notice that is not sent: `FAILED` for an operator to look at, or `MOOT` when what it
/// tells is no longer so. Changes nothing if another attempt has begun.
pub(crate) async fn end(
    pool: &PgPool,
    notice: &ClaimedNotice,
    status: NoticeStatus,
    why: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update notices set status = $3, last_error = $4
         where notice_id = $1 and status = 'DUE' and attempt_count = $2",
        notice.notice_id,
        notice.attempt_count,
        super::text_of(status),
        why
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Makes dead letters due again: one, or all up to `limit`, the oldest first. Returns how many.
pub(crate) async fn retry(
    pool: &PgPool,
    notice_id: Option<Uuid>,
    now: Timestamp,
    limit: i64,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "update notices set status = 'DUE', attempt_count = 0, next_attempt_at = $2,
            due_since = $2, failed_channels = '{}'
         where notice_id in (
            select notice_id from notices
            where status = 'FAILED' and ($1::uuid is null or notice_id = $1)
            order by created_at limit $3 for no key update skip locked)",
        notice_id,
        OffsetDateTime::from(now),
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// The status of a notice, if it exists.
pub(crate) async fn status(
    pool: &PgPool,
    notice_id: Uuid,
) -> Result<Option<NoticeStatus>, StoreError> {
    let row = sqlx::query!("select status from notices where notice_id = $1", notice_id)
        .fetch_optional(pool)
        .await?;
    row.map(|row| word("notices", &row.status)).transpose()
}

/// Notices in this state, the oldest first, at most `limit`.
pub(crate) async fn list(
    pool: &PgPool,
    status: NoticeStatus,
    limit: i64,
) -> Result<Vec<NoticeRow>, StoreError> {
    let rows = sqlx::query!(
        "select notice_id, kind, status, message_id, attempt_count, last_error, created_at,
            next_attempt_at, sent_at, channel, failed_channels, receipt
         from notices where status = $1 order by created_at, notice_id limit $2",
        super::text_of(status),
        limit
    )
    .fetch_all(pool)
    .await?;
    let notices = rows.into_iter().map(|row| {
        Ok(NoticeRow {
            notice_id: row.notice_id,
            kind: word("notices", &row.kind)?,
            status: word("notices", &row.status)?,
            message_id: row.message_id,
            attempt_count: row.attempt_count,
            last_error: row.last_error,
            created_at: row.created_at.into(),
            next_attempt_at: row.next_attempt_at.into(),
            sent_at: row.sent_at.map(Timestamp::from),
            channel: row.channel.map(|text| word("notices", &text)).transpose()?,
            failed_channels: channels(&row.failed_channels)?,
            receipt: row.receipt,
        })
    });
    notices.collect()
}

/// How much waits. Reads only notices that are due or were given up.
pub(crate) async fn backlog(pool: &PgPool) -> Result<Backlog, StoreError> {
    let row = sqlx::query!(
        // Mail of purchases that wait for a review does not wait for the mail server.
        r#"with due as materialized (
                select due_since from notices where status = 'DUE' and about not in (
                    select b.booking_id from reviews r join bookings b using (hold_id)
                    where r.state = 'WAITING'))
            select (select count(*) from due) as "due_count!",
            (select count(*) from notices where status = 'FAILED') as "failed_count!",
            (select min(due_since) from due) as oldest_due_since"#
    )
    .fetch_one(pool)
    .await?;
    Ok(Backlog {
        due_count: u64::try_from(row.due_count).unwrap_or(0),
        failed_count: u64::try_from(row.failed_count).unwrap_or(0),
        oldest_due_since: row.oldest_due_since.map(Timestamp::from),
    })
}

/// Removes notices that are not due any more from before `before`, up to `limit`.
pub(crate) async fn purge(pool: &PgPool, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "delete from notices where notice_id in (
            select notice_id from notices where status <> 'DUE' and created_at < $1
            order by created_at limit $2)",
        OffsetDateTime::from(before),
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

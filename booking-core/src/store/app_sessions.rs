//! Sessions of apps and their refresh tokens, which name their session.

use contract::Timestamp;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::config::{APP_REFRESH_GRACE, CODE_TRIES_MAX};
use crate::database::StoreError;

/// Where the address of a session is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressAt {
    pub(crate) booking_id: Uuid,
    /// The transfer by which its reader got tickets; `None` for the buyer.
    pub(crate) transfer_id: Option<Uuid>,
}

/// A session that begins.
#[derive(Clone, Debug)]
pub(crate) struct NewSession {
    pub(crate) session_id: Uuid,
    pub(crate) at: AddressAt,
    pub(crate) address_digest: Vec<u8>,
    pub(crate) refresh_hash: [u8; 32],
    pub(crate) ends_at: Timestamp,
}

/// What became of a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refreshed {
    /// The next token is the session's.
    Done,
    /// It is none of the session's that are good: the session is revoked.
    Revoked,
    /// There is no such session, or it is over.
    Unknown,
}

/// The latest booking or transfer of an address, in lower case.
pub(crate) async fn of_address(
    connection: &mut PgConnection,
    email: &str,
) -> Result<Option<AddressAt>, StoreError> {
    let row = sqlx::query!(
        r#"select booking_id as "booking_id!", transfer_id from (
            select booking_id, null::uuid as transfer_id, created_at from bookings
            where lower(email) = $1
            union all
            select booking_id, transfer_id, created_at from transfers where lower(email) = $1) v
         order by created_at desc limit 1"#,
        email
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| AddressAt {
        booking_id: row.booking_id,
        transfer_id: row.transfer_id,
    }))
}

/// Counts a try of the newest code for the app of an address, before anyone knows whether it is
/// right. `None` when it has ended, was used or was tried too often.
pub(crate) async fn code_try(
    connection: &mut PgConnection,
    address_digest: &[u8],
    now: Timestamp,
) -> Result<Option<(Uuid, AddressAt)>, StoreError> {
    let row = sqlx::query!(
        "update guest_mails set tries = tries + 1
         where mail_id = (select mail_id from guest_mails
                where address_digest = $1 and kind = 'APP_CODE'
                order by created_at desc, mail_id desc limit 1)
            and used_at is null and expires_at > $2 and tries < $3
         returning mail_id, booking_id, transfer_id",
        address_digest,
        OffsetDateTime::from(now),
        CODE_TRIES_MAX
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| {
        let at = AddressAt {
            booking_id: row.booking_id,
            transfer_id: row.transfer_id,
        };
        (row.mail_id, at)
    }))
}

/// How many codes of apps were wrong in the minute of `now`.
pub(crate) async fn misses(
    connection: &mut PgConnection,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let row = sqlx::query!(
        "select misses from app_code_misses
         where minute = date_trunc('minute', $1::timestamptz)",
        OffsetDateTime::from(now)
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map_or(0, |row| row.misses))
}

/// Counts a wrong code.
pub(crate) async fn miss(connection: &mut PgConnection, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into app_code_misses (minute, misses)
         values (date_trunc('minute', $1::timestamptz), 1)
         on conflict (minute) do update set misses = app_code_misses.misses + 1",
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Begins a session with its first refresh token.
pub(crate) async fn begin(
    connection: &mut PgConnection,
    new: &NewSession,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into app_sessions (session_id, booking_id, transfer_id, address_digest,
            refresh_hash, created_at, ends_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        new.session_id,
        new.at.booking_id,
        new.at.transfer_id,
        new.address_digest,
        &new.refresh_hash[..],
        OffsetDateTime::from(now),
        OffsetDateTime::from(new.ends_at)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Puts the next refresh token of a session in place of the one that is used; or, for a while after,
/// the one before is used again by an app that missed the answer, in place of what that had. Any
/// other token that names the session is a copy, and revokes it.
pub(crate) async fn refresh(
    pool: &PgPool,
    session_id: Uuid,
    (used, next): (&[u8], &[u8]),
    ends_at: Timestamp,
    now: Timestamp,
) -> Result<Refreshed, StoreError> {
    let mut tx = pool.begin().await?;
    let session = sqlx::query!(
        "select refresh_hash, previous_hash, rotated_at from app_sessions
         where session_id = $1 and revoked_at is null and ends_at > $2 for no key update",
        session_id,
        OffsetDateTime::from(now)
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(session) = session else {
        return Ok(Refreshed::Unknown);
    };
    let since = OffsetDateTime::from(now.minus(APP_REFRESH_GRACE));
    let is_last = session.refresh_hash == used;
    let is_unanswered = session.previous_hash.as_deref() == Some(used)
        && session.rotated_at.is_some_and(|at| at > since);
    if !is_last && !is_unanswered {
        revoke(&mut tx, session_id, now).await?;
        tx.commit().await?;
        return Ok(Refreshed::Revoked);
    }
    sqlx::query!(
        "update app_sessions set refresh_hash = $2, ends_at = $3,
            previous_hash = case when $4 then refresh_hash else previous_hash end,
            rotated_at = case when $4 then $5 else rotated_at end
         where session_id = $1",
        session_id,
        next,
        OffsetDateTime::from(ends_at),
        is_last,
        OffsetDateTime::from(now)
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Refreshed::Done)
}

/// Ends a session.
pub(crate) async fn revoke(
    connection: &mut PgConnection,
    session_id: Uuid,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update app_sessions set revoked_at = $2 where session_id = $1 and revoked_at is null",
        session_id,
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends all sessions of these addresses.
pub(crate) async fn revoke_of_addresses(
    pool: &PgPool,
    digests: &[Vec<u8>],
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update app_sessions set revoked_at = $2
         where address_digest = any($1) and revoked_at is null",
        digests,
        OffsetDateTime::from(now)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The address of a session that is good, in lower case.
pub(crate) async fn address(
    connection: &mut PgConnection,
    session_id: Uuid,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let row = sqlx::query!(
        r#"select lower(coalesce(t.email, b.email)) as "email!" from app_sessions s
         join bookings b using (booking_id) left join transfers t using (transfer_id)
         where s.session_id = $1 and s.revoked_at is null and s.ends_at > $2"#,
        session_id,
        OffsetDateTime::from(now)
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.email))
}

/// Removes sessions that are over, up to `limit`.
pub(crate) async fn purge(pool: &PgPool, now: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "delete from app_sessions where session_id in (
            select session_id from app_sessions where ends_at < $1 order by ends_at limit $2)",
        OffsetDateTime::from(now),
        limit
    )
    .execute(pool)
    .await?;
    let counts = sqlx::query!(
        "delete from app_code_misses where minute < $1::timestamptz - interval '1 hour'",
        OffsetDateTime::from(now)
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() + counts.rows_affected())
}

//! Sessions of apps and their refresh tokens.

use contract::Timestamp;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::config::CODE_TRIES_MAX;
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
    pub(crate) ends_at: Timestamp,
}

/// What became of a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refreshed {
    /// The next token is the session's.
    Done(Uuid),
    /// It was used before: the session is revoked.
    Reused(Uuid),
    /// There is no such token, or its session is over.
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

/// Begins a session with its first refresh token.
pub(crate) async fn begin(
    connection: &mut PgConnection,
    new: &NewSession,
    token_hash: &[u8],
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into app_sessions (session_id, booking_id, transfer_id, address_digest,
            created_at, ends_at)
         values ($1, $2, $3, $4, $5, $6)",
        new.session_id,
        new.at.booking_id,
        new.at.transfer_id,
        new.address_digest,
        OffsetDateTime::from(now),
        OffsetDateTime::from(new.ends_at)
    )
    .execute(&mut *connection)
    .await?;
    insert_token(connection, new.session_id, token_hash, now).await
}

async fn insert_token(
    connection: &mut PgConnection,
    session_id: Uuid,
    token_hash: &[u8],
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into app_refresh_tokens (token_hash, session_id, created_at) values ($1, $2, $3)",
        token_hash,
        session_id,
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Uses a refresh token up and stores the next one. The session is locked, so that of two uses at
/// once one is the second, which revokes the session.
pub(crate) async fn refresh(
    pool: &PgPool,
    token_hash: &[u8],
    next_hash: &[u8],
    ends_at: Timestamp,
    now: Timestamp,
) -> Result<Refreshed, StoreError> {
    let mut tx = pool.begin().await?;
    let session = sqlx::query!(
        r#"select s.session_id, s.revoked_at is null and s.ends_at > $2 as "is_good!"
         from app_sessions s where s.session_id = (
            select session_id from app_refresh_tokens where token_hash = $1)
         for no key update"#,
        token_hash,
        OffsetDateTime::from(now)
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(session) = session.filter(|session| session.is_good) else {
        return Ok(Refreshed::Unknown);
    };
    let session_id = session.session_id;
    // A statement of its own, which sees what whoever had the lock before did.
    let used = sqlx::query!(
        "update app_refresh_tokens set used_at = $2 where token_hash = $1 and used_at is null",
        token_hash,
        OffsetDateTime::from(now)
    )
    .execute(&mut *tx)
    .await?;
    let refreshed = if used.rows_affected() == 1 {
        insert_token(&mut tx, session_id, next_hash, now).await?;
        sqlx::query!(
            "update app_sessions set ends_at = $2 where session_id = $1",
            session_id,
            OffsetDateTime::from(ends_at)
        )
        .execute(&mut *tx)
        .await?;
        Refreshed::Done(session_id)
    } else {
        revoke_locked(&mut tx, session_id, now).await?;
        Refreshed::Reused(session_id)
    };
    tx.commit().await?;
    Ok(refreshed)
}

async fn revoke_locked(
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

/// Ends the session of a refresh token, used or not.
pub(crate) async fn end(
    pool: &PgPool,
    token_hash: &[u8],
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update app_sessions set revoked_at = $2 where revoked_at is null and session_id = (
            select session_id from app_refresh_tokens where token_hash = $1)",
        token_hash,
        OffsetDateTime::from(now)
    )
    .execute(pool)
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
    Ok(done.rows_affected())
}

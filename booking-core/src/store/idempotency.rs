//! Stored answers of requests with an `Idempotency-Key`.

use std::time::Duration;

use contract::Timestamp;
use serde_json::Value;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::StoreError;

/// A stored answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredAnswer {
    pub(crate) status: u16,
    pub(crate) headers: Value,
    pub(crate) body: Vec<u8>,
}

/// What a key was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The caller does the work; its effect has or gets this id.
    Work {
        effect_id: Uuid,
        /// Somebody began before and vanished.
        taken_over: bool,
    },
    /// The work was done; this was the answer.
    Answered(StoredAnswer),
    /// Somebody is at it.
    InProgress,
    /// The key was used for another request.
    Reused,
}

/// Whose key, which, and for what.
#[derive(Clone, Debug)]
pub(crate) struct KeyUse {
    pub(crate) principal: String,
    pub(crate) key: String,
    pub(crate) fingerprint: [u8; 32],
}

/// Claims the key for the caller, or says why not.
pub(crate) async fn claim(
    pool: &PgPool,
    key_use: &KeyUse,
    effect_id: Uuid,
    now: Timestamp,
    takeover_after: Duration,
) -> Result<Claim, StoreError> {
    let inserted = sqlx::query!(
        "insert into idempotency_keys (principal, key, fingerprint, effect_id, locked_at,
            created_at)
         values ($1, $2, $3, $4, $5, $5) on conflict (principal, key) do nothing",
        key_use.principal,
        key_use.key,
        &key_use.fingerprint[..],
        effect_id,
        OffsetDateTime::from(now)
    )
    .execute(pool)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Claim::Work {
            effect_id,
            taken_over: false,
        });
    }
    // One conditional statement, so that of two who find a dead owner one takes over.
    let taken = sqlx::query!(
        "update idempotency_keys set locked_at = $4
         where principal = $1 and key = $2 and fingerprint = $3 and status_code is null
            and locked_at <= $5
         returning effect_id",
        key_use.principal,
        key_use.key,
        &key_use.fingerprint[..],
        OffsetDateTime::from(now),
        OffsetDateTime::from(now.minus(takeover_after))
    )
    .fetch_optional(pool)
    .await?;
    if let Some(row) = taken {
        return Ok(Claim::Work {
            effect_id: row.effect_id,
            taken_over: true,
        });
    }
    let row = sqlx::query!(
        "select fingerprint, status_code, headers, body from idempotency_keys
         where principal = $1 and key = $2",
        key_use.principal,
        key_use.key
    )
    .fetch_optional(pool)
    .await?;
    Ok(match row {
        Some(row) if row.fingerprint != key_use.fingerprint => Claim::Reused,
        Some(row) => match (row.status_code, row.body) {
            (Some(status), Some(body)) => Claim::Answered(StoredAnswer {
                status: u16::try_from(status)
                    .map_err(|error| StoreError::corrupt("idempotency_keys", error))?,
                headers: row.headers.unwrap_or(Value::Null),
                body,
            }),
            _ => Claim::InProgress,
        },
        // Given up between two statements: the caller may simply come again.
        None => Claim::InProgress,
    })
}

/// Stores the answer.
pub(crate) async fn answer(
    pool: &PgPool,
    key_use: &KeyUse,
    answer: &StoredAnswer,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update idempotency_keys set status_code = $3, headers = $4, body = $5
         where principal = $1 and key = $2",
        key_use.principal,
        key_use.key,
        i32::from(answer.status),
        answer.headers,
        answer.body
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Gives the key up: the work was refused in a way that is meant to be tried again.
pub(crate) async fn give_up(pool: &PgPool, key_use: &KeyUse) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from idempotency_keys where principal = $1 and key = $2 and status_code is null",
        key_use.principal,
        key_use.key
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Removes keys made before `before`, up to `limit`.
pub(crate) async fn purge(pool: &PgPool, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "delete from idempotency_keys where (principal, key) in (
            select principal, key from idempotency_keys where created_at < $1 limit $2)",
        OffsetDateTime::from(before),
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

//! Stored responses of requests with an `Idempotency-Key`.

use std::collections::HashMap;
use std::time::Duration;

use contract::Timestamp;
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::StoreError;

const TABLE: &str = "idempotency_keys";

/// A stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredAnswer {
    pub(crate) status: u16,
    pub(crate) headers: Value,
    pub(crate) body: Vec<u8>,
}

/// The state of a used key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// The work was done, with this response.
    Answered(StoredAnswer),
    /// A request with this key is being processed.
    InProgress,
    /// The key was used for a different request.
    Reused,
}

/// Whether the caller may do the work of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The caller does the work.
    Work,
    /// The work was begun or done by an earlier request.
    Known(Known),
}

/// The response to store for a key.
#[derive(Clone, Debug)]
pub(crate) struct KeyedAnswer {
    /// The key under every principal that a repeat may come with.
    pub(crate) key_uses: Vec<KeyUse>,
    pub(crate) answer: StoredAnswer,
}

/// The use of a key: principal, key, and fingerprint of the request.
#[derive(Clone, Debug)]
pub(crate) struct KeyUse {
    pub(crate) principal: String,
    pub(crate) key: String,
    pub(crate) fingerprint: [u8; 32],
}

impl KeyUse {
    /// The unique name: two uses with the same name exclude each other.
    pub(crate) fn name(&self) -> (String, String) {
        (self.principal.clone(), self.key.clone())
    }
}

/// Claims the key for the caller, or returns its state. `effect_id` is the object of the work,
/// stored for people who read the table.
pub(crate) async fn claim(
    connection: &mut PgConnection,
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
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Claim::Work);
    }
    // One conditional statement, so that only one of two callers takes over from a dead owner.
    let taken = sqlx::query!(
        "update idempotency_keys set locked_at = $4
         where principal = $1 and key = $2 and fingerprint = $3 and status_code is null
            and locked_at <= $5",
        key_use.principal,
        key_use.key,
        &key_use.fingerprint[..],
        OffsetDateTime::from(now),
        OffsetDateTime::from(now.minus(takeover_after))
    )
    .execute(&mut *connection)
    .await?;
    if taken.rows_affected() == 1 {
        return Ok(Claim::Work);
    }
    let known = find(connection, std::slice::from_ref(key_use)).await?.pop();
    // The key was given up between the two statements; the caller may try again.
    Ok(Claim::Known(known.flatten().unwrap_or(Known::InProgress)))
}

/// The state of each of `key_uses`, in their order; `None` for an unused key.
pub(crate) async fn find(
    database: impl PgExecutor<'_>,
    key_uses: &[KeyUse],
) -> Result<Vec<Option<Known>>, StoreError> {
    let principals: Vec<&str> = key_uses.iter().map(|u| u.principal.as_str()).collect();
    let keys: Vec<&str> = key_uses.iter().map(|u| u.key.as_str()).collect();
    let rows = sqlx::query!(
        r#"select w.nth as "nth!", k.fingerprint, k.status_code, k.headers, k.body
           from unnest($1::text[], $2::text[]) with ordinality as w (principal, key, nth)
           join idempotency_keys k on k.principal = w.principal and k.key = w.key"#,
        &principals as &[&str],
        &keys as &[&str]
    )
    .fetch_all(database)
    .await?;
    let mut found = vec![None; key_uses.len()];
    for row in rows {
        let at = usize::try_from(row.nth - 1).unwrap_or(usize::MAX);
        let Some((found, key_use)) = found.get_mut(at).zip(key_uses.get(at)) else {
            return Err(StoreError::corrupt(TABLE, "a key that nobody asked for"));
        };
        let answer = (row.status_code, row.headers, row.body);
        *found = Some(known_of(key_use, &row.fingerprint, answer)?);
    }
    Ok(found)
}

/// The state of a used key, of which a row with `fingerprint` and `answer` was found: status,
/// headers and body.
pub(super) fn known_of(
    key_use: &KeyUse,
    fingerprint: &[u8],
    answer: (Option<i32>, Option<Value>, Option<Vec<u8>>),
) -> Result<Known, StoreError> {
    if fingerprint != key_use.fingerprint {
        return Ok(Known::Reused);
    }
    let (Some(status), headers, Some(body)) = answer else {
        return Ok(Known::InProgress);
    };
    Ok(Known::Answered(StoredAnswer {
        status: u16::try_from(status).map_err(|error| StoreError::corrupt(TABLE, error))?,
        headers: headers.unwrap_or(Value::Null),
        body,
    }))
}

/// Stores keys with their responses, in the transaction of the work. Waits for other transactions
/// that store the same keys; keys are inserted in sorted order, so that two transactions cannot
/// deadlock. Returns for each of `answers` whether all of its keys are new; of the others nothing is
/// stored. Each has an effect of its own.
pub(crate) async fn store(
    connection: &mut PgConnection,
    answers: &[(&KeyedAnswer, Uuid)],
    now: Timestamp,
) -> Result<Vec<bool>, StoreError> {
    let rows: Vec<(&KeyUse, &StoredAnswer, Uuid)> = answers
        .iter()
        .flat_map(|(keyed, effect_id)| {
            let of_use = |key_use| (key_use, &keyed.answer, *effect_id);
            keyed.key_uses.iter().map(of_use)
        })
        .collect();
    let principals: Vec<&str> = rows.iter().map(|(u, ..)| u.principal.as_str()).collect();
    let keys: Vec<&str> = rows.iter().map(|(u, ..)| u.key.as_str()).collect();
    let fingerprints: Vec<&[u8]> = rows.iter().map(|(u, ..)| &u.fingerprint[..]).collect();
    let effects: Vec<Uuid> = rows.iter().map(|(.., effect_id)| *effect_id).collect();
    let statuses: Vec<i32> = rows.iter().map(|(_, a, _)| i32::from(a.status)).collect();
    let headers: Vec<&Value> = rows.iter().map(|(_, a, _)| &a.headers).collect();
    let bodies: Vec<&[u8]> = rows.iter().map(|(_, a, _)| a.body.as_slice()).collect();
    let inserted = sqlx::query_scalar!(
        r#"insert into idempotency_keys (principal, key, fingerprint, effect_id, status_code,
            headers, body, locked_at, created_at)
         select principal, key, fingerprint, effect_id, status_code, headers, body, $8, $8
         from unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[], $5::integer[], $6::jsonb[],
            $7::bytea[])
            as a (principal, key, fingerprint, effect_id, status_code, headers, body)
         order by principal, key
         on conflict (principal, key) do nothing
         returning effect_id as "effect_id!""#,
        &principals as &[&str],
        &keys as &[&str],
        &fingerprints as &[&[u8]],
        &effects,
        &statuses,
        &headers as &[&Value],
        &bodies as &[&[u8]],
        OffsetDateTime::from(now)
    )
    .fetch_all(&mut *connection)
    .await?;
    if inserted.len() == rows.len() {
        return Ok(vec![true; answers.len()]);
    }
    let mut counts: HashMap<Uuid, usize> = HashMap::new();
    for effect_id in inserted {
        *counts.entry(effect_id).or_default() += 1;
    }
    let count = |effect_id: &Uuid| counts.get(effect_id).copied().unwrap_or(0);
    let halves = answers
        .iter()
        .filter(|(keyed, effect_id)| (1..keyed.key_uses.len()).contains(&count(effect_id)));
    let halves: Vec<Uuid> = halves.map(|(_, effect_id)| *effect_id).collect();
    if !halves.is_empty() {
        take_back_halves(connection, &principals, &keys, &halves).await?;
    }
    let is_new =
        |(keyed, effect_id): &(&KeyedAnswer, Uuid)| count(effect_id) == keyed.key_uses.len();
    Ok(answers.iter().map(is_new).collect())
}

/// Removes what was inserted under `principals` and `keys` for `effects`, each of which has another
/// key that was used before.
async fn take_back_halves(
    connection: &mut PgConnection,
    principals: &[&str],
    keys: &[&str],
    effects: &[Uuid],
) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from idempotency_keys k using unnest($1::text[], $2::text[]) as w (principal, key)
         where k.principal = w.principal and k.key = w.key and k.effect_id = any($3::uuid[])",
        principals as &[&str],
        keys as &[&str],
        effects
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes what [`store`] inserted in the same transaction, because the work was refused.
pub(crate) async fn take_back(
    connection: &mut PgConnection,
    answers: &[&KeyedAnswer],
) -> Result<(), StoreError> {
    let uses = || answers.iter().flat_map(|answer| &answer.key_uses);
    let principals: Vec<&str> = uses().map(|key_use| key_use.principal.as_str()).collect();
    let keys: Vec<&str> = uses().map(|key_use| key_use.key.as_str()).collect();
    sqlx::query!(
        "delete from idempotency_keys k using unnest($1::text[], $2::text[]) as w (principal, key)
         where k.principal = w.principal and k.key = w.key",
        &principals as &[&str],
        &keys as &[&str]
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores the response of a claimed key.
pub(crate) async fn answer(
    connection: &mut PgConnection,
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
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores the response of a key that was not claimed, after the work, or in place of an owner that
/// died. False if the key has another response or was used for a different request.
pub(crate) async fn keep(
    connection: &mut PgConnection,
    key_use: &KeyUse,
    effect_id: Uuid,
    answer: &StoredAnswer,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into idempotency_keys as k (principal, key, fingerprint, effect_id, status_code,
            headers, body, locked_at, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
         on conflict (principal, key) do update
            set status_code = excluded.status_code, headers = excluded.headers, body = excluded.body
            where k.status_code is null and k.fingerprint = excluded.fingerprint",
        key_use.principal,
        key_use.key,
        &key_use.fingerprint[..],
        effect_id,
        i32::from(answer.status),
        answer.headers,
        answer.body,
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes a claimed key, because the refusal is meant to be tried again.
pub(crate) async fn give_up(
    connection: &mut PgConnection,
    key_use: &KeyUse,
) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from idempotency_keys where principal = $1 and key = $2 and status_code is null",
        key_use.principal,
        key_use.key
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes keys that have been in progress since before `before`: their owner is dead. A repeated
/// request starts anew, as after a takeover.
pub(crate) async fn give_up_abandoned(
    pool: &PgPool,
    before: Timestamp,
    limit: i64,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "delete from idempotency_keys where status_code is null and (principal, key) in (
            select principal, key from idempotency_keys
            where status_code is null and locked_at < $1 order by locked_at limit $2)",
        OffsetDateTime::from(before),
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
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

//! Subscriptions of other programs to events.

use contract::Timestamp;
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::StoreError;
use crate::webhook_secrets::Secrets;

/// A subscription.
#[derive(Clone, Debug)]
pub(crate) struct SubscriptionRow {
    pub(crate) subscription_id: Uuid,
    pub(crate) url: String,
    pub(crate) description: String,
    pub(crate) kinds: Vec<String>,
    pub(crate) secrets: Secrets,
    /// Why it is disabled, if it is.
    pub(crate) disabled_because: Option<String>,
    pub(crate) failing_since: Option<Timestamp>,
    pub(crate) position: i64,
    pub(crate) created_at: Timestamp,
    /// Deliveries that wait, and dead letters.
    pub(crate) due_count: i64,
    pub(crate) failed_count: i64,
}

/// Creates a subscription to what comes after a position, unless there are `count_max`. Returns
/// whether it did.
pub(crate) async fn create(
    pool: &PgPool,
    new: &SubscriptionRow,
    count_max: i64,
) -> Result<bool, StoreError> {
    let secrets = stored(&new.secrets)?;
    let done = sqlx::query!(
        "insert into event_subscriptions (subscription_id, url, description, kinds, secrets,
            position, created_at, updated_at)
         select $1, $2, $3, $4, $5, least($6, (select position from event_head)), $7, $7
         where (select count(*) from event_subscriptions) < $8",
        new.subscription_id,
        new.url,
        new.description,
        &new.kinds,
        secrets,
        new.position,
        OffsetDateTime::from(new.created_at),
        count_max
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// One subscription, or all of them, the oldest first.
pub(crate) async fn list(
    pool: &PgPool,
    only: Option<Uuid>,
) -> Result<Vec<SubscriptionRow>, StoreError> {
    let rows = sqlx::query!(
        r#"select s.subscription_id, s.url, s.description, s.kinds, s.secrets, s.disabled_because,
            s.failing_since, s.position, s.created_at,
            (select count(*) from event_deliveries d
                where d.subscription_id = s.subscription_id and d.status = 'DUE') as "due_count!",
            (select count(*) from event_deliveries d
                where d.subscription_id = s.subscription_id and d.status = 'FAILED')
                as "failed_count!"
         from event_subscriptions s where $1::uuid is null or s.subscription_id = $1
         order by s.created_at, s.subscription_id"#,
        only
    )
    .fetch_all(pool)
    .await?;
    let rows = rows.into_iter().map(|row| {
        Ok(SubscriptionRow {
            subscription_id: row.subscription_id,
            url: row.url,
            description: row.description,
            kinds: row.kinds,
            secrets: serde_json::from_value(row.secrets)
                .map_err(|error| StoreError::corrupt("event_subscriptions", error))?,
            disabled_because: row.disabled_because,
            failing_since: row.failing_since.map(Timestamp::from),
            position: row.position,
            created_at: row.created_at.into(),
            due_count: row.due_count,
            failed_count: row.failed_count,
        })
    });
    rows.collect()
}

/// Deletes a subscription with its deliveries. Returns whether it existed.
pub(crate) async fn delete(pool: &PgPool, subscription_id: Uuid) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "delete from event_subscriptions where subscription_id = $1",
        subscription_id
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Enables a subscription, and makes what waits due at once. Returns whether it was disabled.
pub(crate) async fn enable(
    pool: &PgPool,
    subscription_id: Uuid,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let now = OffsetDateTime::from(now);
    let mut tx = pool.begin().await?;
    let done = sqlx::query!(
        "update event_subscriptions set status = 'ENABLED', disabled_because = null,
            failing_since = null, updated_at = $2
         where subscription_id = $1 and status = 'DISABLED'",
        subscription_id,
        now
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 1 {
        sqlx::query!(
            "update event_deliveries set next_attempt_at = $2, due_since = $2, attempt_count = 0
             where subscription_id = $1 and status = 'DUE'",
            subscription_id,
            now
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(done.rows_affected() == 1)
}

/// Disables a subscription. Returns whether it was enabled.
pub(crate) async fn disable(
    connection: &mut PgConnection,
    subscription_id: Uuid,
    why: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update event_subscriptions set status = 'DISABLED', disabled_because = $2, updated_at = $3
         where subscription_id = $1 and status = 'ENABLED'",
        subscription_id,
        why,
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes in the audit log that the system disabled a subscription.
pub(crate) async fn note_disabled(
    connection: &mut PgConnection,
    subscription_id: Uuid,
    why: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into audit_log (at, actor, action, target, before, after)
         values ($1, 'ropeline', 'subscription.disable', $2, $3, $4)",
        OffsetDateTime::from(now),
        contract::SubscriptionId::new(subscription_id).to_string(),
        json!({ "status": "ENABLED" }),
        json!({ "status": "DISABLED", "disabledBecause": why })
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Replaces the secrets `before`. Returns false if they changed meanwhile.
pub(crate) async fn exchange(
    pool: &PgPool,
    subscription_id: Uuid,
    before: &Secrets,
    after: &Secrets,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update event_subscriptions set secrets = $3, updated_at = $4
         where subscription_id = $1 and secrets = $2",
        subscription_id,
        stored(before)?,
        stored(after)?,
        OffsetDateTime::from(now)
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Moves a subscription back, so that everything after the position is delivered again. Returns
/// whether it was beyond.
pub(crate) async fn rewind(
    pool: &PgPool,
    subscription_id: Uuid,
    after: i64,
) -> Result<bool, StoreError> {
    let mut tx = pool.begin().await?;
    let done = sqlx::query!(
        "update event_subscriptions set position = $2
         where subscription_id = $1 and position > $2",
        subscription_id,
        after
    )
    .execute(&mut *tx)
    .await?;
    // They are made anew, and none may be beyond the subscription.
    sqlx::query!(
        "delete from event_deliveries d using event_subscriptions s
         where s.subscription_id = $1 and d.subscription_id = $1 and d.position > s.position",
        subscription_id
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected() == 1)
}

fn stored(secrets: &Secrets) -> Result<serde_json::Value, StoreError> {
    serde_json::to_value(secrets).map_err(|error| StoreError::corrupt("event_subscriptions", error))
}

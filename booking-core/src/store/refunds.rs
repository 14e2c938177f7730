//! Refunds.

use contract::Timestamp;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::word;
use crate::database::StoreError;
use crate::money::{RefundStatus, movement_id};

/// A refund that is due for a worker.
#[derive(Clone, Debug)]
pub(crate) struct RefundRow {
    pub(crate) refund_id: Uuid,
    pub(crate) payment_id: Uuid,
    pub(crate) hold_id: Uuid,
    /// The provider that has the money.
    pub(crate) provider: String,
    /// What the provider refunds: the charge, or the intent where there is none of its own.
    pub(crate) intent_id: Option<String>,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) provider_refund_id: Option<String>,
    pub(crate) status: RefundStatus,
    /// Attempts by workers. Each may have reached the provider.
    pub(crate) attempt_count: i32,
    /// Refusals by the provider, including refunds that failed after it had accepted them.
    pub(crate) refusal_count: i32,
    /// When the provider last answered about it.
    pub(crate) updated_at: Timestamp,
}

macro_rules! refund_row {
    ($row:expr) => {{
        let row = $row;
        RefundRow {
            refund_id: row.refund_id,
            payment_id: row.payment_id,
            hold_id: row.hold_id,
            provider: row.provider,
            intent_id: row.intent_id,
            amount_minor: row.amount_minor,
            currency: row.currency,
            provider_refund_id: row.provider_refund_id,
            status: word("refunds", &row.status)?,
            attempt_count: row.attempt_count,
            refusal_count: row.refusal_count,
            updated_at: row.updated_at.into(),
        }
    }};
}

/// Requests a refund of all of a locked payment's money. The reserved amount on the payment and its
/// check constraint prevent refunding more than was captured.
pub(crate) async fn request_all(
    connection: &mut PgConnection,
    refund_id: Uuid,
    payment_id: Uuid,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into refunds (refund_id, payment_id, amount_minor, currency, reason,
            next_attempt_at, created_at, updated_at)
         select $1, payment_id, captured_minor - refund_reserved_minor,
            coalesce(captured_currency, currency), $3, $4, $4, $4
         from payments where payment_id = $2 and captured_minor > refund_reserved_minor",
        refund_id,
        payment_id,
        reason,
        OffsetDateTime::from(now)
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "update payments set refund_reserved_minor = captured_minor where payment_id = $1",
        payment_id
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Claims refunds that are due, by moving their next attempt to `until`.
pub(crate) async fn claim_due(
    pool: &PgPool,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<RefundRow>, StoreError> {
    let rows = sqlx::query!(
        "with due as materialized (
            select refund_id from refunds
            where status in ('REQUESTED', 'SUBMITTED', 'FAILED') and origin = 'OURS'
                and next_attempt_at <= $1
            order by next_attempt_at limit $3 for no key update skip locked
        )
        update refunds r set next_attempt_at = $2, attempt_count = r.attempt_count + 1
        from due d, payments p
        where r.refund_id = d.refund_id and p.payment_id = r.payment_id
        returning r.refund_id, r.payment_id, p.hold_id, p.provider,
            coalesce(p.charge_id, p.intent_id) as intent_id, r.amount_minor, r.currency,
            r.provider_refund_id, r.status, r.attempt_count, r.refusal_count, r.updated_at",
        OffsetDateTime::from(now),
        OffsetDateTime::from(until),
        limit
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| Ok(refund_row!(row))).collect()
}

/// The refund with the provider's id, or with our id in the provider's metadata if its answer has
/// not arrived yet.
pub(crate) async fn by_provider(
    pool: &PgPool,
    provider_refund_id: &str,
    refund_id: Option<Uuid>,
) -> Result<Option<RefundRow>, StoreError> {
    let row = sqlx::query!(
        "select r.refund_id, r.payment_id, p.hold_id, p.provider,
            coalesce(p.charge_id, p.intent_id) as intent_id, r.amount_minor, r.currency,
            r.provider_refund_id, r.status, r.attempt_count, r.refusal_count, r.updated_at
         from refunds r join payments p using (payment_id)
         where (r.provider_refund_id = $1 or r.refund_id = $2) and r.origin = 'OURS' limit 1",
        provider_refund_id,
        refund_id
    )
    .fetch_optional(pool)
    .await?;
    row.map(|row| Ok(refund_row!(row))).transpose()
}

/// Postpones a refund about which the provider did not answer.
pub(crate) async fn put_off(
    pool: &PgPool,
    refund_id: Uuid,
    next_attempt_at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update refunds set next_attempt_at = $2 where refund_id = $1",
        refund_id,
        OffsetDateTime::from(next_attempt_at)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The new state of a refund.
#[derive(Clone, Debug)]
pub(crate) struct RefundChange {
    pub(crate) status: RefundStatus,
    pub(crate) refusal_count: i32,
    /// `None` keeps the stored id.
    pub(crate) provider_refund_id: Option<String>,
    pub(crate) next_attempt_at: Timestamp,
}

/// Records the state of a refund, and moves its money when it was given back or returned. False if
/// the state was known, or if the refund changed after `refund` was read. Locks the payment before
/// the refund, like all transactions.
pub(crate) async fn record(
    pool: &PgPool,
    refund: &RefundRow,
    change: &RefundChange,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut tx = pool.begin().await?;
    sqlx::query!(
        "select payment_id from payments where payment_id = $1 for no key update",
        refund.payment_id
    )
    .fetch_one(&mut *tx)
    .await?;
    let present = sqlx::query!(
        "select status, refusal_count from refunds where refund_id = $1 for no key update",
        refund.refund_id
    )
    .fetch_one(&mut *tx)
    .await?;
    let status: RefundStatus = word("refunds", &present.status)?;
    let failed_now = change.refusal_count > refund.refusal_count;
    let succeeded = status == RefundStatus::Succeeded;
    // The only state that may follow a success is a failure.
    if present.refusal_count != refund.refusal_count || (succeeded && !failed_now) {
        return Ok(false);
    }
    sqlx::query!(
        "update refunds set status = $2, provider_refund_id = coalesce($3, provider_refund_id),
            next_attempt_at = $4, refusal_count = $5, updated_at = $6
         where refund_id = $1",
        refund.refund_id,
        change.status.as_str(),
        change.provider_refund_id,
        OffsetDateTime::from(change.next_attempt_at),
        change.refusal_count,
        OffsetDateTime::from(now)
    )
    .execute(&mut *tx)
    .await?;
    match (succeeded, change.status == RefundStatus::Succeeded) {
        (false, true) => {
            move_money(&mut tx, refund, true, now).await?;
            announce(&mut tx, refund.refund_id, now).await?;
        }
        (true, false) => move_money(&mut tx, refund, false, now).await?,
        (false, false) | (true, true) => {}
    }
    tx.commit().await?;
    Ok(true)
}

/// Announces that a refund's money went back, once, also when it returned and went back again.
pub(crate) async fn announce(
    connection: &mut PgConnection,
    refund_id: Uuid,
    now: Timestamp,
) -> Result<(), StoreError> {
    let payload = serde_json::json!({ "refundId": refund_id.simple().to_string() });
    super::outbox::add(connection, "refund.made", refund_id, payload, now).await
}

/// Moves a refund's money to the customer, or back to us.
async fn move_money(
    connection: &mut PgConnection,
    refund: &RefundRow,
    gives: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let amount = if gives {
        refund.amount_minor
    } else {
        -refund.amount_minor
    };
    sqlx::query!(
        "update payments set refunded_minor = refunded_minor + $2, updated_at = $3
         where payment_id = $1",
        refund.payment_id,
        amount,
        OffsetDateTime::from(now)
    )
    .execute(&mut *connection)
    .await?;
    super::payments::ledger(
        connection,
        movement_id(refund.refund_id, refund.refusal_count, gives),
        -amount,
        &refund.currency,
        "refunds",
        now,
    )
    .await
}

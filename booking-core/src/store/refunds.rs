//! Refunds.

use contract::Timestamp;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::StoreError;
use crate::payments::RefundStatus;

/// A refund that somebody has to see to.
#[derive(Clone, Debug)]
pub(crate) struct RefundRow {
    pub(crate) refund_id: Uuid,
    pub(crate) payment_id: Uuid,
    pub(crate) intent_id: Option<String>,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    pub(crate) provider_refund_id: Option<String>,
    pub(crate) attempt_count: i32,
}

/// Asks for all of a locked payment's money to go back. The reservation on the payment and its
/// check make it impossible to ask for more than was taken.
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

/// Claims refunds that are due by moving their next time to `until`.
pub(crate) async fn claim_due(
    pool: &PgPool,
    now: Timestamp,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<RefundRow>, StoreError> {
    let rows = sqlx::query_as!(
        RefundRow,
        "with due as materialized (
            select refund_id from refunds
            where status in ('REQUESTED', 'SUBMITTED', 'FAILED') and next_attempt_at <= $1
            order by next_attempt_at limit $3 for no key update skip locked
        )
        update refunds r set next_attempt_at = $2, attempt_count = r.attempt_count + 1
        from due d, payments p
        where r.refund_id = d.refund_id and p.payment_id = r.payment_id
        returning r.refund_id, r.payment_id, p.intent_id, r.amount_minor, r.currency,
            r.provider_refund_id, r.attempt_count",
        OffsetDateTime::from(now),
        OffsetDateTime::from(until),
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

/// Makes refunds known to the provider as `provider_refund_id` due at once.
pub(crate) async fn wake(
    pool: &PgPool,
    provider_refund_id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update refunds set next_attempt_at = $2,
            status = case when status = 'SUCCEEDED' then 'SUCCEEDED' else 'SUBMITTED' end
         where provider_refund_id = $1 and status <> 'NEEDS_OPS'",
        provider_refund_id,
        OffsetDateTime::from(now)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Records how a refund stands, and its money when it went back. Locks the payment before the
/// refund, like everyone.
pub(crate) async fn record(
    pool: &PgPool,
    refund: &RefundRow,
    status: RefundStatus,
    provider_refund_id: Option<&str>,
    next_attempt_at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut tx = pool.begin().await?;
    sqlx::query!(
        "select payment_id from payments where payment_id = $1 for no key update",
        refund.payment_id
    )
    .fetch_one(&mut *tx)
    .await?;
    let changed = sqlx::query!(
        "update refunds set status = $2, provider_refund_id = coalesce($3, provider_refund_id),
            next_attempt_at = $4, updated_at = $5
         where refund_id = $1 and status <> 'SUCCEEDED'",
        refund.refund_id,
        status.as_str(),
        provider_refund_id,
        OffsetDateTime::from(next_attempt_at),
        OffsetDateTime::from(now)
    )
    .execute(&mut *tx)
    .await?;
    if changed.rows_affected() == 1 && status == RefundStatus::Succeeded {
        sqlx::query!(
            "update payments set refunded_minor = refunded_minor + $2, updated_at = $3
             where payment_id = $1",
            refund.payment_id,
            refund.amount_minor,
            OffsetDateTime::from(now)
        )
        .execute(&mut *tx)
        .await?;
        super::payments::ledger(
            &mut tx,
            refund.refund_id,
            -refund.amount_minor,
            &refund.currency,
            "refunds",
            now,
        )
        .await?;
    }
    tx.commit().await?;
    Ok(())
}

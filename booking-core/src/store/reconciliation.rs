//! The progress of comparing the provider's books with ours.

use contract::Timestamp;
use contract::booking::PaymentStatus;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::word;
use crate::database::StoreError;

/// Claims the comparison if it is due, by moving its next time to `next_at`. Returns the time up to
/// which everything has been compared, or `first` before the first comparison.
pub(crate) async fn claim(
    pool: &PgPool,
    provider: &str,
    now: Timestamp,
    next_at: Timestamp,
    first: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let row = sqlx::query!(
        "insert into reconciliation (provider, done_until, next_at) values ($1, $4, $3)
         on conflict (provider) do update set next_at = excluded.next_at
            where reconciliation.next_at <= $2
         returning done_until",
        provider,
        OffsetDateTime::from(now),
        OffsetDateTime::from(next_at),
        OffsetDateTime::from(first)
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| row.done_until.into()))
}

/// Records that everything before `until` was compared.
pub(crate) async fn advance(
    pool: &PgPool,
    provider: &str,
    until: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update reconciliation set done_until = greatest(done_until, $2) where provider = $1",
        provider,
        OffsetDateTime::from(until)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The payments of the provider's intents or charges, and their states. Those without a payment are
/// omitted.
pub(crate) async fn known(
    pool: &PgPool,
    provider: &str,
    intent_ids: &[String],
) -> Result<Vec<(String, Uuid, PaymentStatus)>, StoreError> {
    let rows = sqlx::query!(
        r#"select asked.id as "id!", p.payment_id, p.status
           from unnest($2::text[]) asked(id) join payments p
                on p.provider = $1 and (p.intent_id = asked.id or p.charge_id = asked.id)"#,
        provider,
        intent_ids
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let status = word("payments", &row.status)?;
            Ok((row.id, row.payment_id, status))
        })
        .collect()
}

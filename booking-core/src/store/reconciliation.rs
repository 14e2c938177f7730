//! The progress of comparing the provider's books with ours.

use contract::Timestamp;
use contract::booking::PaymentStatus;
use serde::Serialize;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{text_of, word};
use crate::database::StoreError;

/// A comparison that this process is to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Everything before this was compared.
    pub(crate) from: Timestamp,
    /// How often what comes next could not be compared.
    pub(crate) failures: i32,
}

/// Claims the comparison if it is due, by moving its next time to `next_at`. It begins where the
/// last one ended, or at `first` before the first comparison.
pub(crate) async fn claim(
    pool: &PgPool,
    provider: &str,
    now: Timestamp,
    next_at: Timestamp,
    first: Timestamp,
) -> Result<Option<Claim>, StoreError> {
    let row = sqlx::query!(
        "insert into reconciliation (provider, done_until, next_at) values ($1, $4, $3)
         on conflict (provider) do update set next_at = excluded.next_at
            where reconciliation.next_at <= $2
         returning done_until, failures",
        provider,
        OffsetDateTime::from(now),
        OffsetDateTime::from(next_at),
        OffsetDateTime::from(first)
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Claim {
        from: row.done_until.into(),
        failures: row.failures,
    }))
}

/// Notes that what comes next could not be compared.
pub(crate) async fn failed(pool: &PgPool, provider: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "update reconciliation set failures = failures + 1 where provider = $1",
        provider
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Records that everything before `until` was compared.
pub(crate) async fn advance(
    pool: &PgPool,
    provider: &str,
    until: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update reconciliation set done_until = greatest(done_until, $2), failures = 0
         where provider = $1",
        provider,
        OffsetDateTime::from(until)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// What a provider lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Listing {
    Intents,
    Refunds,
    Disputes,
}

impl Listing {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Intents, Self::Refunds, Self::Disputes];
}

/// How far a round of looks through a listing has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    /// Everything created before this was looked at.
    pub(crate) from: Timestamp,
    /// The next page of the span that begins there; `None` for its first.
    pub(crate) page: Option<String>,
    /// When the next round may begin; `None` during a round.
    pub(crate) next_at: Option<Timestamp>,
    /// How often the span that begins there could not be looked at.
    pub(crate) failures: i32,
}

/// The round through a listing of a provider, if there ever was one.
pub(crate) async fn round(
    pool: &PgPool,
    provider: &str,
    listing: Listing,
) -> Result<Option<Round>, StoreError> {
    let row = sqlx::query!(
        "select from_at, page, next_at, failures from reconciliation_again
         where provider = $1 and listing = $2",
        provider,
        text_of(listing)
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Round {
        from: row.from_at.into(),
        page: row.page,
        next_at: row.next_at.map(Timestamp::from),
        failures: row.failures,
    }))
}

/// Stores how far a round has come.
pub(crate) async fn keep_round(
    pool: &PgPool,
    provider: &str,
    listing: Listing,
    round: &Round,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into reconciliation_again (provider, listing, from_at, page, next_at, failures)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (provider, listing) do update set from_at = excluded.from_at,
            page = excluded.page, next_at = excluded.next_at, failures = excluded.failures",
        provider,
        text_of(listing),
        OffsetDateTime::from(round.from),
        round.page,
        round.next_at.map(OffsetDateTime::from),
        round.failures
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

//! News for others.

use contract::Timestamp;
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::database::StoreError;

/// Removes news from before `before`, up to `limit`. Looks at the oldest rows only, whose ids are
/// the lowest, so that it needs no index and costs the same when there is nothing to remove.
pub(crate) async fn purge(pool: &PgPool, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        "delete from outbox where created_at < $1
            and id in (select id from outbox order by id limit $2)",
        OffsetDateTime::from(before),
        limit
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

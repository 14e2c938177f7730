//! The outbox: rows for other systems.

use contract::Timestamp;
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::database::StoreError;

/// Removes outbox rows from before `before`, up to `limit`. Reads only the oldest rows, which have
/// the lowest ids, so it needs no index and costs the same when nothing is due.
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

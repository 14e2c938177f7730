//! How far the consumers have come that are a part of the gateway.

use contract::Timestamp;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::database::StoreError;

/// A part of the log that a consumer takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// The position after which it begins.
    pub(crate) after: i64,
    /// Its last position.
    pub(crate) to: i64,
}

/// The position of a consumer; 0 for one that never took anything.
pub(crate) async fn position(pool: &PgPool, name: &str) -> Result<i64, StoreError> {
    let row = sqlx::query!("select position from event_consumers where name = $1", name)
        .fetch_optional(pool)
        .await?;
    Ok(row.map_or(0, |row| row.position))
}

/// Whether process `me` may serve a consumer until `until`.
pub(crate) async fn lease(
    pool: &PgPool,
    name: &str,
    me: Uuid,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into event_consumers as c (name, leased_by, leased_until) values ($1, $2, $4)
         on conflict (name) do update set leased_by = $2, leased_until = $4
         where c.leased_by is null or c.leased_by = $2 or c.leased_until < $3",
        name,
        me,
        OffsetDateTime::from(now),
        OffsetDateTime::from(until)
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Moves a consumer that `me` serves. Returns whether it still does.
pub(crate) async fn advance(
    pool: &PgPool,
    name: &str,
    me: Uuid,
    position: i64,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update event_consumers set position = $3, moved_at = $4
         where name = $1 and leased_by = $2",
        name,
        me,
        position,
        OffsetDateTime::from(now)
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes the next `limit` events of a consumer whose rows move with its position, until the
/// transaction is over. `None` when there are none, or another process has them.
pub(crate) async fn take(
    connection: &mut PgConnection,
    name: &str,
    limit: i64,
) -> Result<Option<Part>, StoreError> {
    let row = sqlx::query!(
        "select c.position, h.position as head from event_consumers c, event_head h
         where c.name = $1 and c.position < h.position for no key update of c skip locked",
        name
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Part {
        after: row.position,
        to: row.head.min(row.position + limit),
    }))
}

/// Moves a consumer on to the end of `part`, which the caller has taken.
pub(crate) async fn moved(
    connection: &mut PgConnection,
    name: &str,
    part: Part,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update event_consumers set position = $2, moved_at = $3 where name = $1",
        name,
        part.to,
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

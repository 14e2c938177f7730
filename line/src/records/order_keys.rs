//! Which live order keys were given out to servers of the store: each range once.

use contract::RoomId;

use super::error::RecordsError;
use super::rooms::Rooms;
use crate::policy::order::{CLOCK_COUNTER_BITS, CLOCK_MAX, KeyRange, LIVE_BASE};

/// How far the clock may be above the floor that gateways of an earlier version wrote once a
/// second, in clock values: ten seconds.
const EARLIER_FLOOR_MARGIN: u64 = 10_000 << CLOCK_COUNTER_BITS;

impl Rooms {
    /// Reserves `count` clock values above all that were reserved before, and not below `reached`,
    /// under a new term. `None` without such a room.
    pub async fn order_keys_reserve(
        &self,
        room: &RoomId,
        reached: u64,
        count: u64,
    ) -> Result<Option<KeyRange>, RecordsError> {
        let room = room.clone();
        let (at_least, count) = (key(reached), integer(count.min(CLOCK_MAX)));
        let (margin, last) = (integer(EARLIER_FLOOR_MARGIN), key(CLOCK_MAX));
        self.database
            .run(move |connection| {
                Box::pin(async move {
                    let row = sqlx::query!(
                        r#"with before as (
                             select least(greatest(order_reserved, order_floor + $4, $2), $5) as after
                             from rooms where slug = $1 and deleted_at is null for update
                         )
                         update rooms set order_term = order_term + 1,
                             order_reserved = least(before.after + $3, $5)
                         from before where slug = $1 and deleted_at is null
                         returning order_term, before.after as "after!", order_reserved"#,
                        room.as_str(),
                        at_least,
                        count,
                        margin,
                        last,
                    )
                    .fetch_optional(connection)
                    .await?;
                    Ok(row.map(|row| KeyRange {
                        term: row.order_term.unsigned_abs(),
                        after: clock(row.after),
                        limit: clock(row.order_reserved),
                        is_ahead: row.after > at_least,
                    }))
                })
            })
            .await
    }

    /// Extends the range of `term` to `limit`; its limit then. `None` when another term is in
    /// force, or without such a room.
    pub async fn order_keys_extend(
        &self,
        room: &RoomId,
        term: u64,
        limit: u64,
    ) -> Result<Option<u64>, RecordsError> {
        let room = room.clone();
        let (term, limit) = (integer(term), key(limit.min(CLOCK_MAX)));
        self.database
            .run(move |connection| {
                Box::pin(async move {
                    let row = sqlx::query!(
                        "update rooms set order_reserved = greatest(order_reserved, $3)
                         where slug = $1 and order_term = $2 and deleted_at is null
                         returning order_reserved",
                        room.as_str(),
                        term,
                        limit,
                    )
                    .fetch_optional(connection)
                    .await?;
                    Ok(row.map(|row| clock(row.order_reserved)))
                })
            })
            .await
    }
}

fn integer(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The order key of a clock value.
fn key(clock: u64) -> i64 {
    integer(LIVE_BASE + clock.min(CLOCK_MAX))
}

/// The clock value of an order key.
fn clock(key: i64) -> u64 {
    key.unsigned_abs().saturating_sub(LIVE_BASE)
}

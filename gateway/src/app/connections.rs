//! Whether PostgreSQL takes as many connections as the gateways may open.

use anyhow::Result;
use sqlx::{PgPool, Row};

/// What each gateway calls itself at the database begins with this; its own id follows.
pub(super) const NAME: &str = "ropeline-gateway";

/// How many connections PostgreSQL takes, and from how many gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room {
    /// `max_connections`.
    total: u32,
    /// Of these for superusers and other privileged users only.
    reserved: u32,
    /// Gateways that are connected, this one included.
    gateways: u32,
}

/// Warns if the gateways that are connected, each with at most `per_gateway` connections, may open
/// more than PostgreSQL takes. `own` is what this gateway calls itself.
pub(super) async fn compare(pool: &PgPool, own: &str, per_gateway: u32) -> Result<()> {
    if let Some(advice) = advice(read(pool, own).await?, per_gateway) {
        tracing::warn!("{advice}");
    }
    Ok(())
}

async fn read(pool: &PgPool, own: &str) -> Result<Room> {
    let row = sqlx::query(
        "select current_setting('max_connections')::int4,
                current_setting('superuser_reserved_connections')::int4
                    + coalesce(current_setting('reserved_connections', true), '0')::int4,
                (select count(distinct application_name)::int4 from pg_stat_activity
                 where application_name like $1 || ' %' and application_name <> $2)",
    )
    .bind(NAME)
    .bind(own)
    .fetch_one(pool)
    .await?;
    let count = |index: usize| -> Result<u32> { Ok(u32::try_from(row.try_get::<i32, _>(index)?)?) };
    Ok(Room {
        total: count(0)?,
        reserved: count(1)?,
        gateways: count(2)? + 1,
    })
}

/// What is too much and what to do, if so.
fn advice(room: Room, per_gateway: u32) -> Option<String> {
    let Room {
        total,
        reserved,
        gateways,
    } = room;
    let wanted = gateways.saturating_mul(per_gateway);
    let open = total.saturating_sub(reserved);
    let enough = wanted + reserved;
    (wanted > open).then(|| {
        format!(
            "PostgreSQL takes {open} connections (max_connections is {total}, of which {reserved} \
             are reserved), and {gateways} gateways open up to {per_gateway} each, {wanted} \
             together: in a rush some will find none and answer 503; set max_connections to \
             {enough} or more, or run fewer gateways"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_said_with_what_would_do() {
        let room = |gateways| Room {
            total: 100,
            reserved: 3,
            gateways,
        };
        assert_eq!(advice(room(3), 32), None);
        let too_many = advice(room(4), 32).unwrap();
        for part in [
            "97 connections",
            "4 gateways",
            "128",
            "max_connections to 131",
        ] {
            assert!(
                too_many.contains(part),
                "{part} is missing from: {too_many}"
            );
        }
        assert!(advice(room(1), 98).is_some(), "one gateway may be too much");
    }
}

//! Shows on sale with their seats and figures of sales, for the operators' dashboard.

use std::collections::HashMap;

use contract::Timestamp;
use serde::Serialize;
use sqlx::PgPool;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::sales::RoomConversion;
use crate::database::StoreError;

/// A show with its seats and figures.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShowOverview {
    /// The show.
    pub(crate) show_id: String,
    /// What it is called.
    pub(crate) title: String,
    /// When it begins.
    pub(crate) starts_at: Timestamp,
    /// Whether it was cancelled.
    pub(crate) cancelled: bool,
    /// Seats that are booked, with those that were given away.
    pub(crate) sold: i64,
    /// Of them, those that were given away.
    pub(crate) comp: i64,
    /// Seats that are held.
    pub(crate) held: i64,
    /// Seats that can be held.
    pub(crate) free: i64,
    /// ISO 4217.
    pub(crate) currency: String,
    /// What was paid, minor units.
    pub(crate) gross_minor: i64,
    /// What went back.
    pub(crate) refunded_minor: i64,
    /// What was paid less what went back.
    pub(crate) net_minor: i64,
    /// Tickets that were sold in each of the last hours, the present one last.
    pub(crate) hours: Vec<i64>,
    /// Of those who were called in its room, how many bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) room: Option<RoomConversion>,
}

/// Shows that are not over, the next first, at most `limit`. `hours` is how many hours are told.
pub(crate) async fn read(
    pool: &PgPool,
    rooms: Vec<RoomConversion>,
    now: Timestamp,
    hours: u32,
    limit: i64,
) -> Result<Vec<ShowOverview>, StoreError> {
    let rows = sqlx::query!(
        r#"with wanted as materialized (
            select show_no, show_id, title, starts_at, cancelled_at, currency, room from shows
            where coalesce(ends_at, greatest(starts_at, sale_closes_at)) > $1
            order by starts_at, show_id limit $2
        )
        select w.show_id, w.title, w.starts_at, w.cancelled_at is not null as "cancelled!",
            w.currency, w.room, s.sold as "sold!", s.held as "held!", s.free as "free!",
            m.gross as "gross!", m.refunded as "refunded!", c.comp as "comp!"
        from wanted w
        cross join lateral (
            select count(*) filter (where status = 'BOOKED') as sold,
                count(*) filter (where status = 'HELD') as held,
                count(*) filter (where status = 'AVAILABLE') as free
            from show_seats t where t.show_no = w.show_no) s
        cross join lateral (
            select coalesce(sum(booked_minor), 0)::bigint as gross,
                coalesce(sum(refunded_minor), 0)::bigint as refunded
            from sales_show_hours h
            where h.show_id = w.show_id and h.currency = w.currency) m
        cross join lateral (
            select count(*) as comp from comps g join tickets t using (booking_id)
            where g.show_no = w.show_no and t.status <> 'VOID') c
        order by w.starts_at, w.show_id"#,
        OffsetDateTime::from(now),
        limit
    )
    .fetch_all(pool)
    .await?;
    let ids: Vec<String> = rows.iter().map(|row| row.show_id.clone()).collect();
    let mut sold = sold_by_hour(pool, &ids, now, hours).await?;
    let rooms: HashMap<String, RoomConversion> = rooms
        .into_iter()
        .map(|room| (room.room.clone(), room))
        .collect();
    let none = || vec![0; usize::try_from(hours).unwrap_or(0)];
    let shows = rows.into_iter().map(|row| ShowOverview {
        hours: sold.remove(&row.show_id).unwrap_or_else(none),
        room: row.room.and_then(|room| rooms.get(&room).cloned()),
        show_id: row.show_id,
        title: row.title,
        starts_at: row.starts_at.into(),
        cancelled: row.cancelled,
        sold: row.sold,
        comp: row.comp,
        held: row.held,
        free: row.free,
        currency: row.currency,
        gross_minor: row.gross,
        refunded_minor: row.refunded,
        net_minor: row.gross - row.refunded,
    });
    Ok(shows.collect())
}

/// Tickets sold in each of the last `hours`, by show.
async fn sold_by_hour(
    pool: &PgPool,
    shows: &[String],
    now: Timestamp,
    hours: u32,
) -> Result<HashMap<String, Vec<i64>>, StoreError> {
    let rows = sqlx::query!(
        r#"select w.show_id as "show_id!", coalesce(sum(s.tickets_sold), 0)::bigint as "sold!"
         from unnest($1::text[]) as w (show_id)
         cross join generate_series(
            date_trunc('hour', $2::timestamptz, 'UTC') - ($3::integer - 1) * interval '1 hour',
            date_trunc('hour', $2::timestamptz, 'UTC'), interval '1 hour') as h (hour)
         left join sales_hours s on s.show_id = w.show_id and s.hour = h.hour
         group by w.show_id, h.hour order by w.show_id, h.hour"#,
        shows,
        OffsetDateTime::from(now),
        i32::try_from(hours).unwrap_or(i32::MAX)
    )
    .fetch_all(pool)
    .await?;
    let mut by_show: HashMap<String, Vec<i64>> = HashMap::new();
    for row in rows {
        by_show.entry(row.show_id).or_default().push(row.sold);
    }
    Ok(by_show)
}

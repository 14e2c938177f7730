//! What was sold, made from the log of events.

use contract::Timestamp;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::database::StoreError;
use crate::store::consumers;

/// The consumer that counts gifts apart. A program that would count them as sales asks for `sales`,
/// which there is no more, so it counts nothing.
const CONSUMER: &str = "sales-and-gifts";

/// What was sold of one category, in one hour or altogether.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CategorySales {
    /// The show.
    pub(crate) show_id: String,
    /// The category.
    pub(crate) category: String,
    /// ISO 4217.
    pub(crate) currency: String,
    /// The beginning of the hour; absent for all hours together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hour: Option<Timestamp>,
    /// Tickets that were sold.
    pub(crate) tickets_sold: i64,
    /// What they cost, minor units.
    pub(crate) sold_minor: i64,
    /// Tickets that were cancelled.
    pub(crate) tickets_cancelled: i64,
    /// What those had cost.
    pub(crate) cancelled_minor: i64,
    /// What was sold less what was cancelled, before what was kept of it.
    pub(crate) net_minor: i64,
    /// Tickets that were given away, which are not among those sold.
    pub(crate) comp_tickets: i64,
    /// Of them, those that were cancelled.
    pub(crate) comp_tickets_cancelled: i64,
}

/// What was sold of one show.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShowSales {
    /// The show.
    pub(crate) show_id: String,
    /// ISO 4217.
    pub(crate) currency: String,
    /// Bookings that were made, without those that were given away.
    pub(crate) bookings: i64,
    /// What was paid for them, minor units.
    pub(crate) booked_minor: i64,
    /// What went back.
    pub(crate) refunded_minor: i64,
    /// Of cancelled tickets, what the seller keeps.
    pub(crate) kept_minor: i64,
    /// What was paid less what went back.
    pub(crate) net_minor: i64,
    /// Entries at the gates.
    pub(crate) entries: i64,
    /// Bookings that were given away.
    pub(crate) comp_bookings: i64,
    /// What their tickets and fees cost otherwise.
    pub(crate) comp_face_minor: i64,
}

/// How many of those who were called bought, in one room.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoomConversion {
    /// The room.
    pub(crate) room: String,
    /// Calls so far.
    pub(crate) calls: i64,
    /// Places of the room with a booking of one of its shows.
    pub(crate) buyers: i64,
}

/// Takes the next `limit` events into the figures. Returns how many. Position and figures move
/// together, so each event counts once; any number of processes may call it.
pub(crate) async fn take(pool: &PgPool, now: Timestamp, limit: i64) -> Result<usize, StoreError> {
    let mut tx = pool.begin().await?;
    let Some(part) = consumers::take(&mut tx, CONSUMER, limit).await? else {
        return Ok(0);
    };
    sqlx::query_file!("src/store/sales_take.sql", part.after, part.to)
        .execute(&mut *tx)
        .await?;
    consumers::moved(&mut tx, CONSUMER, part, now).await?;
    tx.commit().await?;
    Ok(usize::try_from(part.to - part.after).unwrap_or(0))
}

/// Sales by category of a show, or of all; hour by hour when `hourly`.
pub(crate) async fn by_category(
    pool: &PgPool,
    show: Option<&str>,
    hourly: bool,
    limit: i64,
) -> Result<Vec<CategorySales>, StoreError> {
    let rows = sqlx::query!(
        r#"select show_id, category, currency, case when $2 then hour end as hour,
            sum(tickets_sold)::bigint as "tickets_sold!", sum(sold_minor)::bigint as "sold_minor!",
            sum(tickets_cancelled)::bigint as "tickets_cancelled!",
            sum(cancelled_minor)::bigint as "cancelled_minor!",
            sum(comp_tickets)::bigint as "comp_tickets!",
            sum(comp_tickets_cancelled)::bigint as "comp_tickets_cancelled!"
         from sales_hours where $1::text is null or show_id = $1
         group by 1, 2, 3, 4 order by 1, 4, 2, 3 limit $3"#,
        show,
        hourly,
        limit
    )
    .fetch_all(pool)
    .await?;
    let sales = rows.into_iter().map(|row| CategorySales {
        show_id: row.show_id,
        category: row.category,
        currency: row.currency,
        hour: row.hour.map(Timestamp::from),
        tickets_sold: row.tickets_sold,
        sold_minor: row.sold_minor,
        tickets_cancelled: row.tickets_cancelled,
        cancelled_minor: row.cancelled_minor,
        net_minor: row.sold_minor - row.cancelled_minor,
        comp_tickets: row.comp_tickets,
        comp_tickets_cancelled: row.comp_tickets_cancelled,
    });
    Ok(sales.collect())
}

/// Sales of a show, or of each.
pub(crate) async fn by_show(
    pool: &PgPool,
    show: Option<&str>,
    limit: i64,
) -> Result<Vec<ShowSales>, StoreError> {
    let rows = sqlx::query!(
        r#"select show_id, currency, sum(bookings)::bigint as "bookings!",
            sum(booked_minor)::bigint as "booked_minor!",
            sum(refunded_minor)::bigint as "refunded_minor!",
            sum(kept_minor)::bigint as "kept_minor!", sum(entries)::bigint as "entries!",
            sum(comp_bookings)::bigint as "comp_bookings!",
            sum(comp_face_minor)::bigint as "comp_face_minor!"
         from sales_show_hours where $1::text is null or show_id = $1
         group by 1, 2 order by 1, 2 limit $2"#,
        show,
        limit
    )
    .fetch_all(pool)
    .await?;
    let sales = rows.into_iter().map(|row| ShowSales {
        show_id: row.show_id,
        currency: row.currency,
        bookings: row.bookings,
        booked_minor: row.booked_minor,
        refunded_minor: row.refunded_minor,
        kept_minor: row.kept_minor,
        net_minor: row.booked_minor - row.refunded_minor,
        entries: row.entries,
        comp_bookings: row.comp_bookings,
        comp_face_minor: row.comp_face_minor,
    });
    Ok(sales.collect())
}

/// Conversion of the room of a show, or of each room with shows.
pub(crate) async fn conversion(
    pool: &PgPool,
    show: Option<&str>,
) -> Result<Vec<RoomConversion>, StoreError> {
    let rows = sqlx::query!(
        r#"with wanted as (
            select distinct room from shows
            where room is not null and ($1::text is null or show_id = $1)
        )
        select w.room as "room!", coalesce(h.seq, 0) as "calls!",
            (select count(distinct b.subject) from bookings b join shows s using (show_no)
                where s.room = w.room and b.subject is not null) as "buyers!"
        from wanted w left join admission_heads h on h.room = w.room order by w.room"#,
        show
    )
    .fetch_all(pool)
    .await?;
    let rooms = rows.into_iter().map(|row| RoomConversion {
        room: row.room,
        calls: row.calls,
        buyers: row.buyers,
    });
    Ok(rooms.collect())
}

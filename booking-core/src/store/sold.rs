//! Everything that was sold of a show, read page by page.

use std::collections::HashMap;

use contract::booking::BookingStatus;
use contract::{BookingId, ShowId, TicketId, Timestamp};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use super::cancellations::TicketStatus;
use super::word;
use crate::database::StoreError;

/// A booking with its money and tickets, for the books of the seller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SoldBooking {
    /// Its id.
    pub(crate) booking_id: BookingId,
    /// Its code.
    pub(crate) code: String,
    /// The address that it was booked with.
    pub(crate) email: String,
    /// Its state.
    pub(crate) status: BookingStatus,
    /// What was paid, minor units.
    pub(crate) amount_minor: i64,
    /// What of it was given back, minor units.
    pub(crate) refunded_minor: i64,
    /// What is left, minor units.
    pub(crate) net_minor: i64,
    /// ISO 4217.
    pub(crate) currency: String,
    /// The payment provider.
    pub(crate) provider: Option<String>,
    /// What the provider calls the payment.
    pub(crate) intent_id: Option<String>,
    /// For a booking that was given away, what its tickets and fees cost otherwise, minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) comp_face_minor: Option<i64>,
    /// When.
    pub(crate) created_at: Timestamp,
    /// Its tickets, void ones too.
    pub(crate) tickets: Vec<SoldTicket>,
}

/// A ticket of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SoldTicket {
    /// Its id.
    pub(crate) ticket_id: TicketId,
    /// Its seat.
    pub(crate) seat_id: String,
    /// The category of the seat.
    pub(crate) category: String,
    /// Its state.
    pub(crate) status: TicketStatus,
    /// What it cost, minor units; absent for tickets of earlier versions.
    pub(crate) price_minor: Option<i64>,
    /// When its holder first went in.
    pub(crate) checked_in_at: Option<Timestamp>,
}

/// Up to `limit` bookings of `show`, in the order of their ids, from after `after`. `None` when
/// there is no such show.
pub(crate) async fn page(
    pool: &PgPool,
    show: &ShowId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Option<Vec<SoldBooking>>, StoreError> {
    let show_no = sqlx::query_scalar!(
        "select show_no from shows where show_id = $1",
        show.as_str()
    )
    .fetch_optional(pool)
    .await?;
    let Some(show_no) = show_no else {
        return Ok(None);
    };
    let rows = sqlx::query!(
        r#"select b.booking_id, b.code, b.email, b.status, b.amount_minor, b.currency, b.created_at,
            p.provider as "provider?", p.intent_id, coalesce(p.refunded_minor, 0) as "refunded!",
            g.face_minor as "comp_face_minor?"
         from bookings b
         left join comps g using (booking_id)
         left join payments p on p.hold_id = b.hold_id and p.disposition = 'BOOKED'
         where b.show_no = $1 and ($2::uuid is null or b.booking_id > $2)
         order by b.booking_id limit $3"#,
        show_no,
        after,
        limit
    )
    .fetch_all(pool)
    .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.booking_id).collect();
    let mut tickets = tickets(pool, &ids).await?;
    let rows = rows.into_iter().map(|row| {
        Ok(SoldBooking {
            booking_id: BookingId::new(row.booking_id),
            code: row.code,
            email: row.email,
            status: word("bookings", &row.status)?,
            amount_minor: row.amount_minor,
            refunded_minor: row.refunded,
            net_minor: row.amount_minor - row.refunded,
            currency: row.currency,
            provider: row.provider,
            intent_id: row.intent_id,
            comp_face_minor: row.comp_face_minor,
            created_at: row.created_at.into(),
            tickets: tickets.remove(&row.booking_id).unwrap_or_default(),
        })
    });
    rows.collect::<Result<_, StoreError>>().map(Some)
}

async fn tickets(
    pool: &PgPool,
    bookings: &[Uuid],
) -> Result<HashMap<Uuid, Vec<SoldTicket>>, StoreError> {
    let rows = sqlx::query!(
        r#"select t.booking_id, t.ticket_id, t.status, t.price_minor, s.seat_id, s.category,
            (select min(c.happened_at) from checkins c
                where c.ticket_id = t.ticket_id and c.result = 'ACCEPTED' and c.direction = 'in')
                as checked_in_at
         from tickets t join seats s on s.show_no = t.show_no and s.seat_no = t.seat_no
         where t.booking_id = any($1) order by t.seat_no, t.ticket_id"#,
        bookings
    )
    .fetch_all(pool)
    .await?;
    let mut by_booking: HashMap<Uuid, Vec<SoldTicket>> = HashMap::new();
    for row in rows {
        let of_booking = by_booking.entry(row.booking_id).or_default();
        of_booking.push(SoldTicket {
            ticket_id: TicketId::new(row.ticket_id),
            seat_id: row.seat_id,
            category: row.category,
            status: word("tickets", &row.status)?,
            price_minor: row.price_minor,
            checked_in_at: row.checked_in_at.map(Timestamp::from),
        });
    }
    Ok(by_booking)
}

//! Bookings and tickets.

use contract::Timestamp;
use contract::booking::BookingStatus;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::holds::HoldRow;
use super::word;
use crate::database::StoreError;

/// A booking with its tickets.
#[derive(Clone, Debug)]
pub(crate) struct BookingRow {
    pub(crate) booking_id: Uuid,
    pub(crate) code: String,
    pub(crate) show_no: i32,
    pub(crate) show_id: String,
    pub(crate) starts_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) subject: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) status: BookingStatus,
    pub(crate) amount_minor: i64,
    pub(crate) refunded_minor: i64,
    pub(crate) currency: String,
    pub(crate) created_at: Timestamp,
    pub(crate) tickets: Vec<TicketRow>,
}

/// A ticket that has not been voided.
#[derive(Clone, Debug)]
pub(crate) struct TicketRow {
    pub(crate) ticket_id: Uuid,
    pub(crate) seat_no: i32,
    pub(crate) seat_id: String,
    pub(crate) token_generation: i32,
}

/// A booking, as far as a link to it needs.
#[derive(Clone, Debug)]
pub(crate) struct OwnBookingRow {
    pub(crate) booking_id: Uuid,
    pub(crate) show_no: i32,
    pub(crate) ticket_count: u32,
}

/// A booking that is about to be made from a hold.
#[derive(Clone, Debug)]
pub(crate) struct NewBooking {
    pub(crate) booking_id: Uuid,
    pub(crate) code: String,
    /// One per seat of the hold, in the order of its seats.
    pub(crate) ticket_ids: Vec<Uuid>,
    pub(crate) now: Timestamp,
}

/// Bookings of the session with this digest that have tickets and whose shows are not over, the
/// next show first, at most `limit`.
pub(crate) async fn of_session(
    connection: &mut PgConnection,
    session: &str,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<OwnBookingRow>, StoreError> {
    let rows = sqlx::query!(
        r#"select b.booking_id, b.show_no, count(*) as "ticket_count!"
           from bookings b
           join shows s using (show_no)
           join tickets t on t.booking_id = b.booking_id and t.status <> 'VOID'
           where b.session = $1 and b.status <> 'CANCELLED'
             and coalesce(s.ends_at, greatest(s.starts_at, s.sale_closes_at)) > $2
           group by b.booking_id, b.show_no, s.starts_at
           order by s.starts_at, b.booking_id limit $3"#,
        session,
        OffsetDateTime::from(now),
        limit
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| OwnBookingRow {
            booking_id: row.booking_id,
            show_no: row.show_no,
            ticket_count: u32::try_from(row.ticket_count).unwrap_or(0),
        })
        .collect())
}

/// Inserts the booking and its tickets, and a row in the outbox.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    booking: &NewBooking,
    hold: &HoldRow,
    email: &str,
) -> Result<(), StoreError> {
    let now = OffsetDateTime::from(booking.now);
    sqlx::query!(
        "insert into bookings (booking_id, code, hold_id, show_no, subject, session, limit_owner,
            email, amount_minor, currency, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        booking.booking_id,
        booking.code,
        hold.hold_id,
        hold.show_no,
        hold.subject,
        hold.session,
        hold.limit_owner,
        email,
        hold.amount_minor,
        hold.currency,
        now
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into tickets (ticket_id, booking_id, show_no, seat_no, issued_at)
         select t.ticket_id, $2, $3, t.seat_no, $5
         from unnest($1::uuid[], $4::integer[]) as t (ticket_id, seat_no)",
        &booking.ticket_ids,
        booking.booking_id,
        hold.show_no,
        &hold.seat_nos,
        now
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into outbox (topic, dedupe, payload, created_at)
         values ('booking.confirmed', $1, $2, $3)",
        format!("booking.confirmed:{}", booking.booking_id),
        serde_json::json!({ "bookingId": contract::BookingId::new(booking.booking_id) }),
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The booking, if it exists.
pub(crate) async fn find(
    connection: &mut PgConnection,
    booking_id: Uuid,
) -> Result<Option<BookingRow>, StoreError> {
    let row = sqlx::query!(
        r#"select b.booking_id, b.code, b.show_no, s.show_id, s.starts_at,
            coalesce(s.ends_at, greatest(s.starts_at, s.sale_closes_at)) as "ends_at!",
            b.subject, b.session, b.status, b.amount_minor, b.currency, b.created_at,
            coalesce((select p.refunded_minor from payments p
                where p.hold_id = b.hold_id and p.disposition = 'BOOKED'), 0)
                as "refunded_minor!"
         from bookings b join shows s using (show_no) where b.booking_id = $1"#,
        booking_id
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let tickets = sqlx::query_as!(
        TicketRow,
        "select t.ticket_id, t.seat_no, s.seat_id, t.token_generation
         from tickets t join seats s using (show_no, seat_no)
         where t.booking_id = $1 and t.status <> 'VOID' order by t.seat_no",
        booking_id
    )
    .fetch_all(connection)
    .await?;
    Ok(Some(BookingRow {
        booking_id: row.booking_id,
        code: row.code,
        show_no: row.show_no,
        show_id: row.show_id,
        starts_at: row.starts_at.into(),
        ends_at: row.ends_at.into(),
        subject: row.subject,
        session: row.session,
        status: word("bookings", &row.status)?,
        amount_minor: row.amount_minor,
        refunded_minor: row.refunded_minor,
        currency: row.currency,
        created_at: row.created_at.into(),
        tickets,
    }))
}

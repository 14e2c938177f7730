//! Bookings and tickets.

use contract::Timestamp;
use contract::booking::BookingStatus;
use sqlx::{PgConnection, PgPool};
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
    pub(crate) email: String,
    pub(crate) link_generation: i32,
    pub(crate) status: BookingStatus,
    pub(crate) amount_minor: i64,
    /// What the amount is made of; `None` for bookings of earlier versions.
    pub(crate) price_lines: Option<serde_json::Value>,
    pub(crate) refunded_minor: i64,
    pub(crate) currency: String,
    pub(crate) created_at: Timestamp,
    /// Whether its tickets are kept back: a person has not approved it.
    pub(crate) withheld: bool,
    pub(crate) tickets: Vec<TicketRow>,
    /// Whose view of the booking this is: the transfer by which they got tickets; `None` for the
    /// buyer.
    pub(crate) reader: Option<Uuid>,
}

impl BookingRow {
    /// The view of whoever got tickets by this transfer; `None` when they have none.
    pub(crate) fn of_holder(mut self, transfer_id: Uuid) -> Option<Self> {
        let is_theirs = |ticket: &TicketRow| ticket.holder == Some(transfer_id);
        self.tickets.retain(is_theirs);
        let ticket = self.tickets.first()?;
        self.email = ticket.holder_email.clone()?;
        self.link_generation = ticket.holder_generation?;
        self.reader = Some(transfer_id);
        Some(self)
    }
}

impl BookingRow {
    /// A new booking of `hold`, with its tickets. The show is as its tickets say it.
    pub(crate) fn new(
        booking: &NewBooking,
        hold: &HoldRow,
        (show_id, starts_at, ends_at): (String, Timestamp, Timestamp),
        (email, price_lines): (String, Option<serde_json::Value>),
        tickets: Vec<TicketRow>,
    ) -> Self {
        Self {
            booking_id: booking.booking_id,
            code: booking.code.clone(),
            show_no: hold.show_no,
            show_id,
            starts_at,
            ends_at,
            subject: hold.subject.clone(),
            session: hold.session.clone(),
            email,
            link_generation: 0,
            status: BookingStatus::Confirmed,
            amount_minor: hold.amount_minor,
            price_lines,
            refunded_minor: 0,
            currency: hold.currency.clone(),
            created_at: booking.now,
            reader: None,
            // One with a review is settled alone.
            withheld: false,
            tickets,
        }
    }
}

/// A ticket that has not been voided.
#[derive(Clone, Debug)]
pub(crate) struct TicketRow {
    pub(crate) ticket_id: Uuid,
    pub(crate) seat_no: i32,
    pub(crate) seat_id: String,
    pub(crate) token_generation: i32,
    pub(crate) holder_name: Option<String>,
    /// The transfer by which its holder got it; `None` for the buyer.
    pub(crate) holder: Option<Uuid>,
    pub(crate) holder_email: Option<String>,
    /// Links of the holder carry this number.
    pub(crate) holder_generation: Option<i32>,
    pub(crate) category: String,
    /// What it was sold as, where its category has types.
    pub(crate) ticket_type: Option<String>,
    /// What was paid for it, if known.
    pub(crate) price_minor: Option<i64>,
}

impl TicketRow {
    /// A new ticket of the buyer: for a seat with this id and category, sold as this type at this
    /// price.
    pub(crate) fn new(
        ticket_id: Uuid,
        seat_no: i32,
        (seat_id, category): (String, String),
        (ticket_type, price_minor): (Option<String>, Option<i64>),
    ) -> Self {
        Self {
            ticket_id,
            seat_no,
            seat_id,
            token_generation: 1,
            holder_name: None,
            holder: None,
            holder_email: None,
            holder_generation: None,
            category,
            ticket_type,
            price_minor,
        }
    }
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
            email, amount_minor, currency, created_at, refund_policy, price_lines)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
            (select refund_policy from shows where show_no = $4),
            (select price_lines from holds where hold_id = $3))",
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
        // Only holds of earlier versions have no price for each seat. Where the present prices do
        // not sum to the amount, what each ticket cost is decided when it is first asked for.
        "insert into tickets (ticket_id, booking_id, show_no, seat_no, issued_at, price_minor,
            ticket_type)
         select t.ticket_id, $2, $3, t.seat_no, $5,
            coalesce(h.ticket_prices[t.at],
                case when sum(c.price_minor) over () = $6::bigint then c.price_minor end),
            h.ticket_types[t.at]
         from unnest($1::uuid[], $4::integer[]) with ordinality as t (ticket_id, seat_no, at)
         join holds h on h.hold_id = $7
         left join seats s on s.show_no = $3 and s.seat_no = t.seat_no
         left join show_categories c on c.show_no = s.show_no and c.category = s.category",
        &booking.ticket_ids,
        booking.booking_id,
        hold.show_no,
        &hold.seat_nos,
        now,
        hold.amount_minor,
        hold.hold_id
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
            b.subject, b.session, b.email, b.link_generation, b.status, b.amount_minor,
            b.price_lines, b.currency, b.created_at,
            coalesce((select p.refunded_minor from payments p
                where p.hold_id = b.hold_id and p.disposition = 'BOOKED'), 0)
                as "refunded_minor!",
            exists (select 1 from reviews r where r.hold_id = b.hold_id
                and r.state <> 'APPROVED') as "withheld!"
         from bookings b join shows s using (show_no) where b.booking_id = $1"#,
        booking_id
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let tickets = sqlx::query_as!(
        TicketRow,
        r#"select t.ticket_id, t.seat_no, s.seat_id, t.token_generation, t.holder_name,
            t.transfer_id as holder, h.email as "holder_email?",
            h.link_generation as "holder_generation?", s.category, t.ticket_type, t.price_minor
         from tickets t join seats s using (show_no, seat_no)
         left join transfers h using (transfer_id)
         where t.booking_id = $1 and t.status <> 'VOID' order by t.seat_no"#,
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
        email: row.email,
        link_generation: row.link_generation,
        status: word("bookings", &row.status)?,
        amount_minor: row.amount_minor,
        price_lines: row.price_lines,
        refunded_minor: row.refunded_minor,
        currency: row.currency,
        created_at: row.created_at.into(),
        withheld: row.withheld,
        tickets,
        reader: None,
    }))
}

/// The booking with this code.
pub(crate) async fn by_code(
    connection: &mut PgConnection,
    code: &str,
) -> Result<Option<Uuid>, StoreError> {
    let row = sqlx::query!("select booking_id from bookings where code = $1", code)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.booking_id))
}

/// Revokes all links to a booking, also those of whoever got tickets of it. Returns the number of the
/// generation of the buyer's links that is good now.
pub(crate) async fn links_revoke(
    pool: &PgPool,
    booking_id: Uuid,
) -> Result<Option<i32>, StoreError> {
    let mut tx = pool.begin().await?;
    let row = sqlx::query!(
        "update bookings set link_generation = link_generation + 1 where booking_id = $1
         returning link_generation",
        booking_id
    )
    .fetch_optional(&mut *tx)
    .await?;
    sqlx::query!(
        "update transfers set link_generation = link_generation + 1
         where booking_id = $1 and kind = 'TRANSFER'",
        booking_id
    )
    .execute(&mut *tx)
    .await?;
    // A browser that was added by an earlier link would get the new one.
    super::contacts::unsubscribe(&mut tx, booking_id).await?;
    tx.commit().await?;
    Ok(row.map(|row| row.link_generation))
}

/// A booking in its owner's list.
#[derive(Clone, Debug)]
pub(crate) struct ListedBooking {
    pub(crate) booking_id: Uuid,
    pub(crate) code: String,
    pub(crate) show_id: String,
    pub(crate) status: BookingStatus,
    pub(crate) ticket_count: u32,
    pub(crate) amount_minor: i64,
    pub(crate) refunded_minor: i64,
    pub(crate) currency: String,
    pub(crate) created_at: Timestamp,
}

/// Bookings of a session, of the places of passes or of an address (in lower case), and those of
/// which this address was passed tickets on, the latest first, at most `limit`. What a booking cost
/// is told to its buyer alone.
pub(crate) async fn of_owner(
    connection: &mut PgConnection,
    session: Option<&str>,
    subjects: &[String],
    address: Option<&str>,
    limit: i64,
) -> Result<Vec<ListedBooking>, StoreError> {
    let rows = sqlx::query!(
        r#"with own as materialized (
            select booking_id from bookings where session = $1
            union
            select booking_id from bookings where subject = any($2)
            union
            select booking_id from bookings where lower(email) = $4
        ), passed_on as (
            select h.booking_id, count(*) as ticket_count, max(h.created_at) as created_at
            from transfers h
            join tickets t on t.booking_id = h.booking_id and t.transfer_id = h.transfer_id
            where lower(h.email) = $4 and t.status <> 'VOID'
                and not exists (select 1 from own where own.booking_id = h.booking_id)
            group by h.booking_id
        )
        select b.booking_id as "booking_id!", b.code as "code!", s.show_id as "show_id!",
            b.status as "status!", b.amount_minor as "amount_minor!", b.currency as "currency!",
            b.created_at as "created_at!",
            (select count(*) from tickets t
                where t.booking_id = b.booking_id and t.status <> 'VOID') as "ticket_count!",
            coalesce((select p.refunded_minor from payments p
                where p.hold_id = b.hold_id and p.disposition = 'BOOKED'), 0)
                as "refunded_minor!"
        from own join bookings b using (booking_id) join shows s using (show_no)
        union all
        select b.booking_id, b.code, s.show_id, b.status, 0, b.currency, o.created_at,
            o.ticket_count, 0
        from passed_on o join bookings b using (booking_id) join shows s using (show_no)
        order by 7 desc, 1 limit $3"#,
        session,
        subjects,
        limit,
        address
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        Ok(ListedBooking {
            booking_id: row.booking_id,
            code: row.code,
            show_id: row.show_id,
            status: word("bookings", &row.status)?,
            ticket_count: u32::try_from(row.ticket_count).unwrap_or(0),
            amount_minor: row.amount_minor,
            refunded_minor: row.refunded_minor,
            currency: row.currency,
            created_at: row.created_at.into(),
        })
    });
    rows.collect()
}

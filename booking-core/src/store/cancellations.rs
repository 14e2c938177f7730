//! Cancelling tickets of a booking. The caller's transaction has locked the hold and the payment.

use contract::Timestamp;
use contract::booking::BookingStatus;
use contract::refund::RefundState;
use contract::refund_policy::RefundPolicy;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{text_of, word};
use crate::database::StoreError;
use crate::money::{derived_id, going_back};

/// The ledger account of what the seller keeps of cancelled tickets.
const KEPT: &str = "kept";

/// Who cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum CancelledBy {
    /// The customer.
    Fan,
    /// An operator, one booking.
    Operator,
    /// The show was cancelled.
    Show,
}

/// The state of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum TicketStatus {
    /// It is good for one entry.
    Issued,
    /// It was used at the door.
    CheckedIn,
    /// It is no longer good.
    Void,
}

/// A ticket in any state.
#[derive(Clone, Debug)]
pub(crate) struct SoldTicket {
    pub(crate) ticket_id: Uuid,
    pub(crate) seat_no: i32,
    pub(crate) status: TicketStatus,
    pub(crate) price_minor: i64,
    /// The transfer by which its holder got it; `None` for the buyer.
    pub(crate) holder: Option<Uuid>,
}

/// A booking, as far as cancelling needs it.
#[derive(Clone, Debug)]
pub(crate) struct SoldBooking {
    pub(crate) booking_id: Uuid,
    pub(crate) status: BookingStatus,
    pub(crate) currency: String,
    pub(crate) starts_at: Timestamp,
    pub(crate) show_cancelled: bool,
    pub(crate) policy: Option<RefundPolicy>,
    /// Until when the whole price goes back, because the show was moved after it was sold.
    pub(crate) whole_price_until: Option<Timestamp>,
    /// What the seller kept of tickets that were cancelled before.
    pub(crate) kept_minor: i64,
    /// What is neither given back nor promised, including what the seller keeps.
    pub(crate) left_minor: i64,
    /// What is promised to the customer and has not gone back yet.
    pub(crate) pending_minor: i64,
    /// All tickets, in map order.
    pub(crate) tickets: Vec<SoldTicket>,
    /// Whether the prices of the tickets are not stored yet.
    pub(crate) prices_missing: bool,
}

impl SoldBooking {
    /// What of the payment can still go back or be kept.
    pub(crate) fn available(&self) -> i64 {
        self.left_minor - self.kept_minor
    }

    /// Until when the whole price goes back because the show was moved, if it still does. Never once
    /// the show has begun: it may have been moved forward again since.
    pub(crate) fn moved_away_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.whole_price_until?.min(self.starts_at);
        (!self.show_cancelled && now < until).then_some(until)
    }

    /// Whether the whole price goes back because the show was moved.
    pub(crate) fn is_moved_away(&self, now: Timestamp) -> bool {
        self.moved_away_until(now).is_some()
    }
}

/// Reads a booking with all of its tickets and what they cost.
pub(crate) async fn sold(
    connection: &mut PgConnection,
    booking_id: Uuid,
) -> Result<Option<SoldBooking>, StoreError> {
    let row = sqlx::query!(
        r#"select b.status, b.amount_minor, b.currency, s.starts_at,
            s.cancelled_at is not null as "show_cancelled!",
            coalesce(b.refund_policy, s.refund_policy) as policy,
            (select max(m.refund_until) from show_moves m join holds h on h.hold_id = b.hold_id
                where m.show_no = b.show_no and m.created_at > h.created_at) as whole_price_until,
            p.captured_minor - p.refund_reserved_minor as "left_minor!",
            p.refund_reserved_minor - p.refunded_minor as "pending_minor!",
            coalesce((select sum(c.kept_minor) from cancellations c
                where c.booking_id = b.booking_id), 0)::bigint as "kept_minor!"
         from bookings b join shows s using (show_no)
         join payments p on p.hold_id = b.hold_id and p.disposition = 'BOOKED'
         where b.booking_id = $1"#,
        booking_id
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let rows = sqlx::query!(
        r#"select t.ticket_id, t.seat_no, t.status, t.price_minor, t.transfer_id,
            coalesce(c.price_minor, 0) as "present_minor!"
         from tickets t left join seats s using (show_no, seat_no)
         left join show_categories c on c.show_no = s.show_no and c.category = s.category
         where t.booking_id = $1 order by t.seat_no, t.ticket_id"#,
        booking_id
    )
    .fetch_all(connection)
    .await?;
    let stored: Option<Vec<i64>> = rows.iter().map(|ticket| ticket.price_minor).collect();
    let prices_missing = stored.is_none();
    let prices = stored.unwrap_or_else(|| {
        let present: Vec<i64> = rows.iter().map(|ticket| ticket.present_minor).collect();
        going_back::prices_of(row.amount_minor, &present)
    });
    let tickets = rows.into_iter().zip(prices).map(|(ticket, price_minor)| {
        Ok(SoldTicket {
            ticket_id: ticket.ticket_id,
            seat_no: ticket.seat_no,
            status: word("tickets", &ticket.status)?,
            price_minor,
            holder: ticket.transfer_id,
        })
    });
    Ok(Some(SoldBooking {
        booking_id,
        status: word("bookings", &row.status)?,
        currency: row.currency,
        starts_at: row.starts_at.into(),
        show_cancelled: row.show_cancelled,
        whole_price_until: row.whole_price_until.map(Timestamp::from),
        policy: row
            .policy
            .map(serde_json::from_value)
            .transpose()
            .map_err(|error| StoreError::corrupt("bookings", error))?,
        kept_minor: row.kept_minor,
        left_minor: row.left_minor,
        pending_minor: row.pending_minor,
        tickets: tickets.collect::<Result<_, StoreError>>()?,
        prices_missing,
    }))
}

/// The hold of a booking and the payment that paid for it.
pub(crate) async fn hold_and_payment(
    connection: &mut PgConnection,
    booking_id: Uuid,
) -> Result<Option<(Uuid, Uuid)>, StoreError> {
    let row = sqlx::query!(
        "select b.hold_id, p.payment_id from bookings b
         join payments p on p.hold_id = b.hold_id and p.disposition = 'BOOKED'
         where b.booking_id = $1",
        booking_id
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.hold_id, row.payment_id)))
}

/// A cancellation that was made, with the present state of its refund.
#[derive(Clone, Debug)]
pub(crate) struct CancellationRow {
    pub(crate) refund_id: Uuid,
    pub(crate) booking_id: Uuid,
    pub(crate) by: CancelledBy,
    pub(crate) ticket_ids: Vec<Uuid>,
    pub(crate) refund_minor: i64,
    pub(crate) kept_minor: i64,
    pub(crate) currency: String,
    pub(crate) reason: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) refund_status: RefundState,
    pub(crate) booking_status: BookingStatus,
}

/// The cancellation with this refund.
pub(crate) async fn find(
    connection: &mut PgConnection,
    refund_id: Uuid,
) -> Result<Option<CancellationRow>, StoreError> {
    let found = rows(connection, Some(refund_id), None).await?;
    Ok(found.into_iter().next())
}

/// All cancellations of a booking, in the order in which they were made.
pub(crate) async fn of_booking(
    connection: &mut PgConnection,
    booking_id: Uuid,
) -> Result<Vec<CancellationRow>, StoreError> {
    rows(connection, None, Some(booking_id)).await
}

async fn rows(
    connection: &mut PgConnection,
    refund_id: Option<Uuid>,
    booking_id: Option<Uuid>,
) -> Result<Vec<CancellationRow>, StoreError> {
    let rows = sqlx::query!(
        "select c.refund_id, c.booking_id, c.by_whom, c.ticket_ids, c.refund_minor, c.kept_minor,
            c.currency, c.reason, c.created_at, r.status as refund_status,
            b.status as booking_status
         from cancellations c join refunds r using (refund_id) join bookings b using (booking_id)
         where ($1::uuid is null or c.refund_id = $1) and ($2::uuid is null or c.booking_id = $2)
         order by c.created_at, c.refund_id",
        refund_id,
        booking_id
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        Ok(CancellationRow {
            refund_id: row.refund_id,
            booking_id: row.booking_id,
            by: word("cancellations", &row.by_whom)?,
            ticket_ids: row.ticket_ids,
            refund_minor: row.refund_minor,
            kept_minor: row.kept_minor,
            currency: row.currency,
            reason: row.reason,
            created_at: row.created_at.into(),
            refund_status: word("refunds", &row.refund_status)?,
            booking_status: word("bookings", &row.booking_status)?,
        })
    });
    rows.collect()
}

/// The seats of tickets, also of void ones.
pub(crate) async fn seats_of(
    connection: &mut PgConnection,
    ticket_ids: &[Uuid],
) -> Result<Vec<i32>, StoreError> {
    let rows = sqlx::query!(
        "select seat_no from tickets where ticket_id = any($1) order by seat_no",
        ticket_ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| row.seat_no).collect())
}

/// Voids tickets whose seats are free again, unless one of them was used at the door meanwhile and
/// `also_used` is false. Returns whether it did; when not, the caller must roll back.
pub(crate) async fn void(
    connection: &mut PgConnection,
    booking_id: Uuid,
    ticket_ids: &[Uuid],
    also_used: bool,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "with locked as materialized (
            select ticket_id from tickets
            where booking_id = $1 and ticket_id = any($2)
                and (status = 'ISSUED' or ($3 and status = 'CHECKED_IN'))
            order by ticket_id for no key update
        )
        update tickets t set status = 'VOID' from locked l where t.ticket_id = l.ticket_id",
        booking_id,
        ticket_ids,
        also_used
    )
    .execute(connection)
    .await?;
    Ok(usize::try_from(done.rows_affected()) == Ok(ticket_ids.len()))
}

/// Sets the status of a booking.
pub(crate) async fn set_status(
    connection: &mut PgConnection,
    booking_id: Uuid,
    status: BookingStatus,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update bookings set status = $2 where booking_id = $1",
        booking_id,
        text_of(status)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores what each ticket of a booking cost, so that later changes of prices change nothing.
pub(crate) async fn keep_prices(
    connection: &mut PgConnection,
    tickets: &[SoldTicket],
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = tickets.iter().map(|ticket| ticket.ticket_id).collect();
    let prices: Vec<i64> = tickets.iter().map(|ticket| ticket.price_minor).collect();
    sqlx::query!(
        "update tickets t set price_minor = p.price_minor
         from unnest($1::uuid[], $2::bigint[]) as p (ticket_id, price_minor)
         where t.ticket_id = p.ticket_id",
        &ids,
        &prices
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A cancellation to be written.
#[derive(Clone, Debug)]
pub(crate) struct NewCancellation {
    pub(crate) refund_id: Uuid,
    pub(crate) booking_id: Uuid,
    pub(crate) payment_id: Uuid,
    pub(crate) by: CancelledBy,
    pub(crate) ticket_ids: Vec<Uuid>,
    pub(crate) refund_minor: i64,
    pub(crate) kept_minor: i64,
    pub(crate) currency: String,
    pub(crate) reason: Option<String>,
    pub(crate) whole: bool,
}

/// Reserves the refund on the payment, and writes refund, cancellation, ledger and outbox. A refund
/// of zero is done at once, and no worker sees it.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    new: &NewCancellation,
    now: Timestamp,
) -> Result<(), StoreError> {
    let at = OffsetDateTime::from(now);
    let status = if new.refund_minor > 0 {
        RefundState::Requested
    } else {
        RefundState::Succeeded
    };
    sqlx::query!(
        "update payments set refund_reserved_minor = refund_reserved_minor + $2, updated_at = $3
         where payment_id = $1",
        new.payment_id,
        new.refund_minor,
        at
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into refunds (refund_id, payment_id, amount_minor, currency, reason, status,
            next_attempt_at, created_at, updated_at)
         values ($1, $2, $3, $4, 'cancelled', $5, $6, $6, $6)",
        new.refund_id,
        new.payment_id,
        new.refund_minor,
        new.currency,
        text_of(status),
        at
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into cancellations (refund_id, booking_id, by_whom, ticket_ids, refund_minor,
            kept_minor, currency, reason, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        new.refund_id,
        new.booking_id,
        text_of(new.by),
        &new.ticket_ids,
        new.refund_minor,
        new.kept_minor,
        new.currency,
        new.reason,
        at
    )
    .execute(&mut *connection)
    .await?;
    // The seller owes the customer money instead of seats, and earned what is kept.
    let legs = [
        ("bookings", new.refund_minor + new.kept_minor),
        ("refunds", -new.refund_minor),
        (KEPT, -new.kept_minor),
    ];
    let movement = derived_id(&["cancelled", &new.refund_id.to_string()]);
    super::payments::ledger_legs(connection, movement, &legs, &new.currency, now).await?;
    let booking_id = contract::BookingId::new(new.booking_id);
    let payload = serde_json::json!({
        "bookingId": booking_id, "refundId": contract::RefundId::new(new.refund_id),
    });
    super::outbox::add(connection, "tickets.cancelled", new.refund_id, payload, now).await?;
    if new.whole {
        let payload = serde_json::json!({ "bookingId": booking_id });
        super::outbox::add(
            connection,
            "booking.cancelled",
            new.booking_id,
            payload,
            now,
        )
        .await?;
    }
    Ok(())
}

/// Bookings of a show that still have tickets and may be tried now, at most `limit`.
pub(crate) async fn live_of_show(
    pool: &PgPool,
    show_no: i32,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let rows = sqlx::query!(
        "select b.booking_id from bookings b left join show_cancel_failures f using (booking_id)
         where b.show_no = $1 and b.status <> 'CANCELLED'
            and (f.next_attempt_at is null or f.next_attempt_at <= $2)
         order by f.next_attempt_at nulls first, b.booking_id limit $3",
        show_no,
        OffsetDateTime::from(now),
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| row.booking_id).collect())
}

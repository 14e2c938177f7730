//! What notices are about, with the address each goes to.

use contract::Timestamp;
use sqlx::PgPool;
use uuid::Uuid;

use super::bookings::{self, BookingRow};
use super::contacts::language;
use super::word;
use crate::database::StoreError;
use crate::money::RefundStatus;

/// Money that went back.
#[derive(Clone, Debug)]
pub(crate) struct RefundSubject {
    pub(crate) email: String,
    /// The language in which its customer reads.
    pub(crate) language: String,
    pub(crate) show_id: String,
    pub(crate) status: RefundStatus,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    /// Id and code of the booking that it had paid for.
    pub(crate) booking: Option<(Uuid, String)>,
}

/// A hold that ended.
#[derive(Clone, Debug)]
pub(crate) struct HoldSubject {
    /// The address of the last attempt to pay.
    pub(crate) email: Option<String>,
    /// The language in which its customer reads.
    pub(crate) language: String,
    pub(crate) show_id: String,
    pub(crate) seat_count: u32,
    pub(crate) closed_at: Option<Timestamp>,
    /// Whether money arrived for it after all, or still may.
    pub(crate) has_money: bool,
}

/// A booking and its customer's address.
pub(crate) async fn booking(
    pool: &PgPool,
    booking_id: Uuid,
) -> Result<Option<(BookingRow, String)>, StoreError> {
    let mut connection = pool.acquire().await?;
    let row = sqlx::query!(
        "select email from bookings where booking_id = $1",
        booking_id
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let booking = bookings::find(&mut connection, booking_id).await?;
    Ok(booking.map(|booking| (booking, row.email)))
}

/// A refund.
pub(crate) async fn refund(
    pool: &PgPool,
    refund_id: Uuid,
) -> Result<Option<RefundSubject>, StoreError> {
    let row = sqlx::query!(
        r#"select p.email, s.show_id, r.status, r.amount_minor, r.currency,
            b.booking_id as "booking_id?", b.code as "code?",
            l.language as "language?"
           from refunds r join payments p using (payment_id) join holds h using (hold_id)
           join shows s using (show_no)
           left join hold_languages l using (hold_id)
           left join bookings b on b.hold_id = h.hold_id and p.disposition = 'BOOKED'
           where r.refund_id = $1"#,
        refund_id
    )
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        Ok(RefundSubject {
            email: row.email,
            language: language(row.language),
            show_id: row.show_id,
            status: word("refunds", &row.status)?,
            amount_minor: row.amount_minor,
            currency: row.currency,
            booking: row.booking_id.zip(row.code),
        })
    })
    .transpose()
}

/// A hold.
pub(crate) async fn hold(pool: &PgPool, hold_id: Uuid) -> Result<Option<HoldSubject>, StoreError> {
    let row = sqlx::query!(
        r#"select s.show_id, cardinality(h.seat_nos) as "seat_count!", h.closed_at,
            (select p.email from payments p where p.hold_id = h.hold_id
                order by p.attempt_no desc limit 1) as email,
            h.status <> 'EXPIRED' or exists (select 1 from payments p where p.hold_id = h.hold_id
                and (p.captured_minor > 0 or p.provider_open)) as "has_money!",
            (select l.language from hold_languages l where l.hold_id = h.hold_id) as language
           from holds h join shows s using (show_no) where h.hold_id = $1"#,
        hold_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| HoldSubject {
        email: row.email,
        language: language(row.language),
        show_id: row.show_id,
        seat_count: u32::try_from(row.seat_count).unwrap_or(0),
        closed_at: row.closed_at.map(Timestamp::from),
        has_money: row.has_money,
    }))
}

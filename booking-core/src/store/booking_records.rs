//! Bookings as operators see them, with their money and mail.

use contract::booking::BookingStatus;
use contract::refund::RefundState;
use contract::{BookingId, NoticeId, RefundId, ShowId, TicketId, Timestamp};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::bookings::BookingRow;
use super::comps::CompRecord;
use super::{id, word};
use crate::database::StoreError;
use crate::notice::{NoticeKind, NoticeStatus};

/// Which bookings are looked for. All that are given have to fit.
#[derive(Clone, Debug, Default)]
pub(crate) struct BookingFilter {
    pub(crate) code: Option<String>,
    /// In lower case.
    pub(crate) email: Option<String>,
    pub(crate) show: Option<ShowId>,
}

/// A booking in a list of operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BookingSummary {
    /// Its id.
    pub(crate) booking_id: BookingId,
    /// Its code.
    pub(crate) code: String,
    /// The show.
    pub(crate) show_id: ShowId,
    /// The address that it was booked with.
    pub(crate) email: String,
    /// Its state.
    pub(crate) status: BookingStatus,
    /// Tickets that are not void.
    pub(crate) ticket_count: i64,
    /// What was paid, minor units.
    pub(crate) amount_minor: i64,
    /// What of it was given back, minor units.
    pub(crate) refunded_minor: i64,
    /// ISO 4217.
    pub(crate) currency: String,
    /// When.
    pub(crate) created_at: Timestamp,
}

/// The newest bookings that fit `filter`, at most `limit`.
pub(crate) async fn find(
    pool: &PgPool,
    filter: &BookingFilter,
    limit: i64,
) -> Result<Vec<BookingSummary>, StoreError> {
    let rows = sqlx::query!(
        r#"select b.booking_id, b.code, s.show_id, b.email, b.status, b.amount_minor, b.currency,
            b.created_at,
            (select count(*) from tickets t
                where t.booking_id = b.booking_id and t.status <> 'VOID') as "ticket_count!",
            coalesce((select p.refunded_minor from payments p
                where p.hold_id = b.hold_id and p.disposition = 'BOOKED'), 0)
                as "refunded_minor!"
         from bookings b join shows s using (show_no)
         where ($1::text is null or b.code = $1) and ($2::text is null or lower(b.email) = $2)
            and ($3::text is null or s.show_id = $3)
         order by b.created_at desc, b.booking_id limit $4"#,
        filter.code,
        filter.email,
        filter.show.as_ref().map(ShowId::as_str),
        limit
    )
    .fetch_all(pool)
    .await?;
    let rows = rows.into_iter().map(|row| {
        Ok(BookingSummary {
            booking_id: BookingId::new(row.booking_id),
            code: row.code,
            show_id: id("shows", &row.show_id)?,
            email: row.email,
            status: word("bookings", &row.status)?,
            ticket_count: row.ticket_count,
            amount_minor: row.amount_minor,
            refunded_minor: row.refunded_minor,
            currency: row.currency,
            created_at: row.created_at.into(),
        })
    });
    rows.collect()
}

/// The money, cancellations and mail of a booking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BookingRecord {
    /// The address that it was booked with.
    pub(crate) email: String,
    /// Links to it carry this number; older ones are revoked.
    pub(crate) link_generation: i32,
    /// What the payment provider calls the payment that paid for it.
    pub(crate) intent_id: Option<String>,
    /// The provider.
    pub(crate) provider: Option<String>,
    /// What the provider took, minor units.
    pub(crate) captured_minor: i64,
    /// What is promised to the customer or gone, minor units.
    pub(crate) reserved_minor: i64,
    /// For a booking that was given away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) comp: Option<CompRecord>,
    /// Refunds and disputes of its payment, in the order in which they were made.
    pub(crate) refunds: Vec<RefundRecord>,
    /// Its cancellations.
    pub(crate) cancellations: Vec<CancellationRecord>,
    /// Its tickets that were passed on or printed anew.
    pub(crate) transfers: Vec<TransferRecord>,
    /// Mail about it, without refunds.
    pub(crate) mail: Vec<MailRecord>,
}

/// A refund or dispute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefundRecord {
    /// Its id.
    pub(crate) refund_id: RefundId,
    /// Minor units.
    pub(crate) amount_minor: i64,
    /// Its state.
    pub(crate) status: RefundState,
    /// `OURS`, `PROVIDER` for one that was made at the provider, or `DISPUTE`.
    pub(crate) origin: String,
    /// What the provider calls it.
    pub(crate) provider_refund_id: Option<String>,
    /// When.
    pub(crate) created_at: Timestamp,
}

/// A cancellation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CancellationRecord {
    /// Its refund.
    pub(crate) refund_id: RefundId,
    /// `FAN`, `OPERATOR` or `SHOW`.
    pub(crate) by: String,
    /// The tickets.
    pub(crate) ticket_ids: Vec<TicketId>,
    /// What was to go back, minor units.
    pub(crate) amount_minor: i64,
    /// What the seller keeps, minor units.
    pub(crate) kept_minor: i64,
    /// Why.
    pub(crate) reason: Option<String>,
    /// When.
    pub(crate) created_at: Timestamp,
}

/// Tickets that were passed on or printed anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TransferRecord {
    /// Its id.
    pub(crate) transfer_id: String,
    /// `TRANSFER` to another person, or `REISSUE`.
    pub(crate) kind: String,
    /// `FAN` or `OPERATOR`.
    pub(crate) by: String,
    /// The tickets.
    pub(crate) ticket_ids: Vec<TicketId>,
    /// Where the new tickets went.
    pub(crate) sent_to: String,
    /// Why.
    pub(crate) reason: Option<String>,
    /// When.
    pub(crate) created_at: Timestamp,
}

/// A mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MailRecord {
    /// Its id.
    pub(crate) notice_id: NoticeId,
    /// What it tells.
    pub(crate) kind: NoticeKind,
    /// Its state.
    pub(crate) status: NoticeStatus,
    /// When it was made.
    pub(crate) created_at: Timestamp,
    /// When the mail server took it.
    pub(crate) sent_at: Option<Timestamp>,
}

/// The money, cancellations and mail of `booking`.
pub(crate) async fn record(
    connection: &mut PgConnection,
    booking: &BookingRow,
) -> Result<BookingRecord, StoreError> {
    let payment = sqlx::query!(
        "select p.payment_id, p.intent_id, p.provider, p.captured_minor, p.refund_reserved_minor
         from bookings b join payments p on p.hold_id = b.hold_id and p.disposition = 'BOOKED'
         where b.booking_id = $1",
        booking.booking_id
    )
    .fetch_optional(&mut *connection)
    .await?;
    let refunds = refunds(
        connection,
        payment.as_ref().map(|payment| payment.payment_id),
    )
    .await?;
    let cancellations = super::cancellations::of_booking(connection, booking.booking_id).await?;
    let cancellations = cancellations
        .into_iter()
        .map(|row| CancellationRecord {
            refund_id: RefundId::new(row.refund_id),
            by: super::text_of(row.by),
            ticket_ids: row.ticket_ids.into_iter().map(TicketId::new).collect(),
            amount_minor: row.refund_minor,
            kept_minor: row.kept_minor,
            reason: row.reason,
            created_at: row.created_at,
        })
        .collect();
    let transfers = super::transfers::of_booking(connection, booking.booking_id).await?;
    let transfers = transfers
        .into_iter()
        .map(|row| TransferRecord {
            transfer_id: row.transfer_id.simple().to_string(),
            kind: super::text_of(row.kind),
            by: super::text_of(row.by),
            ticket_ids: row.ticket_ids.into_iter().map(TicketId::new).collect(),
            sent_to: row.sent_to,
            reason: row.reason,
            created_at: row.created_at,
        })
        .collect();
    Ok(BookingRecord {
        email: booking.email.clone(),
        link_generation: booking.link_generation,
        intent_id: payment.as_ref().and_then(|it| it.intent_id.clone()),
        provider: payment.as_ref().map(|it| it.provider.clone()),
        captured_minor: payment.as_ref().map_or(0, |it| it.captured_minor),
        reserved_minor: payment.as_ref().map_or(0, |it| it.refund_reserved_minor),
        comp: super::comps::of_booking(connection, booking.booking_id).await?,
        refunds,
        cancellations,
        transfers,
        mail: mail(connection, booking.booking_id).await?,
    })
}

async fn refunds(
    connection: &mut PgConnection,
    payment_id: Option<Uuid>,
) -> Result<Vec<RefundRecord>, StoreError> {
    let rows = sqlx::query!(
        "select refund_id, amount_minor, status, origin, provider_refund_id, created_at
         from refunds where payment_id = $1 order by created_at, refund_id",
        payment_id
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        Ok(RefundRecord {
            refund_id: RefundId::new(row.refund_id),
            amount_minor: row.amount_minor,
            status: word("refunds", &row.status)?,
            origin: row.origin,
            provider_refund_id: row.provider_refund_id,
            created_at: row.created_at.into(),
        })
    });
    rows.collect()
}

async fn mail(
    connection: &mut PgConnection,
    booking_id: Uuid,
) -> Result<Vec<MailRecord>, StoreError> {
    let rows = sqlx::query!(
        "select notice_id, kind, status, created_at, sent_at from notices
         where (kind = 'BOOKING_CONFIRMED' and about = $1)
            or (kind = 'TICKETS_CANCELLED' and about in (
                select refund_id from cancellations where booking_id = $1))
            or (kind in ('ONE_TIME_CODE', 'BOOKING_LINK') and about in (
                select mail_id from guest_mails where booking_id = $1))
            or (kind in ('TICKETS_RECEIVED', 'TICKETS_PASSED_ON', 'TICKETS_REISSUED') and about in (
                select transfer_id from transfers where booking_id = $1))
            or (kind = 'TICKET_WITHDRAWN' and about in (
                select ticket_id from tickets where booking_id = $1))
         order by created_at, notice_id",
        booking_id
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        Ok(MailRecord {
            notice_id: NoticeId::new(row.notice_id),
            kind: word("notices", &row.kind)?,
            status: word("notices", &row.status)?,
            created_at: row.created_at.into(),
            sent_at: row.sent_at.map(Timestamp::from),
        })
    });
    rows.collect()
}

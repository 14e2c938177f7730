//! Passing tickets on, and printing them anew. The caller's transaction has locked the hold.

use contract::Timestamp;
use contract::transfer::TransferPolicy;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::cancellations::TicketStatus;
use super::{text_of, word};
use crate::database::StoreError;

/// A ticket in any state, and who has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldTicket {
    pub(crate) ticket_id: Uuid,
    pub(crate) status: TicketStatus,
    /// The transfer by which its holder got it; `None` for the buyer.
    pub(crate) holder: Option<Uuid>,
}

/// A booking, as far as passing its tickets on needs it.
#[derive(Clone, Debug)]
pub(crate) struct HeldBooking {
    pub(crate) starts_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) show_cancelled: bool,
    /// Whether a person has not approved the purchase.
    pub(crate) withheld: bool,
    pub(crate) policy: TransferPolicy,
    pub(crate) tickets: Vec<HeldTicket>,
}

/// What a transfer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum TransferKind {
    /// Another person got the tickets.
    Transfer,
    /// Their holder got them with new codes.
    Reissue,
}

/// Who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum TransferredBy {
    /// Whoever had the tickets.
    Fan,
    /// An operator.
    Operator,
}

/// A transfer or new print.
#[derive(Clone, Debug)]
pub(crate) struct TransferRow {
    pub(crate) transfer_id: Uuid,
    pub(crate) booking_id: Uuid,
    pub(crate) kind: TransferKind,
    pub(crate) by: TransferredBy,
    pub(crate) ticket_ids: Vec<Uuid>,
    /// The transfer by which whoever had them before got them; `None` for the buyer.
    pub(crate) from_transfer_id: Option<Uuid>,
    /// Where the tickets went: the new holder's address, or that of whoever has them.
    pub(crate) sent_to: String,
    pub(crate) reason: Option<String>,
    pub(crate) created_at: Timestamp,
}

/// A transfer to be written.
#[derive(Clone, Debug)]
pub(crate) struct NewTransfer<'a> {
    pub(crate) transfer_id: Uuid,
    pub(crate) booking_id: Uuid,
    pub(crate) by: TransferredBy,
    pub(crate) ticket_ids: &'a [Uuid],
    pub(crate) from_transfer_id: Option<Uuid>,
    /// The address of the new holder; `None` for a new print.
    pub(crate) email: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
    pub(crate) reason: Option<&'a str>,
}

/// The hold of a booking, which is locked before anything else of it.
pub(crate) async fn hold_of(
    connection: &mut PgConnection,
    booking_id: Uuid,
) -> Result<Option<Uuid>, StoreError> {
    let row = sqlx::query!(
        "select hold_id from bookings where booking_id = $1",
        booking_id
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.hold_id))
}

/// Reads a booking with all of its tickets and who has them.
pub(crate) async fn held(
    connection: &mut PgConnection,
    booking_id: Uuid,
) -> Result<Option<HeldBooking>, StoreError> {
    let row = sqlx::query!(
        r#"select s.starts_at, coalesce(s.ends_at, greatest(s.starts_at, s.sale_closes_at)) as "ends_at!",
            s.cancelled_at is not null as "show_cancelled!", s.transfer_policy,
            exists (select from reviews r where r.hold_id = b.hold_id
                and r.state <> 'APPROVED') as "withheld!"
         from bookings b join shows s using (show_no) where b.booking_id = $1"#,
        booking_id
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let tickets = sqlx::query!(
        "select ticket_id, status, transfer_id from tickets
         where booking_id = $1 order by seat_no, ticket_id",
        booking_id
    )
    .fetch_all(connection)
    .await?;
    let tickets = tickets.into_iter().map(|ticket| {
        Ok(HeldTicket {
            ticket_id: ticket.ticket_id,
            status: word("tickets", &ticket.status)?,
            holder: ticket.transfer_id,
        })
    });
    let policy: Option<TransferPolicy> = row
        .transfer_policy
        .map(serde_json::from_value)
        .transpose()
        .map_err(|error| StoreError::corrupt("shows", error))?;
    Ok(Some(HeldBooking {
        starts_at: row.starts_at.into(),
        ends_at: row.ends_at.into(),
        show_cancelled: row.show_cancelled,
        withheld: row.withheld,
        policy: policy.unwrap_or_default(),
        tickets: tickets.collect::<Result<_, StoreError>>()?,
    }))
}

/// Writes a transfer: the tickets get new codes and, unless it is a new print, another holder. False
/// when somebody came in with one of them since it was read; then the caller must roll back.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    new: &NewTransfer<'_>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let kind = match new.email {
        Some(_) => TransferKind::Transfer,
        None => TransferKind::Reissue,
    };
    sqlx::query!(
        "select 1 as one from bookings where booking_id = $1 for no key update",
        new.booking_id
    )
    .fetch_optional(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into transfers (transfer_id, booking_id, kind, by_whom, ticket_ids,
            from_transfer_id, email, reason, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        new.transfer_id,
        new.booking_id,
        text_of(kind),
        text_of(new.by),
        new.ticket_ids,
        new.from_transfer_id,
        new.email,
        new.reason,
        OffsetDateTime::from(now)
    )
    .execute(&mut *connection)
    .await?;
    let changed = sqlx::query!(
        "with locked as materialized (
            select ticket_id from tickets where booking_id = $1 and ticket_id = any($2)
                and status = 'ISSUED' and transfer_id is not distinct from $3
            order by ticket_id for no key update
        )
        update tickets t set token_generation = token_generation + 1,
            transfer_id = case when $4 then $5::uuid else transfer_id end,
            holder_name = case when $4 then $6 else coalesce($6, holder_name) end
        from locked l where t.ticket_id = l.ticket_id",
        new.booking_id,
        new.ticket_ids,
        new.from_transfer_id,
        kind == TransferKind::Transfer,
        new.transfer_id,
        new.name
    )
    .execute(&mut *connection)
    .await?;
    if usize::try_from(changed.rows_affected()) != Ok(new.ticket_ids.len()) {
        return Ok(false);
    }
    let topic = match kind {
        TransferKind::Transfer => "tickets.transferred",
        TransferKind::Reissue => "tickets.reissued",
    };
    if kind == TransferKind::Reissue {
        // Whoever has an earlier link sees no new code.
        links_revoke_of(connection, new.booking_id, new.from_transfer_id).await?;
    }
    let payload = serde_json::json!({
        "bookingId": contract::BookingId::new(new.booking_id),
        "ticketIds": new.ticket_ids.iter().copied().map(contract::TicketId::new).collect::<Vec<_>>(),
    });
    super::outbox::add(connection, topic, new.transfer_id, payload, now).await?;
    Ok(true)
}

/// Revokes the links of one holder of a booking.
async fn links_revoke_of(
    connection: &mut PgConnection,
    booking_id: Uuid,
    holder: Option<Uuid>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update bookings set link_generation = link_generation + 1
         where booking_id = $1 and $2::uuid is null",
        booking_id,
        holder
    )
    .execute(&mut *connection)
    .await?;
    if holder.is_none() {
        super::contacts::unsubscribe(connection, booking_id).await?;
    }
    sqlx::query!(
        "update transfers set link_generation = link_generation + 1 where transfer_id = $1",
        holder
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The transfer with this id.
pub(crate) async fn find(
    connection: &mut PgConnection,
    transfer_id: Uuid,
) -> Result<Option<TransferRow>, StoreError> {
    Ok(rows(connection, Some(transfer_id), None)
        .await?
        .into_iter()
        .next())
}

/// All transfers of a booking, in the order in which they were made.
pub(crate) async fn of_booking(
    connection: &mut PgConnection,
    booking_id: Uuid,
) -> Result<Vec<TransferRow>, StoreError> {
    rows(connection, None, Some(booking_id)).await
}

async fn rows(
    connection: &mut PgConnection,
    transfer_id: Option<Uuid>,
    booking_id: Option<Uuid>,
) -> Result<Vec<TransferRow>, StoreError> {
    let rows = sqlx::query!(
        r#"select t.transfer_id, t.booking_id, t.kind, t.by_whom, t.ticket_ids, t.from_transfer_id,
            coalesce(t.email, f.email, b.email) as "sent_to!", t.reason, t.created_at
         from transfers t join bookings b using (booking_id)
         left join transfers f on f.transfer_id = t.from_transfer_id
         where ($1::uuid is null or t.transfer_id = $1) and ($2::uuid is null or t.booking_id = $2)
         order by t.created_at, t.transfer_id"#,
        transfer_id,
        booking_id
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        Ok(TransferRow {
            transfer_id: row.transfer_id,
            booking_id: row.booking_id,
            kind: word("transfers", &row.kind)?,
            by: word("transfers", &row.by_whom)?,
            ticket_ids: row.ticket_ids,
            from_transfer_id: row.from_transfer_id,
            sent_to: row.sent_to,
            reason: row.reason,
            created_at: row.created_at.into(),
        })
    });
    rows.collect()
}

/// The address of a holder.
pub(crate) async fn address(
    connection: &mut PgConnection,
    transfer_id: Uuid,
) -> Result<Option<String>, StoreError> {
    let row = sqlx::query!(
        "select email from transfers where transfer_id = $1",
        transfer_id
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.and_then(|row| row.email))
}

/// Tells holders other than the buyer that these tickets are void. Runs in the transaction that
/// voids them.
pub(crate) async fn tell_holders(
    connection: &mut PgConnection,
    booking_id: Uuid,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into outbox (topic, dedupe, payload, created_at)
         select 'ticket.withdrawn', 'ticket.withdrawn:' || ticket_id, '{}', $2 from tickets
         where booking_id = $1 and status = 'VOID' and transfer_id is not null
         order by ticket_id on conflict (dedupe) do nothing",
        booking_id,
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A void ticket that had been passed on.
#[derive(Clone, Debug)]
pub(crate) struct WithdrawnTicket {
    pub(crate) booking_id: Uuid,
    pub(crate) seat_no: i32,
    pub(crate) email: String,
}

/// The void ticket with this id, if it had been passed on.
pub(crate) async fn withdrawn(
    pool: &PgPool,
    ticket_id: Uuid,
) -> Result<Option<WithdrawnTicket>, StoreError> {
    let row = sqlx::query!(
        r#"select t.booking_id, t.seat_no, h.email as "email!" from tickets t
         join transfers h using (transfer_id) where t.ticket_id = $1 and t.status = 'VOID'"#,
        ticket_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| WithdrawnTicket {
        booking_id: row.booking_id,
        seat_no: row.seat_no,
        email: row.email,
    }))
}

//! Refunds and disputes that the shop did not make.

use contract::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::holds::HoldRow;
use super::seats::{self, SeatReport};
use super::{text_of, word};
use crate::database::StoreError;
use crate::money::{Disposition, RefundStatus, derived_id, movement_id};

/// Where a refund was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Origin {
    /// By the shop.
    Ours,
    /// By a person at the provider.
    Provider,
    /// By the customer's bank.
    Dispute,
}

/// A row of `refunds`, as far as the comparison needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReturnRow {
    pub(crate) refund_id: Uuid,
    pub(crate) origin: Origin,
    pub(crate) provider_refund_id: Option<String>,
    pub(crate) status: RefundStatus,
    pub(crate) amount_minor: i64,
    /// Attempts at the provider that were begun.
    pub(crate) attempt_count: i32,
    /// Refusals; for a row that the shop did not make, how often its money returned.
    pub(crate) refusal_count: i32,
}

impl ReturnRow {
    /// Whether it is certain that the provider has no refund for it and none is being asked for, so
    /// that another refund may pay it.
    pub(crate) fn may_be_paid_otherwise(&self) -> bool {
        match self.status {
            RefundStatus::NeedsOps => true,
            // The answer to an attempt that is not known to be refused may be on its way.
            RefundStatus::Requested | RefundStatus::Failed => {
                self.attempt_count <= self.refusal_count
            }
            RefundStatus::Submitted | RefundStatus::Succeeded => false,
        }
    }
}

/// The money of a locked payment, and its refunds and disputes.
#[derive(Clone, Debug)]
pub(crate) struct Returns {
    pub(crate) captured_minor: i64,
    pub(crate) reserved_minor: i64,
    pub(crate) refunded_minor: i64,
    pub(crate) currency: String,
    pub(crate) disposition: Option<Disposition>,
    pub(crate) rows: Vec<ReturnRow>,
}

/// One movement of money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// A new row, whose money is gone.
    Take { row: ReturnRow },
    /// A refund of the shop's was paid by one that somebody made at the provider.
    Settle {
        refund_id: Uuid,
        provider_id: String,
        amount_minor: i64,
        turn: i32,
    },
    /// A refund of the shop's is reduced by this amount, and then so much is left of it. Of nothing
    /// left, nothing is to be given back any more.
    Lower {
        refund_id: Uuid,
        by: i64,
        left: i64,
        /// The dispute that took it over, if one did.
        dispute: Option<Uuid>,
    },
    /// A refund that a dispute had reduced is what was promised again.
    Raise {
        refund_id: Uuid,
        by: i64,
        dispute: Uuid,
    },
    /// The money of a row returns (`gives` is false) or is gone again.
    Turn {
        refund_id: Uuid,
        amount_minor: i64,
        turn: i32,
        gives: bool,
    },
}

impl Returns {
    /// The part that is neither gone nor promised to the customer.
    pub(crate) fn left(&self) -> i64 {
        self.captured_minor - self.reserved_minor
    }

    /// Applies `moves` in memory.
    pub(crate) fn apply(&mut self, moves: &[Move]) {
        for step in moves {
            match step {
                Move::Take { row } => {
                    self.reserved_minor += row.amount_minor;
                    self.refunded_minor += row.amount_minor;
                    self.rows.push(row.clone());
                }
                Move::Settle { amount_minor, .. } => self.refunded_minor += amount_minor,
                Move::Lower { by, .. } => self.reserved_minor -= by,
                Move::Raise { by, .. } => self.reserved_minor += by,
                Move::Turn {
                    refund_id,
                    amount_minor,
                    gives,
                    ..
                } => {
                    let sign = if *gives { 1 } else { -1 };
                    self.reserved_minor += sign * amount_minor;
                    self.refunded_minor += sign * amount_minor;
                    let same = |row: &&mut ReturnRow| row.refund_id == *refund_id;
                    if let Some(row) = self.rows.iter_mut().find(same) {
                        row.status = turned(*gives);
                    }
                }
            }
        }
    }
}

/// The status of a row that the shop did not make, after its money is gone or returned.
fn turned(gives: bool) -> RefundStatus {
    if gives {
        RefundStatus::Succeeded
    } else {
        RefundStatus::NeedsOps
    }
}

/// A refund or dispute in the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entered {
    pub(crate) provider_refund_id: String,
    /// Whether the shop made it.
    pub(crate) is_ours: bool,
    pub(crate) status: RefundStatus,
}

/// What the books have of the provider's refunds and disputes `ids`.
pub(crate) async fn entered(
    pool: &sqlx::PgPool,
    ids: &[String],
) -> Result<Vec<Entered>, StoreError> {
    let rows = sqlx::query!(
        r#"select provider_refund_id as "provider_refund_id!", origin, status from refunds
           where provider_refund_id = any($1)"#,
        ids
    )
    .fetch_all(pool)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let origin: Origin = word("refunds", &row.origin)?;
        Ok(Entered {
            provider_refund_id: row.provider_refund_id,
            is_ours: origin == Origin::Ours,
            status: word("refunds", &row.status)?,
        })
    });
    rows.collect()
}

/// Locks a payment, whose hold is locked, and its refunds and disputes, so that no attempt begins
/// meanwhile.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    payment_id: Uuid,
) -> Result<Option<Returns>, StoreError> {
    let payment = sqlx::query!(
        r#"select captured_minor, refund_reserved_minor, refunded_minor, disposition,
            coalesce(captured_currency, currency) as "currency!"
         from payments where payment_id = $1 for no key update"#,
        payment_id
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(payment) = payment else {
        return Ok(None);
    };
    let rows = sqlx::query!(
        "select refund_id, origin, provider_refund_id, status, amount_minor, attempt_count,
            refusal_count
         from refunds where payment_id = $1 order by created_at, refund_id for no key update",
        payment_id
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        Ok(ReturnRow {
            refund_id: row.refund_id,
            origin: word("refunds", &row.origin)?,
            provider_refund_id: row.provider_refund_id,
            status: word("refunds", &row.status)?,
            amount_minor: row.amount_minor,
            attempt_count: row.attempt_count,
            refusal_count: row.refusal_count,
        })
    });
    Ok(Some(Returns {
        captured_minor: payment.captured_minor,
        reserved_minor: payment.refund_reserved_minor,
        refunded_minor: payment.refunded_minor,
        currency: payment.currency,
        disposition: payment
            .disposition
            .map(|disposition| word("payments", &disposition))
            .transpose()?,
        rows: rows.collect::<Result<_, StoreError>>()?,
    }))
}

/// Voids the live tickets of a booking, cancels it and frees its seats. The hold must be locked.
/// Returns the seats; none if there was nothing to cancel.
pub(crate) async fn cancel_booking(
    connection: &mut PgConnection,
    hold: &HoldRow,
    booking_id: Uuid,
    now: Timestamp,
) -> Result<Vec<SeatReport>, StoreError> {
    let reports = seats::unbook(connection, &hold.returned(), booking_id).await?;
    if reports.is_empty() {
        return Ok(reports);
    }
    sqlx::query!(
        "update bookings set status = 'CANCELLED' where booking_id = $1",
        booking_id
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "update tickets set status = 'VOID' where booking_id = $1 and status <> 'VOID'",
        booking_id
    )
    .execute(&mut *connection)
    .await?;
    super::transfers::tell_holders(connection, booking_id, now).await?;
    let payload = serde_json::json!({ "bookingId": contract::BookingId::new(booking_id) });
    super::outbox::add(connection, "booking.cancelled", booking_id, payload, now).await?;
    Ok(reports)
}

/// Writes `moves` of a locked payment. `books` has its counters after the moves.
pub(crate) async fn write(
    connection: &mut PgConnection,
    payment_id: Uuid,
    books: &Returns,
    moves: &[Move],
    now: Timestamp,
) -> Result<(), StoreError> {
    if moves.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update payments set refund_reserved_minor = $2, refunded_minor = $3, updated_at = $4
         where payment_id = $1",
        payment_id,
        books.reserved_minor,
        books.refunded_minor,
        OffsetDateTime::from(now)
    )
    .execute(&mut *connection)
    .await?;
    // Money of a booking moves on the account of bookings; money that was to be given back anyway,
    // and every refund of the shop's, moves on the account of refunds.
    let account = match books.disposition {
        Some(Disposition::Booked) => "bookings",
        Some(Disposition::AutoRefund) | None => "refunds",
    };
    for step in moves {
        let entry = match step {
            Move::Take { row } => {
                insert(connection, payment_id, row, &books.currency, now).await?;
                // What a bank took back is between the customer and the bank.
                if row.origin == Origin::Provider {
                    super::refunds::announce(connection, row.refund_id, now).await?;
                }
                Some((
                    movement_id(row.refund_id, 0, true),
                    -row.amount_minor,
                    account,
                ))
            }
            Move::Raise {
                refund_id,
                by,
                dispute,
            } => {
                raise(connection, *refund_id, *by, *dispute, now).await?;
                let currency = &books.currency;
                owe_again(
                    connection, *refund_id, *by, *dispute, account, currency, now,
                )
                .await?;
                None
            }
            Move::Lower {
                refund_id,
                by,
                left,
                ..
            } => {
                lower(connection, *refund_id, *by, now).await?;
                // What is no longer owed to the customer is the booking's again.
                let legs = [("refunds", *by), (account, -by)];
                let name = derived_id(&["lowered", &refund_id.to_string(), &left.to_string()]);
                if account != "refunds" {
                    let currency = &books.currency;
                    super::payments::ledger_legs(connection, name, &legs, currency, now).await?;
                }
                None
            }
            Move::Settle {
                refund_id,
                provider_id,
                amount_minor,
                turn,
            } => {
                // A new turn outdates the answer to a request of ours that is still under way.
                let next = turn + 1;
                set(connection, *refund_id, true, Some(provider_id), next, now).await?;
                super::refunds::announce(connection, *refund_id, now).await?;
                Some((
                    movement_id(*refund_id, next, true),
                    -amount_minor,
                    "refunds",
                ))
            }
            Move::Turn {
                refund_id,
                amount_minor,
                turn,
                gives,
            } => {
                let next = if *gives { *turn } else { turn + 1 };
                set(connection, *refund_id, *gives, None, next, now).await?;
                let amount = if *gives { -amount_minor } else { *amount_minor };
                Some((movement_id(*refund_id, *turn, *gives), amount, account))
            }
        };
        if let Some((movement, amount, account)) = entry {
            let currency = &books.currency;
            super::payments::ledger(connection, movement, amount, currency, account, now).await?;
        }
    }
    note_takeovers(connection, moves, now).await?;
    Ok(())
}

async fn insert(
    connection: &mut PgConnection,
    payment_id: Uuid,
    row: &ReturnRow,
    currency: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into refunds (refund_id, payment_id, amount_minor, currency, reason, origin,
            provider_refund_id, status, next_attempt_at, created_at, updated_at)
         values ($1, $2, $3, $4, 'at-provider', $5, $6, $7, $8, $8, $8)",
        row.refund_id,
        payment_id,
        row.amount_minor,
        currency,
        text_of(row.origin),
        row.provider_refund_id,
        row.status.as_str(),
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn lower(
    connection: &mut PgConnection,
    refund_id: Uuid,
    by: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update refunds set amount_minor = amount_minor - $2, updated_at = $3,
            status = case when amount_minor = $2 then 'SUCCEEDED' else status end
         where refund_id = $1",
        refund_id,
        by,
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What is owed to the customer again comes out of what the booking brought.
async fn owe_again(
    connection: &mut PgConnection,
    refund_id: Uuid,
    by: i64,
    dispute: Uuid,
    account: &str,
    currency: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    if account == "refunds" {
        return Ok(());
    }
    let legs = [("refunds", -by), (account, by)];
    let name = derived_id(&["raised", &refund_id.to_string(), &dispute.to_string()]);
    super::payments::ledger_legs(connection, name, &legs, currency, now).await
}

async fn raise(
    connection: &mut PgConnection,
    refund_id: Uuid,
    by: i64,
    dispute: Uuid,
    now: Timestamp,
) -> Result<(), StoreError> {
    let at = OffsetDateTime::from(now);
    sqlx::query!(
        "update refunds set amount_minor = amount_minor + $2, updated_at = $3, next_attempt_at = $3,
            status = 'REQUESTED' where refund_id = $1",
        refund_id,
        by,
        at
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "update refund_takeovers set restored_at = $3
         where refund_id = $1 and by_refund_id = $2 and restored_at is null",
        refund_id,
        dispute,
        at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes what a dispute took over of refunds, which is known only once its own row is there.
async fn note_takeovers(
    connection: &mut PgConnection,
    moves: &[Move],
    now: Timestamp,
) -> Result<(), StoreError> {
    for step in moves {
        let Move::Lower {
            refund_id,
            by,
            dispute: Some(dispute),
            ..
        } = step
        else {
            continue;
        };
        sqlx::query!(
            "insert into refund_takeovers (refund_id, by_refund_id, amount_minor, created_at)
             values ($1, $2, $3, $4) on conflict (refund_id, by_refund_id) do nothing",
            refund_id,
            dispute,
            by,
            OffsetDateTime::from(now)
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// What a dispute took over of refunds and was not promised again.
pub(crate) async fn takeovers(
    connection: &mut PgConnection,
    dispute: Uuid,
) -> Result<Vec<(Uuid, i64)>, StoreError> {
    let rows = sqlx::query!(
        "select refund_id, amount_minor from refund_takeovers
         where by_refund_id = $1 and restored_at is null order by refund_id",
        dispute
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.refund_id, row.amount_minor))
        .collect())
}

async fn set(
    connection: &mut PgConnection,
    refund_id: Uuid,
    gives: bool,
    provider_id: Option<&str>,
    turn: i32,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update refunds set status = $2, provider_refund_id = coalesce($3, provider_refund_id),
            refusal_count = $4, updated_at = $5
         where refund_id = $1",
        refund_id,
        turned(gives).as_str(),
        provider_id,
        turn,
        OffsetDateTime::from(now)
    )
    .execute(connection)
    .await?;
    Ok(())
}

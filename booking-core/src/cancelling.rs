//! Cancelling tickets: one transaction frees the seats, voids the tickets and promises the refund.
//! The payment provider is asked afterwards, by the worker for refunds.

use contract::booking::BookingStatus;
use contract::refund::{RefundOffer, RefundRule};
use contract::{BookingId, Timestamp};
use uuid::Uuid;

use crate::cancel_decision::{self, CancelRefusal, Scope, Terms};
use crate::core::Core;
use crate::customer::Customer;
use crate::database::{StoreError, repeat_if_contended};
use crate::money::RefundStatus;
use crate::store;
use crate::store::cancellations::{CancellationRow, CancelledBy, NewCancellation, SoldBooking};
use crate::store::seats::SeatReport;
use crate::telemetry;

/// What is to be cancelled.
#[derive(Clone, Debug)]
pub(crate) struct CancelOrder {
    /// The refund's id. An order with the id of one that was carried out changes nothing.
    pub(crate) refund_id: Uuid,
    pub(crate) booking_id: Uuid,
    /// All tickets when `None`.
    pub(crate) ticket_ids: Option<Vec<Uuid>>,
    pub(crate) scope: Scope,
    pub(crate) terms: Terms,
    pub(crate) by: CancelledBy,
    pub(crate) reason: Option<String>,
    /// The one-time code that allows it, which can be used once.
    pub(crate) code_id: Option<Uuid>,
}

/// The outcome of an order.
#[derive(Clone, Debug)]
pub(crate) enum CancelOutcome {
    /// The tickets are void.
    Cancelled(Box<CancellationRow>),
    /// A rule forbids it.
    Refused(RefundRule),
    /// A ticket is none of the booking.
    UnknownTicket,
    /// There is no such booking, or it is not the caller's.
    NotFound,
    /// A one-time code is needed.
    CodeRequired,
    /// The code is wrong, used, too old or tried too often.
    CodeNotValid,
}

/// What a customer wants to cancel.
#[derive(Clone, Debug)]
pub(crate) struct FansCancel {
    pub(crate) refund_id: Uuid,
    pub(crate) booking_id: BookingId,
    pub(crate) ticket_ids: Option<Vec<Uuid>>,
    pub(crate) reason: Option<String>,
    pub(crate) code: Option<String>,
}

impl Core {
    /// What the customer would get back now.
    pub(crate) async fn refund_offer(
        &self,
        customer: &Customer,
        booking_id: BookingId,
    ) -> Result<Option<RefundOffer>, StoreError> {
        let Some(row) = self.booking_row(customer, booking_id).await? else {
            return Ok(None);
        };
        let mut connection = self.pools.money.acquire().await?;
        let sold = store::cancellations::sold(&mut connection, row.booking_id).await?;
        let mut offer =
            sold.map(|sold| cancel_decision::offer(&sold, row.reader, self.clock.now()));
        if let Some(offer) = &mut offer {
            offer.code_required |= !customer.owns(row.subject.as_deref(), row.session.as_deref());
        }
        Ok(offer)
    }

    /// Cancels tickets for their customer, by the policy of the show. Whoever has only the link to
    /// the booking needs a code.
    pub(crate) async fn cancel_by_fan(
        &self,
        customer: &Customer,
        wanted: FansCancel,
    ) -> Result<CancelOutcome, StoreError> {
        let Some(row) = self.booking_row(customer, wanted.booking_id).await? else {
            return Ok(CancelOutcome::NotFound);
        };
        let by_link = !customer.owns(row.subject.as_deref(), row.session.as_deref());
        let mut order = CancelOrder {
            refund_id: wanted.refund_id,
            booking_id: row.booking_id,
            ticket_ids: wanted.ticket_ids,
            scope: Scope::OfHolder(row.reader),
            terms: Terms::Policy,
            by: CancelledBy::Fan,
            reason: wanted.reason,
            code_id: None,
        };
        let mut connection = self.pools.money.acquire().await?;
        // A repeat of what was carried out needs no code any more.
        let done = store::cancellations::find(&mut connection, order.refund_id).await?;
        if let Some(done) = done.filter(|done| done.booking_id == row.booking_id) {
            return Ok(CancelOutcome::Cancelled(Box::new(done)));
        }
        let Some(sold) = store::cancellations::sold(&mut connection, row.booking_id).await? else {
            return Ok(CancelOutcome::NotFound);
        };
        let now = self.clock.now();
        // What is refused anyway uses up no code.
        let decided = cancel_decision::decide(
            &sold,
            order.ticket_ids.as_deref(),
            order.scope,
            Terms::Policy,
            now,
        );
        if let Err(refusal) = decided {
            return Ok(refused(refusal));
        }
        if by_link || sold.policy.is_some_and(|policy| policy.code_required) {
            let Some(code) = wanted.code else {
                return Ok(CancelOutcome::CodeRequired);
            };
            let tried =
                store::guest_mails::code_try(&mut connection, row.booking_id, row.reader, now);
            let tried = tried.await?;
            order.code_id = tried.filter(|code_id| self.links.is_code(*code_id, &code));
            if order.code_id.is_none() {
                return Ok(CancelOutcome::CodeNotValid);
            }
        }
        drop(connection);
        self.cancel(&order).await
    }

    /// Carries out an order.
    pub(crate) async fn cancel(&self, order: &CancelOrder) -> Result<CancelOutcome, StoreError> {
        let settled = repeat_if_contended(|| self.cancel_settle(order)).await?;
        let (outcome, reports) = settled;
        self.catalogue.apply(&reports);
        if let (CancelOutcome::Cancelled(done), false) = (&outcome, reports.is_empty()) {
            let by = match done.by {
                CancelledBy::Fan => "fan",
                CancelledBy::Operator => "operator",
                CancelledBy::Show => "show",
            };
            let count = u64::try_from(done.ticket_ids.len()).unwrap_or(0);
            metrics::counter!(telemetry::TICKETS_CANCELLED, "by" => by).increment(count);
            if done.refund_minor > 0 {
                let status = RefundStatus::Requested.as_str();
                metrics::counter!(telemetry::REFUNDS, "status" => status).increment(1);
            }
            tracing::info!(
                booking = %BookingId::new(done.booking_id), by, tickets = count,
                "tickets cancelled"
            );
        }
        Ok(outcome)
    }

    /// One attempt. The locks: hold, payment, seats, ticket counts, booking, tickets, refunds, code.
    async fn cancel_settle(
        &self,
        order: &CancelOrder,
    ) -> Result<(CancelOutcome, Vec<SeatReport>), StoreError> {
        let nothing = |outcome| Ok((outcome, Vec::new()));
        let now = self.clock.now();
        let booking_id = order.booking_id;
        let mut tx = self.pools.money.begin().await?;
        let Some((hold_id, payment_id)) =
            store::cancellations::hold_and_payment(&mut tx, booking_id).await?
        else {
            return nothing(CancelOutcome::NotFound);
        };
        let Some(hold) = store::holds::lock(&mut tx, hold_id).await? else {
            return nothing(CancelOutcome::NotFound);
        };
        store::returned::lock(&mut tx, payment_id).await?;
        if let Some(done) = store::cancellations::find(&mut tx, order.refund_id).await? {
            return nothing(CancelOutcome::Cancelled(Box::new(done)));
        }
        let Some(sold) = store::cancellations::sold(&mut tx, booking_id).await? else {
            return nothing(CancelOutcome::NotFound);
        };
        let wanted = order.ticket_ids.as_deref();
        let decision = match cancel_decision::decide(&sold, wanted, order.scope, order.terms, now) {
            Ok(decision) => decision,
            Err(refusal) => return nothing(refused(refusal)),
        };
        let mut seats = hold.returned();
        seats.seat_nos.clone_from(&decision.seat_nos);
        let reports = store::seats::unbook(&mut tx, &seats, booking_id).await?;
        if reports.len() != decision.seat_nos.len() {
            let what = format!("booking {booking_id} does not have its seats");
            return Err(StoreError::corrupt("show_seats", what));
        }
        let status = if decision.whole {
            BookingStatus::Cancelled
        } else {
            BookingStatus::PartiallyCancelled
        };
        store::cancellations::set_status(&mut tx, booking_id, status).await?;
        let also_used = order.terms == Terms::FullEvenUsed;
        if !store::cancellations::void(&mut tx, booking_id, &decision.ticket_ids, also_used).await?
        {
            // Somebody came in with it since it was read.
            return nothing(CancelOutcome::Refused(RefundRule::CheckedIn));
        }
        store::transfers::tell_holders(&mut tx, booking_id, now).await?;
        if sold.prices_missing {
            store::cancellations::keep_prices(&mut tx, &sold.tickets).await?;
        }
        let new = new_cancellation(order, &sold, decision, payment_id);
        store::cancellations::insert(&mut tx, &new, now).await?;
        if !use_code(&mut tx, order, now).await? {
            return nothing(CancelOutcome::CodeNotValid);
        }
        let done = store::cancellations::find(&mut tx, order.refund_id).await?;
        let done = done.ok_or_else(|| StoreError::corrupt("cancellations", "one is gone"))?;
        tx.commit().await?;
        Ok((CancelOutcome::Cancelled(Box::new(done)), reports))
    }
}

/// Uses up the code of an order. False if another request was faster.
async fn use_code(
    tx: &mut sqlx::PgConnection,
    order: &CancelOrder,
    now: Timestamp,
) -> Result<bool, StoreError> {
    match order.code_id {
        None => Ok(true),
        Some(code_id) => store::guest_mails::code_use(tx, code_id, now).await,
    }
}

fn refused(refusal: CancelRefusal) -> CancelOutcome {
    match refusal {
        CancelRefusal::Rule(rule) => CancelOutcome::Refused(rule),
        CancelRefusal::UnknownTicket => CancelOutcome::UnknownTicket,
    }
}

fn new_cancellation(
    order: &CancelOrder,
    sold: &SoldBooking,
    decision: cancel_decision::CancelDecision,
    payment_id: Uuid,
) -> NewCancellation {
    NewCancellation {
        refund_id: order.refund_id,
        booking_id: sold.booking_id,
        payment_id,
        by: order.by,
        ticket_ids: decision.ticket_ids,
        refund_minor: decision.goes.back_minor,
        kept_minor: decision.goes.kept_minor,
        currency: sold.currency.clone(),
        reason: order.reason.clone(),
        whole: decision.whole,
    }
}

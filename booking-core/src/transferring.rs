//! Passing tickets on, and printing them anew: one transaction makes the earlier codes worthless.

use std::sync::Arc;

use contract::transfer::{TransferOffer, TransferRule};
use contract::{BookingId, TicketId};
use uuid::Uuid;

use crate::core::Core;
use crate::customer::Customer;
use crate::database::{StoreError, repeat_if_contended};
use crate::handle::Booking;
use crate::store;
use crate::store::transfers::{HeldBooking, NewTransfer, TransferKind, TransferRow, TransferredBy};
use crate::telemetry;
use crate::transfer_decision::{self, Asker, Deed, TransferRefusal};

/// What is to be passed on or printed anew.
#[derive(Clone, Debug)]
pub(crate) struct TransferOrder {
    /// An order with the id of one that was carried out changes nothing.
    pub(crate) transfer_id: Uuid,
    pub(crate) booking_id: Uuid,
    /// All that the asker has when `None`.
    pub(crate) ticket_ids: Option<Vec<Uuid>>,
    /// The new holder's address; `None` for a new print.
    pub(crate) email: Option<String>,
    /// The name to print on the tickets.
    pub(crate) name: Option<String>,
    pub(crate) asker: Asker,
    pub(crate) reason: Option<String>,
    /// The one-time code that allows it, which can be used once.
    pub(crate) code_id: Option<Uuid>,
}

impl TransferOrder {
    const fn deed(&self) -> Deed {
        match self.email {
            Some(_) => Deed::Transfer,
            None => Deed::Reissue,
        }
    }
}

/// The outcome of an order.
#[derive(Clone, Debug)]
pub(crate) enum TransferOutcome {
    /// It was carried out, now or before.
    Done(Box<TransferRow>),
    /// A rule forbids it.
    Refused(TransferRule),
    /// A ticket is none of the asker's.
    UnknownTicket,
    /// The new holder's address is that of the present one.
    SameHolder,
    /// There is no such booking, or it is not the caller's.
    NotFound,
    /// A one-time code is needed.
    CodeRequired,
    /// The code is wrong, used, too old or tried too often.
    CodeNotValid,
}

/// What a fan wants.
#[derive(Clone, Debug)]
pub(crate) struct FansTransfer {
    pub(crate) booking_id: BookingId,
    pub(crate) transfer_id: Uuid,
    pub(crate) ticket_ids: Option<Vec<Uuid>>,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) code: Option<String>,
}

impl Booking {
    /// What the customer may do with the tickets now.
    pub(crate) async fn transfer_offer(
        &self,
        customer: &Customer,
        booking_id: BookingId,
    ) -> Result<Option<TransferOffer>, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move { core.transfer_offer(&customer, booking_id).await };
        self.0.work.run(work).await
    }

    /// Passes tickets on for their holder, or prints them anew.
    pub(crate) async fn transfer_by_fan(
        &self,
        customer: &Customer,
        wanted: FansTransfer,
    ) -> Result<TransferOutcome, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move { core.transfer_by_fan(&customer, wanted).await };
        self.0.work.run(work).await
    }

    /// The valid tickets of a booking, the number of their code, and their holder.
    pub(crate) async fn prints(
        &self,
        booking_id: BookingId,
    ) -> Result<Option<Vec<(TicketId, i32, Option<Uuid>)>>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move {
            let mut connection = core.pools.jobs.acquire().await?;
            store::bookings::find(&mut connection, booking_id.uuid()).await
        };
        let row = self.0.work.run(work).await?;
        let print = |ticket: store::bookings::TicketRow| {
            (
                TicketId::new(ticket.ticket_id),
                ticket.token_generation,
                ticket.holder,
            )
        };
        Ok(row.map(|row| row.tickets.into_iter().map(print).collect()))
    }

    /// Passes tickets on for an operator, or prints them anew.
    pub(crate) async fn transfer(
        &self,
        order: TransferOrder,
    ) -> Result<TransferOutcome, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.transfer(&order).await };
        self.0.work.run(work).await
    }
}

impl Core {
    async fn transfer_offer(
        &self,
        customer: &Customer,
        booking_id: BookingId,
    ) -> Result<Option<TransferOffer>, StoreError> {
        let Some(row) = self.booking_row(customer, booking_id).await? else {
            return Ok(None);
        };
        let mut connection = self.pools.money.acquire().await?;
        let held = store::transfers::held(&mut connection, row.booking_id).await?;
        let now = self.clock.now();
        Ok(held.map(|held| offer(&held, row.reader, now)))
    }

    /// Whoever asks needs a code from a mail to the holder's address, in any browser.
    async fn transfer_by_fan(
        &self,
        customer: &Customer,
        wanted: FansTransfer,
    ) -> Result<TransferOutcome, StoreError> {
        let Some(row) = self.booking_row(customer, wanted.booking_id).await? else {
            return Ok(TransferOutcome::NotFound);
        };
        let mut order = TransferOrder {
            transfer_id: wanted.transfer_id,
            booking_id: row.booking_id,
            ticket_ids: wanted.ticket_ids,
            email: wanted.email,
            name: wanted.name,
            asker: Asker::Holder(row.reader),
            reason: None,
            code_id: None,
        };
        let mut connection = self.pools.money.acquire().await?;
        // A repeat of what was carried out needs no code any more.
        let done = store::transfers::find(&mut connection, order.transfer_id).await?;
        if let Some(done) = done.filter(|done| done.booking_id == row.booking_id) {
            return Ok(TransferOutcome::Done(Box::new(done)));
        }
        let now = self.clock.now();
        let Some(held) = store::transfers::held(&mut connection, row.booking_id).await? else {
            return Ok(TransferOutcome::NotFound);
        };
        // What is refused anyway uses up no code.
        let wanted_ids = order.ticket_ids.as_deref();
        let decided = transfer_decision::decide(&held, wanted_ids, order.deed(), order.asker, now);
        if let Err(refusal) = decided {
            return Ok(refused(refusal));
        }
        if is_same(order.email.as_deref(), &row.email) {
            return Ok(TransferOutcome::SameHolder);
        }
        let Some(code) = wanted.code else {
            return Ok(TransferOutcome::CodeRequired);
        };
        let tried =
            store::guest_mails::code_try(&mut connection, row.booking_id, row.reader, now).await?;
        order.code_id = tried.filter(|code_id| self.links.is_code(*code_id, &code));
        if order.code_id.is_none() {
            return Ok(TransferOutcome::CodeNotValid);
        }
        drop(connection);
        self.transfer(&order).await
    }

    /// Carries out an order.
    async fn transfer(&self, order: &TransferOrder) -> Result<TransferOutcome, StoreError> {
        let outcome = repeat_if_contended(|| self.transfer_settle(order)).await?;
        if let TransferOutcome::Done(done) = &outcome {
            let (kind, by) = (label(done.kind), done.by);
            let by = match by {
                TransferredBy::Fan => "fan",
                TransferredBy::Operator => "operator",
            };
            metrics::counter!(telemetry::TRANSFERS, "kind" => kind, "by" => by).increment(1);
            let (booking, tickets) = (BookingId::new(done.booking_id), done.ticket_ids.len());
            tracing::info!(%booking, kind, by, tickets, "tickets have new codes");
        }
        Ok(outcome)
    }

    /// One attempt. The locks: hold, booking, transfer, tickets, code. The hold is locked first, as
    /// by a cancellation, so that of the two one sees what the other did.
    async fn transfer_settle(&self, order: &TransferOrder) -> Result<TransferOutcome, StoreError> {
        let now = self.clock.now();
        let mut tx = self.pools.money.begin().await?;
        let Some(hold_id) = store::transfers::hold_of(&mut tx, order.booking_id).await? else {
            return Ok(TransferOutcome::NotFound);
        };
        if store::holds::lock(&mut tx, hold_id).await?.is_none() {
            return Ok(TransferOutcome::NotFound);
        }
        if let Some(done) = store::transfers::find(&mut tx, order.transfer_id).await? {
            return Ok(TransferOutcome::Done(Box::new(done)));
        }
        let Some(held) = store::transfers::held(&mut tx, order.booking_id).await? else {
            return Ok(TransferOutcome::NotFound);
        };
        let wanted = order.ticket_ids.as_deref();
        let decided = transfer_decision::decide(&held, wanted, order.deed(), order.asker, now);
        let decision = match decided {
            Ok(decision) => decision,
            Err(refusal) => return Ok(refused(refusal)),
        };
        let new = NewTransfer {
            transfer_id: order.transfer_id,
            booking_id: order.booking_id,
            by: match order.asker {
                Asker::Holder(_) => TransferredBy::Fan,
                Asker::Operator => TransferredBy::Operator,
            },
            ticket_ids: &decision.ticket_ids,
            from_transfer_id: decision.holder,
            email: order.email.as_deref(),
            name: order.name.as_deref(),
            reason: order.reason.as_deref(),
        };
        if !store::transfers::insert(&mut tx, &new, now).await? {
            // Somebody came in with it since it was read.
            return Ok(TransferOutcome::Refused(TransferRule::CheckedIn));
        }
        if let Some(code_id) = order.code_id
            && !store::guest_mails::code_use(&mut tx, code_id, now).await?
        {
            // Another request used it.
            return Ok(TransferOutcome::CodeNotValid);
        }
        let done = store::transfers::find(&mut tx, order.transfer_id).await?;
        let done = done.ok_or_else(|| StoreError::corrupt("transfers", "one is gone"))?;
        tx.commit().await?;
        Ok(TransferOutcome::Done(Box::new(done)))
    }

    /// A new id for a transfer, or the same for the repeat of a request with a key.
    pub(crate) fn transfer_id(&self, booking_id: Uuid, key: Option<(&str, &str)>) -> Uuid {
        match key {
            Some((principal, key)) => crate::money::derived_id(&[
                "transfer",
                &booking_id.to_string(),
                &principal.len().to_string(),
                principal,
                key,
            ]),
            None => self.randomness.uuid(self.clock.now()),
        }
    }
}

fn is_same(email: Option<&str>, present: &str) -> bool {
    email.is_some_and(|email| email.to_lowercase() == present.to_lowercase())
}

const fn label(kind: TransferKind) -> &'static str {
    match kind {
        TransferKind::Transfer => "transfer",
        TransferKind::Reissue => "reissue",
    }
}

fn refused(refusal: TransferRefusal) -> TransferOutcome {
    match refusal {
        TransferRefusal::Rule(rule) => TransferOutcome::Refused(rule),
        TransferRefusal::UnknownTicket => TransferOutcome::UnknownTicket,
    }
}

/// What a holder may do now with each of their tickets that was not used.
fn offer(held: &HeldBooking, holder: Option<Uuid>, now: contract::Timestamp) -> TransferOffer {
    let asker = Asker::Holder(holder);
    let may = |ticket: Uuid, deed| {
        transfer_decision::decide(held, Some(&[ticket]), deed, asker, now).is_ok()
    };
    let all: Vec<Uuid> = held.tickets.iter().map(|ticket| ticket.ticket_id).collect();
    let reissuable: Vec<Uuid> = all
        .into_iter()
        .filter(|ticket| may(*ticket, Deed::Reissue))
        .collect();
    let transferable = reissuable.iter().any(|ticket| may(*ticket, Deed::Transfer));
    let refusal = transfer_decision::decide(held, None, Deed::Transfer, asker, now).err();
    TransferOffer {
        transferable,
        rule: match refusal {
            Some(TransferRefusal::Rule(rule)) if !transferable => Some(rule),
            _ => None,
        },
        until: transferable.then(|| transfer_decision::until(held)),
        reissuable: !reissuable.is_empty(),
        ticket_ids: reissuable.into_iter().map(TicketId::new).collect(),
    }
}

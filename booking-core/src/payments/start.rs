//! Starting a payment.

use contract::booking::{HoldStatus, PaymentStatus};
use uuid::Uuid;

use super::decision::next_poll;
use super::provider::{CancelReason, ProviderError};
use crate::config::PAYMENT_ATTEMPTS_MAX;
use crate::core::Core;
use crate::customer::Customer;
use crate::database::{StoreError, repeat_if_contended};
use crate::money::FailureReason;
use crate::store;
use crate::store::payments::{NewPayment, PaymentRow};

/// Rounds of closing earlier attempts before a new attempt is given up.
const CLOSE_ROUNDS_MAX: usize = 3;
/// Interval before the first poll of a new payment.
const FIRST_POLL_SECONDS: u64 = 15;

/// The outcome of a request to pay.
#[derive(Clone, Debug)]
pub(crate) enum PaymentStart {
    /// The customer can pay this payment.
    Started(PaymentRow),
    /// The hold does not exist or is not the customer's.
    NotFound,
    /// The hold has ended.
    HoldEnded,
    /// The provider refused, or the hold has had its last attempt.
    Failed(FailureReason),
    /// The provider does not answer.
    Unanswered(ProviderError),
}

/// The result of the first step, under the lock of the hold.
#[derive(Debug)]
enum Prepared {
    Use(PaymentRow),
    /// These attempts failed but could still be paid, so they have to be closed first.
    CloseFirst(Vec<Uuid>),
    Refuse(PaymentStart),
}

impl Core {
    /// Starts a payment for a hold, or returns the one that is under way.
    pub(crate) async fn payment_start(
        &self,
        customer: &Customer,
        hold_id: Uuid,
        email: &str,
    ) -> Result<PaymentStart, StoreError> {
        for _ in 0..CLOSE_ROUNDS_MAX {
            let prepared =
                repeat_if_contended(|| self.payment_prepare(customer, hold_id, email)).await?;
            match prepared {
                Prepared::Refuse(refusal) => return Ok(refusal),
                Prepared::Use(payment) => return self.payment_offer(payment).await,
                Prepared::CloseFirst(payments) => {
                    for payment_id in payments {
                        let superseded = Some(CancelReason::Superseded);
                        let resolved = self.resolve_payment(payment_id, superseded).await?;
                        if let Some(error) = resolved.and_then(|resolved| resolved.unanswered) {
                            return Ok(PaymentStart::Unanswered(error));
                        }
                    }
                }
            }
        }
        Ok(PaymentStart::Unanswered(ProviderError::Busy))
    }

    async fn payment_prepare(
        &self,
        customer: &Customer,
        hold_id: Uuid,
        email: &str,
    ) -> Result<Prepared, StoreError> {
        let now = self.clock.now();
        let mut tx = self.pools.money.begin().await?;
        let Some(hold) = store::holds::lock(&mut tx, hold_id).await? else {
            return Ok(Prepared::Refuse(PaymentStart::NotFound));
        };
        if !customer.owns(hold.subject.as_deref(), hold.session.as_deref()) {
            return Ok(Prepared::Refuse(PaymentStart::NotFound));
        }
        let payments = store::payments::of_hold(&mut tx, hold_id).await?;
        let paid = |payment: &&PaymentRow| payment.status == PaymentStatus::Succeeded;
        if let Some(payment) = payments.iter().find(paid) {
            return Ok(Prepared::Use(payment.clone()));
        }
        if !hold.is_open() || (hold.status == HoldStatus::Active && hold.expires_at <= now) {
            return Ok(Prepared::Refuse(PaymentStart::HoldEnded));
        }
        // Money for a show that was cancelled since would only go back again.
        let show = self.catalogue.entry_by_no(hold.show_no);
        if show.is_some_and(|show| show.info().cancelled) {
            return Ok(Prepared::Refuse(PaymentStart::HoldEnded));
        }
        if let Some(payment) = payments.iter().find(|payment| payment.is_live()) {
            let mut payment = payment.clone();
            // The tickets go to the address that the customer entered last.
            if payment.email != email {
                store::payments::set_email(&mut tx, payment.payment_id, email).await?;
                tx.commit().await?;
                email.clone_into(&mut payment.email);
            }
            return Ok(Prepared::Use(payment));
        }
        let open = payments.iter().filter(|payment| payment.provider_open);
        let open: Vec<Uuid> = open.map(|payment| payment.payment_id).collect();
        if !open.is_empty() {
            return Ok(Prepared::CloseFirst(open));
        }
        let attempt_no = hold.attempt_count + 1;
        if attempt_no > PAYMENT_ATTEMPTS_MAX {
            let reports = store::holds::close(&mut tx, &hold, HoldStatus::Released, now).await?;
            tx.commit().await?;
            self.catalogue.apply(&reports);
            let reason = FailureReason::Fraud;
            return Ok(Prepared::Refuse(PaymentStart::Failed(reason)));
        }
        let payment_id = self.randomness.uuid(now);
        let key = format!("booking_{}_attempt_{attempt_no}", hold_id.simple());
        let payment = NewPayment {
            payment_id,
            hold_id,
            attempt_no,
            provider: &self.config.payment.provider,
            email,
            amount_minor: hold.amount_minor,
            currency: &hold.currency,
            now,
            next_poll_at: next_poll(&hold, now, FIRST_POLL_SECONDS),
        };
        store::holds::attempt_begins(&mut tx, hold_id).await?;
        store::payments::insert(&mut tx, &payment, &key).await?;
        let row = store::payments::lock(&mut tx, payment_id).await?;
        tx.commit().await?;
        row.map(Prepared::Use)
            .ok_or_else(|| StoreError::corrupt("payments", "a new payment is gone"))
    }

    async fn payment_offer(&self, payment: PaymentRow) -> Result<PaymentStart, StoreError> {
        match self.ensure_intent(&payment).await? {
            Ok((intent_id, client_secret)) => Ok(PaymentStart::Started(PaymentRow {
                intent_id: Some(intent_id),
                client_secret: Some(client_secret),
                ..payment
            })),
            Err(ProviderError::Refused { reason, message }) => {
                tracing::warn!(payment = %payment.payment_id, message, "intent refused");
                // Through the resolver, which alone may record it.
                self.resolve_payment(payment.payment_id, None).await?;
                Ok(PaymentStart::Failed(reason))
            }
            Err(error) => Ok(PaymentStart::Unanswered(error)),
        }
    }
}

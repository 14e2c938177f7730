//! Starting a payment.

use contract::booking::{HoldStatus, PaymentStatus};
use sqlx::PgConnection;
use uuid::Uuid;

use super::decision::next_poll;
use super::orchestration::{self, AfterFailure};
use super::provider::{CancelReason, ProviderError};
use crate::config::{PAYMENT_ATTEMPTS_MAX, PAYMENT_ROWS_MAX};
use crate::core::Core;
use crate::customer::Customer;
use crate::database::{StoreError, repeat_if_contended};
use crate::money::FailureReason;
use crate::store;
use crate::store::holds::HoldRow;
use crate::store::payments::{NewPayment, PaymentRow};

/// Rounds of closing earlier attempts before a new attempt is given up.
const CLOSE_ROUNDS_MAX: usize = 3;
/// Interval before the first poll of a new payment.
const FIRST_POLL_SECONDS: u64 = 15;

/// The outcome of a request to pay.
#[derive(Clone, Debug)]
pub(crate) enum PaymentStart {
    /// The customer can pay this payment.
    Started(Box<PaymentRow>),
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
    /// Recorded just now, with the call that is to be made.
    New(PaymentRow),
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
                Prepared::New(payment) => return self.payment_offer(payment, true).await,
                Prepared::Use(payment) => return self.payment_offer(payment, false).await,
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
        let reached = payments
            .iter()
            .filter(|payment| payment.intent_id.is_some())
            .count();
        let is_too_often =
            reached >= PAYMENT_ATTEMPTS_MAX || hold.attempt_count >= PAYMENT_ROWS_MAX;
        if is_too_often {
            let reports = store::holds::close(&mut tx, &hold, HoldStatus::Released, now).await?;
            tx.commit().await?;
            self.catalogue.apply(&reports);
            let reason = FailureReason::Fraud;
            return Ok(Prepared::Refuse(PaymentStart::Failed(reason)));
        }
        let Some(provider) = self.providers.next(&[]) else {
            let error = ProviderError::NotSent("no payment provider can be reached".to_owned());
            return Ok(Prepared::Refuse(PaymentStart::Unanswered(error)));
        };
        let payment = self
            .attempt_record(&mut tx, &hold, provider.name(), email)
            .await?;
        if let Some(language) = customer.language() {
            store::contacts::set_language(&mut tx, hold_id, language).await?;
        }
        tx.commit().await?;
        Ok(Prepared::New(payment))
    }

    /// Records the next attempt on a locked hold, with a call to `provider` that is to be made. Its
    /// key is its own: no key is ever sent to two providers.
    pub(super) async fn attempt_record(
        &self,
        tx: &mut PgConnection,
        hold: &HoldRow,
        provider: &str,
        email: &str,
    ) -> Result<PaymentRow, StoreError> {
        let now = self.clock.now();
        let (hold_id, attempt_no) = (hold.hold_id, hold.attempt_count + 1);
        let payment_id = self.randomness.uuid(now);
        let key = format!("booking_{}_attempt_{attempt_no}", hold_id.simple());
        let payment = NewPayment {
            payment_id,
            hold_id,
            attempt_no,
            provider,
            email,
            amount_minor: hold.amount_minor,
            currency: &hold.currency,
            now,
            next_poll_at: next_poll(hold, now, FIRST_POLL_SECONDS),
        };
        store::holds::attempt_begins(tx, hold_id).await?;
        store::payments::insert(tx, &payment, &key).await?;
        store::payments::lock(tx, payment_id)
            .await?
            .ok_or_else(|| StoreError::corrupt("payments", "a new payment is gone"))
    }

    /// Asks the provider of `payment` for its intent, and the next one while it is certain that
    /// nothing was made.
    async fn payment_offer(
        &self,
        mut payment: PaymentRow,
        mut is_counted: bool,
    ) -> Result<PaymentStart, StoreError> {
        let mut tried = Vec::new();
        loop {
            let error = match self.ensure_intent(&payment, is_counted).await? {
                Ok(made) => return Ok(PaymentStart::Started(Box::new(made))),
                Err(error) => error,
            };
            tried.push(payment.provider.clone());
            let (may_move, reason) = match orchestration::after(&error) {
                AfterFailure::MoveOn => (true, None),
                AfterFailure::MoveOnOrFail(reason) => (true, Some(reason)),
                AfterFailure::Fail(reason) => (false, Some(reason)),
                AfterFailure::Stay => (false, None),
            };
            if may_move && let Some(next) = self.payment_move_on(&payment, &error, &tried).await? {
                (payment, is_counted) = (next, true);
                continue;
            }
            let Some(reason) = reason else {
                return Ok(PaymentStart::Unanswered(error));
            };
            tracing::warn!(payment = %payment.payment_id, %error, "intent refused");
            // Through the resolver, which alone may record it.
            self.resolve_payment(payment.payment_id, None).await?;
            return Ok(PaymentStart::Failed(reason));
        }
    }
}

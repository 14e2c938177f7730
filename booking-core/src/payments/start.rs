//! Starting a payment.

use std::time::Duration;

use contract::HoldId;
use contract::booking::{HoldStatus, PaymentStatus};
use contract::coupon::CouponReason;
use sqlx::PgConnection;
use uuid::Uuid;

use super::decision::next_poll;
use super::orchestration::{self, AfterFailure};
use super::provider::{CancelReason, ProviderError};
use crate::config::{PAYMENT_ATTEMPTS_MAX, PAYMENT_ROWS_MAX};
use crate::core::Core;
use crate::coupons::CouponWish;
use crate::customer::Customer;
use crate::database::{StoreError, repeat_if_contended};
use crate::money::{Disposition, FailureReason};
use crate::store;
use crate::store::holds::HoldRow;
use crate::store::payment_batch::AttemptAsk;
use crate::store::payments::{FREE, NewPayment, PaymentRow};

/// Rounds of closing earlier attempts before a new attempt is given up.
pub(super) const CLOSE_ROUNDS_MAX: usize = 3;
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
    /// The coupon cannot be used.
    CouponNotValid(CouponReason),
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
        wish: &CouponWish,
    ) -> Result<PaymentStart, StoreError> {
        // Before anything is closed for it, so that a wrong code leaves a payment that is under way.
        if let Some(reason) = self.coupon_refusal(customer, hold_id, email, wish).await? {
            return Ok(PaymentStart::CouponNotValid(reason));
        }
        if let Some(payment) = self
            .attempt_gathered(customer, hold_id, email, wish)
            .await?
        {
            return self.payment_offer(payment, true).await;
        }
        for _ in 0..CLOSE_ROUNDS_MAX {
            let prepared =
                repeat_if_contended(|| self.payment_prepare(customer, hold_id, email, wish))
                    .await?;
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

    /// Records the first attempt to pay for a hold together with others that begin at the same time.
    /// `None` if there is more to it than that.
    async fn attempt_gathered(
        &self,
        customer: &Customer,
        hold_id: Uuid,
        email: &str,
        wish: &CouponWish,
    ) -> Result<Option<PaymentRow>, StoreError> {
        if matches!(wish, CouponWish::Use(_)) {
            return Ok(None);
        }
        let Some(provider) = self.providers.next(&[]) else {
            return Ok(None);
        };
        let now = self.clock.now();
        let ask = AttemptAsk {
            hold_id,
            payment_id: self.randomness.uuid(now),
            provider: provider.name().to_owned(),
            idempotency_key: attempt_key(hold_id, 1),
            email: email.to_owned(),
            session: customer.session_digest(),
            subjects: customer.subjects(),
            language: customer.language(),
            now,
            next_poll_at: now.plus(Duration::from_secs(FIRST_POLL_SECONDS)),
        };
        self.starts.begun.ask(ask).await
    }

    /// Why the coupon of a request to pay cannot be used, as far as it is known without a lock.
    async fn coupon_refusal(
        &self,
        customer: &Customer,
        hold_id: Uuid,
        email: &str,
        wish: &CouponWish,
    ) -> Result<Option<CouponReason>, StoreError> {
        let CouponWish::Use(code) = wish else {
            return Ok(None);
        };
        let hold = self.hold_row(customer, HoldId::new(hold_id)).await?;
        let Some(hold) = hold.filter(HoldRow::is_open) else {
            return Ok(None);
        };
        Ok(self.coupon_check(&hold, code, Some(email)).await?.err())
    }

    async fn payment_prepare(
        &self,
        customer: &Customer,
        hold_id: Uuid,
        email: &str,
        wish: &CouponWish,
    ) -> Result<Prepared, StoreError> {
        let now = self.clock.now();
        let mut tx = self.pools.money.begin().await?;
        let Some(mut hold) = store::holds::lock(&mut tx, hold_id).await? else {
            return Ok(Prepared::Refuse(PaymentStart::NotFound));
        };
        if !customer.owns(hold.subject.as_deref(), hold.session.as_deref()) {
            return Ok(Prepared::Refuse(PaymentStart::NotFound));
        }
        let mut payments = Vec::new();
        if hold.attempt_count > 0 {
            payments = store::payments::of_hold(&mut tx, hold_id).await?;
        }
        if let Some(payment) = paid(&hold, &payments) {
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
        let reprices = self.coupon_differs(&mut tx, &hold, wish, email).await?;
        if let Some(payment) = payments.iter().find(|payment| payment.is_live())
            && !reprices
        {
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
        if reprices {
            if let Err(reason) = self.coupon_apply(&mut tx, &hold, wish, email).await? {
                return Ok(Prepared::Refuse(PaymentStart::CouponNotValid(reason)));
            }
            let priced = store::holds::lock(&mut tx, hold_id).await?;
            hold = priced.ok_or_else(|| StoreError::corrupt("holds", "a locked hold vanished"))?;
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
        let provider = match self.providers.next(&[]) {
            _ if hold.amount_minor == 0 => FREE,
            Some(provider) => provider.name(),
            None => {
                let error = ProviderError::NotSent("no payment provider can be reached".to_owned());
                return Ok(Prepared::Refuse(PaymentStart::Unanswered(error)));
            }
        };
        let payment = self.attempt_record(&mut tx, &hold, provider, email).await?;
        if let Some(language) = customer.language() {
            store::contacts::set_language(&mut tx, hold_id, language).await?;
        }
        tx.commit().await?;
        Ok(Prepared::New(payment))
    }

    /// Records the next attempt on a locked hold, with a call to `provider` that is to be made. Its
    /// key is its own: no key is ever sent to two providers.
    pub(crate) async fn attempt_record(
        &self,
        tx: &mut PgConnection,
        hold: &HoldRow,
        provider: &str,
        email: &str,
    ) -> Result<PaymentRow, StoreError> {
        let now = self.clock.now();
        let (hold_id, attempt_no) = (hold.hold_id, hold.attempt_count + 1);
        let payment_id = self.randomness.uuid(now);
        let key = attempt_key(hold_id, attempt_no);
        let accepts = match hold.coupon_use_id {
            Some(use_id) => store::coupons::accepted(tx, use_id).await?,
            None => Vec::new(),
        };
        let payment = NewPayment {
            payment_id,
            hold_id,
            attempt_no,
            provider,
            email,
            amount_minor: hold.amount_minor,
            currency: &hold.currency,
            accepts: &accepts,
            now,
            next_poll_at: next_poll(hold, now, FIRST_POLL_SECONDS),
        };
        store::payments::begin(tx, &payment, &key).await
    }

    /// Asks the provider of `payment` for its intent, and the next one while it is certain that
    /// nothing was made.
    async fn payment_offer(
        &self,
        mut payment: PaymentRow,
        mut is_counted: bool,
    ) -> Result<PaymentStart, StoreError> {
        if payment.is_free() {
            return Ok(PaymentStart::Started(Box::new(payment)));
        }
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

/// The payment that paid for a hold, or whose money came too late for it. Money that goes back while
/// the hold stays open pays for nothing: it may be paid for anew. Pure.
pub(super) fn paid<'a>(hold: &HoldRow, payments: &'a [PaymentRow]) -> Option<&'a PaymentRow> {
    let is_paid = |payment: &&PaymentRow| payment.status == PaymentStatus::Succeeded;
    let goes_back = |payment: &PaymentRow| payment.disposition == Some(Disposition::AutoRefund);
    let mut paid = payments.iter().filter(is_paid);
    let booked = paid.clone().find(|payment| !goes_back(payment));
    booked.or_else(|| paid.next().filter(|_| !hold.is_open()))
}

/// The key of the call to a provider for an attempt on a hold.
fn attempt_key(hold_id: Uuid, attempt_no: i32) -> String {
    format!("booking_{}_attempt_{attempt_no}", hold_id.simple())
}

//! Making the intent of an attempt at its provider.

use contract::booking::PaymentStatus;
use contract::{HoldId, PaymentId};
use uuid::Uuid;

use super::provider::{Intent, IntentRequest, ProviderError};
use super::resolver::lock_both;
use crate::core::Core;
use crate::database::{StoreError, repeat_if_contended};
use crate::store;
use crate::store::payment_batch::MadeAsk;
use crate::store::payments::{PaymentChange, PaymentRow};

impl Core {
    /// The intent at the payment's provider, created if needed. The key was stored before the first
    /// call, so a repeated call finds the intent of the first. Every call is counted before it is
    /// made, and taken back only if it certainly made nothing: at zero another provider may be
    /// asked. `is_counted` says that the caller recorded the attempt, with this call.
    pub(crate) async fn ensure_intent(
        &self,
        payment: &PaymentRow,
        is_counted: bool,
    ) -> Result<Result<PaymentRow, ProviderError>, StoreError> {
        if payment.intent_id.is_some() {
            return Ok(Ok(payment.clone()));
        }
        let pool = &self.pools.money;
        if !is_counted && !store::payments::call_begins(pool, payment.payment_id).await? {
            // The intent was made meanwhile, or the attempt was closed.
            let found = store::payments::find(pool, payment.payment_id).await?;
            return Ok(match found {
                Some(found) if found.intent_id.is_some() => Ok(found),
                _ => Err(ProviderError::Busy),
            });
        }
        let hold_id = HoldId::new(payment.hold_id);
        let payment_id = PaymentId::new(payment.payment_id);
        let hold_url = format!("{}/holds/{hold_id}", self.config.public_url);
        let request = IntentRequest {
            idempotency_key: payment.idempotency_key.clone(),
            amount_minor: payment.amount_minor,
            currency: payment.currency.clone(),
            payment_id,
            hold_id,
            attempt_no: payment.attempt_no,
            // The provider appends its own id; ours works without it.
            return_url: format!("{hold_url}/return?payment={payment_id}"),
            cancel_url: hold_url,
            created_at: payment.created_at,
            accepts: payment.accepts.clone(),
        };
        let asked = match self.providers.named(&payment.provider) {
            Ok(provider) => provider.about(payment.hold_id).create_intent(request).await,
            Err(error) => Err(error),
        };
        match asked {
            Ok(intent) => self.intent_keep(payment, &intent).await,
            Err(error) => {
                if error.had_no_effect() {
                    store::payments::call_made_nothing(pool, payment.payment_id).await?;
                }
                Ok(Err(error))
            }
        }
    }

    /// Stores what the provider made for an attempt, and returns the attempt with what is stored:
    /// that of another call, if it came first.
    async fn intent_keep(
        &self,
        payment: &PaymentRow,
        intent: &Intent,
    ) -> Result<Result<PaymentRow, ProviderError>, StoreError> {
        let (pool, payment_id) = (&self.pools.money, payment.payment_id);
        let made = MadeAsk {
            payment_id,
            intent_id: intent.id.clone(),
            client_secret: intent.client_secret.clone(),
            redirect_url: intent.redirect_url.clone(),
        };
        let stored = match self.starts.made.ask(made).await? {
            None => {
                let made = store::payments::Made {
                    intent_id: &intent.id,
                    client_secret: &intent.client_secret,
                    redirect_url: intent.redirect_url.as_deref(),
                };
                store::payments::set_intent(pool, payment_id, made).await?
            }
            stored => stored,
        };
        match stored {
            Some(stored) if stored.provider_open => return Ok(Ok(stored)),
            Some(_) => {}
            None => {
                tracing::warn!(payment = %payment_id, intent = intent.id, "a second intent was made");
            }
        }
        let reopened =
            repeat_if_contended(|| self.reopen_if_closed(payment_id, payment.hold_id)).await?;
        let Some(stored) = store::payments::find(pool, payment_id).await? else {
            return Ok(Err(ProviderError::Busy));
        };
        Ok(if reopened || stored.intent_id.is_none() {
            Err(ProviderError::Busy)
        } else {
            Ok(stored)
        })
    }

    /// Polls an attempt again that was closed while its intent was being made, so that the intent
    /// is cancelled. True if it did.
    async fn reopen_if_closed(&self, payment_id: Uuid, hold_id: Uuid) -> Result<bool, StoreError> {
        let is_closed = |payment: &PaymentRow| {
            !payment.provider_open && payment.status != PaymentStatus::Succeeded
        };
        let found = store::payments::find(&self.pools.money, payment_id).await?;
        if !found.as_ref().is_some_and(is_closed) {
            return Ok(false);
        }
        let now = self.clock.now();
        let mut tx = self.pools.money.begin().await?;
        let (_, payment) = lock_both(&mut tx, hold_id, payment_id).await?;
        if !is_closed(&payment) {
            return Ok(false);
        }
        let change = PaymentChange {
            status: payment.status,
            failure_reason: payment.failure_reason,
            provider_open: true,
            captured_minor: 0,
            captured_currency: None,
            disposition: payment.disposition,
            next_poll_at: now,
        };
        store::payments::update(&mut tx, payment_id, &change, now).await?;
        store::holds::refresh_payment_open(&mut tx, hold_id).await?;
        tx.commit().await?;
        Ok(true)
    }
}

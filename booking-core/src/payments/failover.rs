//! Moving an attempt on to another provider.

use super::orchestration::{self, AfterFailure};
use super::provider::ProviderError;
use super::resolver::{count_change, lock_both, refused};
use crate::core::Core;
use crate::database::{StoreError, repeat_if_contended};
use crate::money::FailureReason;
use crate::store;
use crate::store::payments::PaymentRow;
use crate::telemetry;

impl Core {
    /// Closes an attempt that its provider has certainly made nothing for, and records the next one
    /// at another provider that is not in `tried`. `None` if that is not certain, because another
    /// call is under way or its outcome is unknown, or if there is no other provider.
    pub(super) async fn payment_move_on(
        &self,
        payment: &PaymentRow,
        error: &ProviderError,
        tried: &[String],
    ) -> Result<Option<PaymentRow>, StoreError> {
        // Asked again under the lock. Most installations have one provider.
        if self.providers.next(tried).is_none() {
            return Ok(None);
        }
        let moved = repeat_if_contended(|| self.try_move_on(payment, error, tried)).await?;
        if let Some(next) = &moved {
            tracing::warn!(
                %error, payment = %payment.payment_id, from = payment.provider, to = next.provider,
                "nothing was made: another payment provider is asked"
            );
            let from = payment.provider.clone();
            metrics::counter!(telemetry::FAILOVERS, "provider" => from).increment(1);
        }
        Ok(moved)
    }

    async fn try_move_on(
        &self,
        payment: &PaymentRow,
        error: &ProviderError,
        tried: &[String],
    ) -> Result<Option<PaymentRow>, StoreError> {
        let now = self.clock.now();
        let mut tx = self.pools.money.begin().await?;
        let (hold, payment) = lock_both(&mut tx, payment.hold_id, payment.payment_id).await?;
        // A refusal is the provider's answer under this key, also to every other call.
        let reason = match orchestration::after(error) {
            AfterFailure::MoveOn if payment.was_never_made() => FailureReason::GatewayDown,
            AfterFailure::MoveOnOrFail(reason) if payment.intent_id.is_none() => reason,
            _ => return Ok(None),
        };
        let is_current = payment.provider_open
            && payment.is_live()
            && payment.attempt_no == hold.attempt_count
            && hold.is_open()
            && hold.expires_at > now;
        let Some(next) = self.providers.next(tried).filter(|_| is_current) else {
            return Ok(None);
        };
        // Closed first: a hold has one live attempt.
        let change = refused(reason, now);
        store::payments::update(&mut tx, payment.payment_id, &change, now).await?;
        let next = self
            .attempt_record(&mut tx, &hold, next.name(), &payment.email)
            .await?;
        tx.commit().await?;
        count_change(change.status, change.failure_reason);
        Ok(Some(next))
    }
}

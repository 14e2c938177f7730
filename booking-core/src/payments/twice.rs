//! Money beyond what a payment asked for: a customer who paid twice on one page.
//!
//! A payment link takes one payment, and yet two customers with the same page, or one with two apps,
//! may both be at the bank when the first is done. Each further captured payment becomes a payment
//! of its own in our books, which is given back as a whole. Its provider's id is unique, so that
//! whoever finds it first enters it and nobody does so again.

use contract::Timestamp;
use contract::booking::PaymentStatus;
use sqlx::PgConnection;
use uuid::Uuid;

use super::lane::Lane;
use super::provider::{Charge, PaymentProvider, ProviderError};
use super::resolver::lock_both;
use crate::core::Core;
use crate::database::{StoreError, repeat_if_contended};
use crate::money::derived_id;
use crate::store;
use crate::store::payments::PaymentRow;
use crate::telemetry;

/// Why the money goes back.
const REASON: &str = "double-charge";

impl Core {
    /// Asks about a charge of `payment_id` that no payment names, and enters it if money was
    /// captured. An inner error means that the provider could not be asked.
    pub(super) async fn charge_look(
        &self,
        lane: &Lane,
        payment_id: Uuid,
        charge_id: &str,
    ) -> Result<Result<(), ProviderError>, StoreError> {
        let pool = &self.pools.jobs;
        let known = store::payments::by_intent(pool, lane.name(), charge_id).await?;
        if known.is_some() {
            return Ok(Ok(()));
        }
        match lane.captured(charge_id).await {
            Ok(Some(charge)) => {
                self.charge_again(payment_id, &charge).await?;
                Ok(Ok(()))
            }
            // Nothing of ours is unknown to the provider.
            Ok(None) | Err(ProviderError::Refused { .. }) => Ok(Ok(())),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Enters a captured charge of a payment that has succeeded with another one, to be given back.
    /// False if it is known, or if the payment has not succeeded.
    pub(super) async fn charge_again(
        &self,
        payment_id: Uuid,
        charge: &Charge,
    ) -> Result<bool, StoreError> {
        let Some(payment) = store::payments::find(&self.pools.jobs, payment_id).await? else {
            return Ok(false);
        };
        let hold_id = payment.hold_id;
        let entered =
            repeat_if_contended(|| self.charge_enter(hold_id, payment_id, charge)).await?;
        let Some(entered) = entered else {
            return Ok(false);
        };
        // Somebody may have refunded it at the provider already.
        if let Err(error) = self.returns_look(entered).await? {
            tracing::warn!(%error, payment = %entered, "the refunds of a second payment are not known yet");
        }
        Ok(true)
    }

    async fn charge_enter(
        &self,
        hold_id: Uuid,
        payment_id: Uuid,
        charge: &Charge,
    ) -> Result<Option<Uuid>, StoreError> {
        let mut tx = self.pools.jobs.begin().await?;
        let (_, payment) = lock_both(&mut tx, hold_id, payment_id).await?;
        let now = self.clock.now();
        let entered = self.charge_note(&mut tx, &payment, charge, now).await?;
        tx.commit().await?;
        Ok(entered)
    }

    /// Enters those of `charges` that nobody has entered. Hold and payment are locked.
    pub(super) async fn charges_note(
        &self,
        tx: &mut PgConnection,
        payment: &PaymentRow,
        charges: &[Charge],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for charge in charges {
            self.charge_note(tx, payment, charge, now).await?;
        }
        Ok(())
    }

    async fn charge_note(
        &self,
        tx: &mut PgConnection,
        payment: &PaymentRow,
        charge: &Charge,
        now: Timestamp,
    ) -> Result<Option<Uuid>, StoreError> {
        if !is_another(payment, charge) {
            return Ok(None);
        }
        let provider = payment.provider.as_str();
        let charge_payment_id = derived_id(&["charge", provider, &charge.id]);
        let further = store::payments::Further {
            payment_id: charge_payment_id,
            of: payment.payment_id,
            charge_id: &charge.id,
            amount_minor: charge.amount_minor,
            currency: &charge.currency,
        };
        if !store::payments::add_further(tx, &further, now).await? {
            return Ok(None);
        }
        let (amount, currency) = (charge.amount_minor, &charge.currency);
        store::payments::ledger(tx, charge_payment_id, amount, currency, "refunds", now).await?;
        let refund_id = self.randomness.uuid(now);
        store::refunds::request_all(tx, refund_id, charge_payment_id, REASON, now).await?;
        tracing::warn!(
            payment = %payment.payment_id, charge = charge.id, amount_minor = amount,
            "a customer paid twice: the second payment goes back"
        );
        metrics::counter!(telemetry::REFUNDS, "status" => "REQUESTED").increment(1);
        Ok(Some(charge_payment_id))
    }
}

/// Whether `charge` is money beyond that of `payment`. Pure.
fn is_another(payment: &PaymentRow, charge: &Charge) -> bool {
    let own = payment.charge_id.as_ref().or(payment.intent_id.as_ref());
    payment.status == PaymentStatus::Succeeded
        && !payment.is_free()
        && charge.amount_minor > 0
        && own.is_some_and(|own| *own != charge.id)
}

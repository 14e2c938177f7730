//! The operations of [`Booking`] for customers who have paid: confirming, and checking ownership.

use std::sync::Arc;

use contract::{BookingId, HoldId};

use crate::bookings::PaymentSeen;
use crate::config::PROVIDER_PATIENCE;
use crate::confirm_outcome::{ConfirmKey, ConfirmOutcome, Confirmed};
use crate::confirm_queue::{ConfirmPermit, ConfirmTurn};
use crate::customer::Customer;
use crate::database::StoreError;
use crate::handle::Booking;
use crate::holds::Once;

impl Booking {
    /// Waits for a permit to confirm. Nothing is read or written before it is granted.
    pub async fn confirm_turn(&self) -> ConfirmTurn {
        self.0.confirms.turn().await
    }

    /// Confirms a purchase. Once the payment is known to be the customer's, only a defect is an
    /// error: an unknown outcome is [`ConfirmOutcome::Processing`].
    pub async fn confirm(
        &self,
        permit: ConfirmPermit,
        customer: &Customer,
        hold_id: HoldId,
        payment: &str,
    ) -> Result<ConfirmOutcome, StoreError> {
        match self
            .confirm_once(permit, customer, hold_id, payment, None)
            .await?
        {
            Once::Now(confirmed) => Ok(confirmed.outcome),
            Once::Known(_) => Ok(ConfirmOutcome::Processing),
        }
    }

    /// Like [`Booking::confirm`], for a request that may carry a key.
    pub(crate) async fn confirm_once(
        &self,
        permit: ConfirmPermit,
        customer: &Customer,
        hold_id: HoldId,
        payment: &str,
        key: Option<ConfirmKey>,
    ) -> Result<Once<Confirmed>, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let payment = payment.to_owned();
        let work = async move {
            // Held until the work ends, even if the customer disconnects.
            let _permit = permit;
            // Large futures are moved often on their way into a task, so they are boxed first.
            Box::pin(core.confirm(&customer, hold_id, &payment, key.as_ref())).await
        };
        match self.0.work.run_within(PROVIDER_PATIENCE, work).await {
            // The provider has not answered yet: the resolution continues, and the customer may ask
            // again.
            Err(StoreError::Timeout) => Ok(Once::Now(ConfirmOutcome::Processing.into())),
            outcome => outcome,
        }
    }

    /// The state of a payment, for a browser that does not own its hold.
    pub(crate) async fn payment_seen(
        &self,
        permit: ConfirmPermit,
        hold_id: HoldId,
        payment: &str,
    ) -> Result<Option<PaymentSeen>, StoreError> {
        let core = Arc::clone(&self.0);
        let payment = payment.to_owned();
        let work = async move {
            let _permit = permit;
            core.payment_seen(hold_id, &payment).await
        };
        match self.0.work.run_within(PROVIDER_PATIENCE, work).await {
            Err(StoreError::Timeout) => Ok(Some(PaymentSeen::Checking)),
            outcome => outcome,
        }
    }

    /// Whether the hold exists, in any state, and is the customer's.
    pub(crate) async fn hold_is_of(
        &self,
        customer: &Customer,
        hold_id: HoldId,
    ) -> Result<bool, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move { core.hold_is_of(&customer, hold_id).await };
        self.0.work.run(work).await
    }

    /// Whether the booking exists and is the customer's.
    pub(crate) async fn booking_is_of(
        &self,
        customer: &Customer,
        booking_id: BookingId,
    ) -> Result<bool, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move { core.booking_is_of(&customer, booking_id).await };
        self.0.work.run(work).await
    }
}

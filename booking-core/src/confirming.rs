//! What [`Booking`] offers whoever has paid: to confirm, and to be known as the owner.

use std::sync::Arc;

use contract::{BookingId, HoldId};

use crate::bookings::{ConfirmOutcome, PaymentSeen};
use crate::config::PROVIDER_PATIENCE;
use crate::confirm_queue::{ConfirmPermit, ConfirmTurn};
use crate::customer::Customer;
use crate::database::StoreError;
use crate::handle::Booking;

impl Booking {
    /// Waits for the right to confirm. Nothing is asked or written before it is granted.
    pub async fn confirm_turn(&self) -> ConfirmTurn {
        self.0.confirms.turn().await
    }

    /// Confirms a purchase. Once the payment is known to be the customer's, this fails by a defect
    /// only: what is not known yet is [`ConfirmOutcome::Processing`].
    pub async fn confirm(
        &self,
        permit: ConfirmPermit,
        customer: &Customer,
        hold_id: HoldId,
        payment: &str,
    ) -> Result<ConfirmOutcome, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let payment = payment.to_owned();
        let work = async move {
            // Kept for as long as the work lasts, however soon the customer goes away.
            let _permit = permit;
            core.confirm(&customer, hold_id, &payment).await
        };
        match self.0.work.run_within(PROVIDER_PATIENCE, work).await {
            // The provider takes its time: the resolution goes on, and so may the customer.
            Err(StoreError::Timeout) => Ok(ConfirmOutcome::Processing),
            outcome => outcome,
        }
    }

    /// How a payment stands, for a browser that does not own its hold.
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

    /// Whether there is such a hold of the customer's, whatever became of it.
    pub(crate) async fn hold_is_of(
        &self,
        customer: &Customer,
        hold_id: HoldId,
    ) -> Result<bool, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move { core.hold_is_of(&customer, hold_id).await };
        self.0.work.run(work).await
    }

    /// Whether there is such a booking of the customer's.
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

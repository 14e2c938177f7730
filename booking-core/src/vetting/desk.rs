//! [`Booking`] for what is set against fraud, and for reviews.

use std::sync::Arc;

use contract::{BookingId, HoldId, ShowId};

use super::paying::Gate;
use super::reviewing::{Review, ReviewOutcome};
use crate::config::DATABASE_WAIT_MAX;
use crate::customer::Customer;
use crate::database::StoreError;
use crate::handle::Booking;
use crate::store::reviews::ReviewState;

impl Booking {
    /// A page with seats to choose from goes to the customer.
    pub(crate) fn seats_shown(&self, customer: &Customer) {
        if let Some(name) = customer.name().filter(|_| self.0.config.fraud.enabled) {
            self.0.behaviour.shown(&name, self.0.clock.now());
        }
    }

    /// Whether the customer may hold seats now.
    pub(crate) async fn hold_gate(
        &self,
        customer: &Customer,
        show: &ShowId,
        request: [u8; 32],
        proof: Option<String>,
    ) -> Result<Gate, StoreError> {
        // Without a solution nothing is asked of the database, so no task is needed.
        let Some(proof) = proof else {
            return self.0.hold_gate(customer, show, request, None).await;
        };
        let (core, customer, show) = (Arc::clone(&self.0), customer.clone(), show.clone());
        let work = async move {
            core.hold_gate(&customer, &show, request, Some(&proof))
                .await
        };
        self.0.work.run(work).await
    }

    /// Whether a payment for the customer's hold may be started.
    pub(crate) async fn payment_gate(
        &self,
        customer: &Customer,
        hold_id: HoldId,
        email: &str,
        proof: Option<String>,
    ) -> Result<Gate, StoreError> {
        let (core, customer, email) = (Arc::clone(&self.0), customer.clone(), email.to_owned());
        let work = async move {
            let proof = proof.as_deref();
            Box::pin(core.payment_gate(&customer, hold_id, &email, proof)).await
        };
        self.0.work.run(work).await
    }

    /// Reviews that wait, the most urgent first.
    pub(crate) async fn reviews(&self) -> Result<Vec<Review>, StoreError> {
        let core = Arc::clone(&self.0);
        self.0.work.run(async move { core.reviews().await }).await
    }

    /// The review of a booking.
    pub(crate) async fn review(&self, booking_id: BookingId) -> Result<Option<Review>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.review(booking_id).await };
        self.0.work.run(work).await
    }

    /// Decides a review.
    pub(crate) async fn review_decide(
        &self,
        booking_id: BookingId,
        state: ReviewState,
        note: Option<String>,
    ) -> Result<ReviewOutcome, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.review_decide(booking_id, state, note.as_deref()).await };
        self.0.work.run_within(DATABASE_WAIT_MAX * 2, work).await
    }

    /// Does what is due with reviews. The background work does this too.
    pub async fn reviews_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.reviews_once().await };
        self.0.work.run_within(DATABASE_WAIT_MAX * 5, work).await
    }

    /// What an operator should know of reviews, as of the last look.
    pub fn review_advice(&self) -> Option<String> {
        let backlog = self.0.review_backlog.load();
        (backlog.urgent > 0).then(|| {
            format!(
                "{} of shows that begin within a day wait for a review: `ropeline review list`",
                if backlog.urgent == 1 {
                    "1 purchase".to_owned()
                } else {
                    format!("{} purchases", backlog.urgent)
                }
            )
        })
    }
}

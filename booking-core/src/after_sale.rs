//! [`Booking`] for what comes after the sale: cancelling, codes and links, what operators do.

use std::sync::Arc;

use contract::booking::Booking as BookingView;
use contract::refund::{FindRequest, MyBooking, RefundOffer};
use contract::{BookingId, ShowId};

use crate::cancelling::{CancelOrder, CancelOutcome, FansCancel};
use crate::config::DATABASE_WAIT_MAX;
use crate::customer::Customer;
use crate::database::StoreError;
use crate::guests::MailAsked;
use crate::handle::Booking;
use crate::links::Link;
use crate::show_cancelling::ShowCancellation;
use crate::show_moving::{MoveOrder, ShowMove};
use crate::store;
use crate::store::booking_records::{BookingFilter, BookingRecord, BookingSummary};
use crate::store::show_moves::Moved;
use crate::store::sold::SoldBooking;

impl Booking {
    /// The customer that has the link with this token, and nothing else.
    pub(crate) fn guest(&self, token: &str) -> Option<(Customer, Link)> {
        let link = self.0.links.read(token)?;
        Some((Customer::default().with_link(Some(link)), link))
    }

    /// What the customer would get back now.
    pub(crate) async fn refund_offer(
        &self,
        customer: &Customer,
        booking_id: BookingId,
    ) -> Result<Option<RefundOffer>, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move { core.refund_offer(&customer, booking_id).await };
        self.0.work.run(work).await
    }

    /// Cancels tickets for their customer.
    pub(crate) async fn cancel_by_fan(
        &self,
        customer: &Customer,
        wanted: FansCancel,
    ) -> Result<CancelOutcome, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move { core.cancel_by_fan(&customer, wanted).await };
        self.0.work.run(work).await
    }

    /// Cancels tickets for an operator.
    pub(crate) async fn cancel(&self, order: CancelOrder) -> Result<CancelOutcome, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.cancel(&order).await };
        self.0.work.run(work).await
    }

    /// Mails a one-time code.
    pub(crate) async fn code_send(
        &self,
        customer: &Customer,
        booking_id: BookingId,
    ) -> Result<MailAsked, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move { core.code_send(&customer, booking_id).await };
        self.0.work.run(work).await
    }

    /// Mails the link to a booking, if there is one with this code and address. Returns at once, so
    /// that the time of the answer does not tell; false when too many search already.
    pub(crate) fn link_ask(&self, wanted: FindRequest) -> bool {
        let core = Arc::clone(&self.0);
        let Ok(permit) = Arc::clone(&self.0.finds).try_acquire_owned() else {
            return false;
        };
        self.0.work.start(async move {
            let _permit = permit;
            if let Err(error) = core.link_ask(&wanted.code, &wanted.email).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a booking that somebody looks for was not looked up");
            }
        });
        true
    }

    /// Mails the link to a booking for an operator.
    pub(crate) async fn link_resend(&self, booking_id: BookingId) -> Result<MailAsked, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.link_resend(booking_id).await };
        self.0.work.run(work).await
    }

    /// Revokes all links to a booking.
    pub(crate) async fn links_revoke(
        &self,
        booking_id: BookingId,
    ) -> Result<Option<i32>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.links_revoke(booking_id).await };
        self.0.work.run(work).await
    }

    /// The customer's bookings, the latest first.
    pub(crate) async fn my_bookings(
        &self,
        customer: &Customer,
    ) -> Result<Vec<MyBooking>, StoreError> {
        let (core, customer) = (Arc::clone(&self.0), customer.clone());
        let work = async move { core.my_bookings(&customer).await };
        self.0.work.run(work).await
    }

    /// Bookings that fit `filter`, for operators.
    pub(crate) async fn bookings_find(
        &self,
        filter: BookingFilter,
    ) -> Result<Vec<BookingSummary>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.bookings_find(&filter).await };
        self.0.work.run(work).await
    }

    /// Everything about a booking, for operators.
    pub(crate) async fn booking_record(
        &self,
        booking_id: BookingId,
    ) -> Result<Option<(BookingRecord, BookingView)>, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.booking_record(booking_id).await };
        self.0.work.run(work).await
    }

    /// A page of what was sold of `show`, for operators; `None` when there is no such show.
    pub(crate) async fn sold(
        &self,
        show: &ShowId,
        after: Option<BookingId>,
        limit: i64,
    ) -> Result<Option<Vec<SoldBooking>>, StoreError> {
        let (core, show) = (Arc::clone(&self.0), show.clone());
        let work = async move { core.sold(&show, after, limit).await };
        self.0.work.run(work).await
    }

    /// Cancels a show: its sale ends at once, and its bookings are cancelled and refunded by the
    /// background work. `None` for an unknown show; the flag tells whether it was not cancelled
    /// before.
    pub(crate) async fn show_cancel(
        &self,
        show: &ShowId,
        reason: Option<String>,
    ) -> Result<Option<(ShowCancellation, bool)>, StoreError> {
        let (core, show) = (Arc::clone(&self.0), show.clone());
        let work = async move { core.show_cancel(&show, reason.as_deref()).await };
        self.0.work.run_within(DATABASE_WAIT_MAX * 5, work).await
    }

    /// How far the cancellation of a show has come; `None` when it was not cancelled.
    pub(crate) async fn show_cancellation(
        &self,
        show: &ShowId,
    ) -> Result<Option<ShowCancellation>, StoreError> {
        let (core, show) = (Arc::clone(&self.0), show.clone());
        let work = async move { core.show_cancellation(&show).await };
        self.0.work.run(work).await
    }

    /// Cancels some bookings of cancelled shows. Returns how many. The background work does this
    /// too.
    pub async fn show_cancel_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.show_cancel_once().await };
        self.0.work.run_within(DATABASE_WAIT_MAX * 5, work).await
    }

    /// Moves a show; `None` for an unknown one.
    pub(crate) async fn show_move(
        &self,
        show: &ShowId,
        order: MoveOrder,
    ) -> Result<Option<Moved>, StoreError> {
        let (core, show) = (Arc::clone(&self.0), show.clone());
        let work = async move { core.show_move(&show, order).await };
        self.0.work.run_within(DATABASE_WAIT_MAX * 5, work).await
    }

    /// How far the telling of the last move has come; `None` when the show was not moved.
    pub(crate) async fn show_move_progress(
        &self,
        show: &ShowId,
    ) -> Result<Option<ShowMove>, StoreError> {
        let (core, show) = (Arc::clone(&self.0), show.clone());
        let work = async move { core.show_move_progress(&show).await };
        self.0.work.run(work).await
    }

    /// When and where a show takes place, for the audit log.
    pub(crate) async fn show_times(
        &self,
        show: &ShowId,
    ) -> Result<Option<serde_json::Value>, StoreError> {
        let (core, show) = (Arc::clone(&self.0), show.clone());
        let work = async move { store::show_moves::state(&core.pools.jobs, &show).await };
        self.0.work.run(work).await
    }

    /// Makes notices for some bookings of moved shows. Returns how many. The background work does
    /// this too.
    pub async fn show_move_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.show_move_once().await };
        self.0.work.run_within(DATABASE_WAIT_MAX * 5, work).await
    }

    /// Makes some reminders that are due. Returns how many. The background work does this too.
    pub async fn remind_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.remind_once().await };
        self.0.work.run_within(DATABASE_WAIT_MAX * 5, work).await
    }
}

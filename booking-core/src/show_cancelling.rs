//! Cancelling a show: every booking is cancelled and its whole price goes back.
//!
//! What is left to do is read from the bookings themselves, so that any process goes on where one
//! that died stopped. Bookings are cancelled one by one, each in a transaction of its own.

use contract::refund::RefundRule;
use contract::{ShowId, Timestamp};
use futures_util::StreamExt;
use futures_util::stream;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::cancel_decision::{Scope, Terms};
use crate::cancelling::{CancelOrder, CancelOutcome};
use crate::config::{SHOW_CANCEL_AT_ONCE, SHOW_CANCEL_BATCH_MAX};
use crate::core::Core;
use crate::database::StoreError;
use crate::money::derived_id;
use crate::store;
use crate::store::cancellations::CancelledBy;

/// Longest failure that is stored, in characters.
const ERROR_CHARS_MAX: usize = 500;

/// How far the cancellation of a show has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShowCancellation {
    /// The show.
    pub(crate) show_id: ShowId,
    /// When it was cancelled.
    pub(crate) cancelled_at: Timestamp,
    /// Why, as its fans read it.
    pub(crate) reason: Option<String>,
    /// Bookings that still have tickets.
    pub(crate) bookings_left: u64,
    /// Those of them that could not be cancelled and are tried again later.
    pub(crate) bookings_stuck: u64,
    /// Bookings that were cancelled.
    pub(crate) bookings_cancelled: u64,
    /// Refunds whose money has not gone back yet.
    pub(crate) refunds_open: u64,
    /// Refunds that a person has to look at.
    pub(crate) refunds_failed: u64,
    /// What went back, minor units.
    pub(crate) refunded_minor: i64,
    /// ISO 4217.
    pub(crate) currency: String,
    /// Whether nothing is left to do.
    pub(crate) done: bool,
}

impl Core {
    /// Ends the sale of a show for good. Returns how far its cancellation has come, and whether it
    /// was not cancelled before.
    pub(crate) async fn show_cancel(
        &self,
        show: &ShowId,
        reason: Option<&str>,
    ) -> Result<Option<(ShowCancellation, bool)>, StoreError> {
        let now = self.clock.now();
        let cancelled =
            store::show_cancellations::begin(&self.pools.jobs, show, reason, now).await?;
        let Some(first) = cancelled else {
            return Ok(None);
        };
        self.catalogue.refresh_once(now).await?;
        if first {
            tracing::warn!(%show, "a show was cancelled: its bookings are refunded");
        }
        let progress = self.show_cancellation(show).await?;
        Ok(progress.map(|progress| (progress, first)))
    }

    /// How far the cancellation of a show has come.
    pub(crate) async fn show_cancellation(
        &self,
        show: &ShowId,
    ) -> Result<Option<ShowCancellation>, StoreError> {
        let found = store::show_cancellations::progress(&self.pools.jobs, show).await?;
        Ok(found.map(|row| ShowCancellation {
            show_id: show.clone(),
            cancelled_at: row.cancelled_at,
            reason: row.reason,
            bookings_left: row.bookings_left,
            bookings_stuck: row.bookings_stuck,
            bookings_cancelled: row.bookings_cancelled,
            refunds_open: row.refunds_open,
            refunds_failed: row.refunds_failed,
            refunded_minor: row.refunded_minor,
            currency: row.currency,
            done: row.bookings_left == 0 && row.refunds_open == 0 && row.refunds_failed == 0,
        }))
    }

    /// Cancels some bookings of cancelled shows. Returns how many; there may be more.
    pub(crate) async fn show_cancel_once(&self) -> Result<usize, StoreError> {
        let pool = &self.pools.jobs;
        let mut count = 0;
        for (show_no, reason) in store::show_cancellations::with_bookings(pool).await? {
            let (now, limit) = (self.clock.now(), SHOW_CANCEL_BATCH_MAX);
            let live = store::cancellations::live_of_show(pool, show_no, now, limit).await?;
            let cancelled = stream::iter(live)
                .map(|booking_id| self.show_cancel_one(booking_id, reason.clone()))
                .buffer_unordered(SHOW_CANCEL_AT_ONCE)
                .collect::<Vec<bool>>()
                .await;
            count += cancelled.into_iter().filter(|cancelled| *cancelled).count();
        }
        Ok(count)
    }

    /// Cancels one booking. One that fails is passed over for a while, so that others get their turn.
    async fn show_cancel_one(&self, booking_id: Uuid, reason: Option<String>) -> bool {
        let order = CancelOrder {
            // A booking of a cancelled show is cancelled once, whichever process does it; the part
            // that is left when tickets were cancelled before has its own id.
            refund_id: derived_id(&["show-cancelled", &booking_id.to_string()]),
            booking_id,
            ticket_ids: None,
            scope: Scope::All,
            terms: Terms::FullEvenUsed,
            by: CancelledBy::Show,
            reason,
            code_id: None,
        };
        match self.cancel(&order).await {
            Ok(CancelOutcome::Cancelled(_)) => true,
            // Another process, or its customer's bank, was faster.
            Ok(CancelOutcome::Refused(RefundRule::AlreadyCancelled)) => false,
            Ok(outcome) => {
                tracing::error!(?outcome, %booking_id, "booking not cancelled");
                self.show_cancel_failed(booking_id, "refused").await;
                false
            }
            Err(error) if error.is_transient() => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, %booking_id, "booking not cancelled yet");
                false
            }
            Err(error) => {
                let what = error.to_string();
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    %booking_id, "booking not cancelled"
                );
                self.show_cancel_failed(booking_id, &what).await;
                false
            }
        }
    }

    /// Notes the failure. When that fails too, the booking is simply tried with the next pass.
    async fn show_cancel_failed(&self, booking_id: Uuid, what: &str) {
        let what: String = what.chars().take(ERROR_CHARS_MAX).collect();
        let pool = &self.pools.jobs;
        let noted = store::show_cancellations::failed(pool, booking_id, &what, self.clock.now());
        if let Err(error) = noted.await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, %booking_id, "a failure was not noted");
        }
    }
}

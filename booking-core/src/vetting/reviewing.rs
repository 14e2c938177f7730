//! What operators decide about purchases that were put aside, and what follows.

use std::time::Duration;

use contract::booking::BookingStatus;
use contract::{BookingId, ShowId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::cancel_decision::{Scope, Terms};
use crate::cancelling::{CancelOrder, CancelOutcome};
use crate::config::{REVIEWS_LISTED_MAX, WORK_BATCH_MAX};
use crate::core::Core;
use crate::database::StoreError;
use crate::fraud::signal::Signal;
use crate::money::derived_id;
use crate::store;
use crate::store::cancellations::CancelledBy;
use crate::store::reviews::{Decided, ReviewRow, ReviewState};
use crate::telemetry;

/// A review is urgent when the show begins this soon.
const URGENT_WITHIN: Duration = Duration::from_hours(24);
/// What the record of the cancellation says. Fans do not read it.
const REFUSED: &str = "refused in review";

/// A purchase that a person decides about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Review {
    /// The booking, whose tickets are given out when it is approved.
    pub(crate) booking_id: BookingId,
    /// Its code.
    pub(crate) code: String,
    /// The show.
    pub(crate) show_id: ShowId,
    /// When it starts: until then it has to be decided.
    pub(crate) starts_at: Timestamp,
    /// Whether the show begins within a day, or has begun.
    pub(crate) urgent: bool,
    /// The address that it was booked with.
    pub(crate) email: String,
    /// The state of the booking.
    pub(crate) booking_status: BookingStatus,
    /// Tickets that are not void.
    pub(crate) ticket_count: u32,
    /// What was paid, minor units.
    pub(crate) amount_minor: i64,
    /// ISO 4217.
    pub(crate) currency: String,
    /// The state of the review.
    pub(crate) state: ReviewState,
    /// The sum of the points.
    pub(crate) score: u32,
    /// Why it was put aside, the most points first.
    pub(crate) signals: Vec<Signal>,
    /// Since when it waits.
    pub(crate) created_at: Timestamp,
    /// When it was decided.
    pub(crate) decided_at: Option<Timestamp>,
    /// Whether it was decided by the passing of time.
    pub(crate) by_time: bool,
    /// What was written at the decision.
    pub(crate) note: Option<String>,
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReviewOutcome {
    /// It stands as decided: the review before and after.
    Decided(Box<Review>, Box<Review>),
    /// It was decided otherwise before, or its booking is cancelled.
    Settled(Box<Review>),
    /// The booking is in no review.
    NotFound,
}

impl Core {
    fn review_view(&self, row: ReviewRow) -> Result<Review, StoreError> {
        let urgent = row.starts_at <= self.clock.now().plus(URGENT_WITHIN);
        Ok(Review {
            booking_id: BookingId::new(row.booking_id),
            code: row.code,
            show_id: row
                .show_id
                .parse()
                .map_err(|error| StoreError::corrupt("shows", error))?,
            starts_at: row.starts_at,
            urgent: urgent && row.state == ReviewState::Waiting,
            email: row.email,
            booking_status: row.booking_status,
            ticket_count: row.ticket_count,
            amount_minor: row.amount_minor,
            currency: row.currency,
            state: row.state,
            score: row.score,
            signals: row.signals,
            created_at: row.created_at,
            decided_at: row.decided_at,
            by_time: row.by_time,
            note: row.note,
        })
    }

    /// Reviews that wait, the most urgent first.
    pub(crate) async fn reviews(&self) -> Result<Vec<Review>, StoreError> {
        let rows = store::reviews::waiting(&self.pools.jobs, REVIEWS_LISTED_MAX).await?;
        rows.into_iter().map(|row| self.review_view(row)).collect()
    }

    /// The review of a booking.
    pub(crate) async fn review(&self, booking_id: BookingId) -> Result<Option<Review>, StoreError> {
        let row = store::reviews::of_booking(&self.pools.jobs, booking_id.uuid()).await?;
        row.map(|row| self.review_view(row)).transpose()
    }

    /// Decides a review. Deciding it the same way again changes nothing.
    pub(crate) async fn review_decide(
        &self,
        booking_id: BookingId,
        state: ReviewState,
        note: Option<&str>,
    ) -> Result<ReviewOutcome, StoreError> {
        let pool = &self.pools.jobs;
        let Some(row) = store::reviews::of_booking(pool, booking_id.uuid()).await? else {
            return Ok(ReviewOutcome::NotFound);
        };
        let hold_id = row.hold_id;
        let before = self.review_view(row)?;
        let is_open = before.booking_status != BookingStatus::Cancelled;
        if before.state == ReviewState::Waiting && is_open {
            let decided = Decided {
                hold_id,
                state,
                by_time: false,
                note,
                now: self.clock.now(),
            };
            store::reviews::decide(pool, &decided).await?;
        }
        if state == ReviewState::Refused && is_open {
            // Also after a crash: the worker would do it too.
            let row = store::reviews::of_booking(pool, booking_id.uuid()).await?;
            if row.is_some_and(|row| row.state == ReviewState::Refused) {
                self.review_cancel(booking_id.uuid(), hold_id).await?;
            }
        }
        let after = self.review(booking_id).await?;
        let after = after.ok_or_else(|| StoreError::corrupt("reviews", "a review is gone"))?;
        Ok(if after.state == state {
            ReviewOutcome::Decided(Box::new(before), Box::new(after))
        } else {
            ReviewOutcome::Settled(Box::new(after))
        })
    }

    /// Cancels the booking of a refused review, and gives everything back. Once, whoever does it.
    async fn review_cancel(&self, booking_id: Uuid, hold_id: Uuid) -> Result<(), StoreError> {
        let order = CancelOrder {
            refund_id: derived_id(&["review-refused", &hold_id.to_string()]),
            booking_id,
            ticket_ids: None,
            scope: Scope::All,
            terms: Terms::Full,
            by: CancelledBy::Operator,
            reason: Some(REFUSED.to_owned()),
            code_id: None,
        };
        match self.cancel(&order).await? {
            CancelOutcome::Cancelled(_) => {}
            // Its customer or the show was faster.
            other => tracing::info!(%booking_id, ?other, "a refused booking was cancelled before"),
        }
        Ok(())
    }

    /// Approves reviews whose time is over, cancels bookings whose review was refused, and counts
    /// those that wait. Returns how many were decided or cancelled.
    pub(crate) async fn reviews_once(&self) -> Result<usize, StoreError> {
        let (pool, now) = (&self.pools.jobs, self.clock.now());
        let mut count = 0;
        if let Some(after) = self.config.fraud.approve_after {
            let due = store::reviews::to_approve(pool, now.minus(after), WORK_BATCH_MAX).await?;
            for hold_id in due {
                let decided = Decided {
                    hold_id,
                    state: ReviewState::Approved,
                    by_time: true,
                    note: None,
                    now,
                };
                count += usize::from(store::reviews::decide(pool, &decided).await?);
            }
        }
        for (booking_id, hold_id) in store::reviews::to_cancel(pool, WORK_BATCH_MAX).await? {
            self.review_cancel(booking_id, hold_id).await?;
            count += 1;
        }
        let backlog = store::reviews::backlog(pool, now.plus(URGENT_WITHIN)).await?;
        metrics::gauge!(telemetry::REVIEWS_WAITING).set(number(backlog.waiting));
        self.review_backlog.store(std::sync::Arc::new(backlog));
        Ok(count)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn number(count: u64) -> f64 {
    count as f64
}

//! Moving a show to another time or venue, and reminding of shows.
//!
//! Which bookings are not told yet is read from the bookings themselves, so that any process goes on
//! where one that died stopped.

use contract::booking::Venue;
use contract::{ShowId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::{
    REMINDER_BATCH_MAX, SHOW_MOVE_BATCH_MAX, SHOW_MOVE_LOOK_AGAIN, SHOW_MOVE_TELL_FOR,
};
use crate::core::Core;
use crate::database::StoreError;
use crate::store;
use crate::store::show_moves::{Moved, NewMove};

/// Where and when a show is to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MoveOrder {
    pub(crate) starts_at: Timestamp,
    pub(crate) ends_at: Option<Timestamp>,
    /// The present one when `None`.
    pub(crate) venue: Option<Venue>,
    pub(crate) reason: Option<String>,
    pub(crate) refund_until: Option<Timestamp>,
}

/// How far the telling of the last move of a show has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShowMove {
    /// The show.
    pub(crate) show_id: ShowId,
    /// How often it was moved.
    pub(crate) sequence: i32,
    /// When it was moved.
    pub(crate) moved_at: Timestamp,
    /// When it was to start before.
    pub(crate) old_starts_at: Timestamp,
    /// When it starts.
    pub(crate) starts_at: Timestamp,
    /// Why, as its fans read it.
    pub(crate) reason: Option<String>,
    /// Until when the whole price goes back for the asking.
    pub(crate) refund_until: Option<Timestamp>,
    /// Buyers and holders of passed-on tickets for whom no notice is made yet.
    pub(crate) bookings_left: u64,
    /// Notices that are to be sent.
    pub(crate) notices_due: u64,
    /// Notices that were sent.
    pub(crate) notices_sent: u64,
    /// Notices that were given up: `ropeline mail list` has them.
    pub(crate) notices_failed: u64,
    /// Whether nothing is left to do.
    pub(crate) done: bool,
}

impl Core {
    /// Moves a show. Returns what came of it; `None` for an unknown show.
    pub(crate) async fn show_move(
        &self,
        show: &ShowId,
        order: MoveOrder,
    ) -> Result<Option<Moved>, StoreError> {
        let now = self.clock.now();
        let new = NewMove {
            move_id: self.randomness.uuid(now),
            starts_at: order.starts_at,
            ends_at: order.ends_at,
            venue: order.venue,
            reason: order.reason,
            refund_until: order.refund_until,
        };
        let moved = store::show_moves::begin(&self.pools.jobs, show, &new, now).await?;
        if moved == Some(Moved::Now) {
            self.catalogue.refresh_once(now).await?;
            tracing::warn!(%show, "a show was moved: its bookings are told");
        }
        Ok(moved)
    }

    /// How far the telling of the last move has come; `None` when the show was not moved.
    pub(crate) async fn show_move_progress(
        &self,
        show: &ShowId,
    ) -> Result<Option<ShowMove>, StoreError> {
        let found = store::show_moves::progress(&self.pools.jobs, show).await?;
        Ok(found.map(|row| ShowMove {
            show_id: show.clone(),
            sequence: row.sequence,
            moved_at: row.moved_at,
            old_starts_at: row.old_starts_at,
            starts_at: row.starts_at,
            reason: row.reason,
            refund_until: row.refund_until,
            bookings_left: row.bookings_left,
            notices_due: row.notices_due,
            notices_sent: row.notices_sent,
            notices_failed: row.notices_failed,
            done: row.bookings_left == 0 && row.notices_due == 0 && row.notices_failed == 0,
        }))
    }

    /// Makes notices for some buyers and holders of moved shows. Returns how many; there may be more.
    pub(crate) async fn show_move_once(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let since = now.minus(SHOW_MOVE_TELL_FOR);
        let looked_at = now.minus(SHOW_MOVE_LOOK_AGAIN);
        let (pool, domain, limit) = (&self.pools.jobs, self.mailer.domain(), SHOW_MOVE_BATCH_MAX);
        store::show_moves::tell(pool, domain, (since, looked_at), now, limit).await
    }

    /// Makes some reminders that are due. Returns how many; there may be more.
    pub(crate) async fn remind_once(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let domain = self.mailer.domain();
        store::show_moves::remind(&self.pools.jobs, domain, now, REMINDER_BATCH_MAX).await
    }
}

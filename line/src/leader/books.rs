//! The books of a room: what its leader writes down once a second, beside the calls, so that no
//! call waits for it.

use std::sync::Arc;
use std::time::Duration;

use contract::Timestamp;
use tokio::time::MissedTickBehavior;

use super::shared::Shared;
use crate::error::WorkError;
use crate::live_keys::{self, RESERVED_MIN};
use crate::room::Room;
use crate::store::OUTCOMES_MAX;

/// Time between snapshots, reservations and comparisons with the log.
const WORK_EVERY: Duration = Duration::from_secs(1);
/// How often is looked whether it is time: a new leader leaves a snapshot within this.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Most rounds of writing down outcomes at a time; what is left is written the next time.
const OUTCOME_ROUNDS: usize = 5;

/// What keeping the books of one room remembers.
pub(super) struct Books {
    room: Arc<Room>,
    shared: Arc<Shared>,
    /// When the last snapshot was taken.
    done_at: Option<Timestamp>,
}

impl Books {
    pub(super) const fn new(room: Arc<Room>, shared: Arc<Shared>) -> Self {
        Self {
            room,
            shared,
            done_at: None,
        }
    }

    /// Keeps them while this gateway leads, until the room ends.
    pub(super) async fn run(mut self) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.room.stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            if let Err(error) = self.keep_if_due().await {
                self.room.meters.tick_failures.increment(1);
                tracing::debug!(room = %self.room.id, %error, "books not kept");
            }
        }
    }

    /// Keeps them, if this gateway leads and it is time.
    pub(super) async fn keep_if_due(&mut self) -> Result<(), WorkError> {
        if !self.shared.lock().leads {
            self.done_at = None;
            return Ok(());
        }
        let now = self.room.parts.clock.now();
        if self.done_at.is_some_and(|at| now.since(at) < WORK_EVERY) {
            return Ok(());
        }
        self.snapshot_leave(now).await?;
        self.records_compare().await
    }

    /// Leaves the snapshot for all gateways.
    async fn snapshot_leave(&mut self, now: Timestamp) -> Result<(), WorkError> {
        let room = &self.room;
        let at = room.store_ref();
        let mut snapshot = room.parts.store.snapshot_take(&at, now).await?;
        {
            let known = self.shared.lock();
            (snapshot.counts.waited_ms, snapshot.counts.waited) = known.waited;
            snapshot.limited_by = known.limited_by.map(|why| why.as_str().to_owned());
        }
        room.parts.store.snapshot_put(&at, &snapshot).await?;
        self.done_at = Some(now);
        Ok(())
    }

    /// Reserves live keys ahead, writes outcomes down, and looks whether the store lacks admissions
    /// that the log has.
    async fn records_compare(&self) -> Result<(), WorkError> {
        let keys = live_keys::ensure(&self.room, RESERVED_MIN).await?;
        self.shared.lock().lifts = keys.lifts;
        self.outcomes_note().await?;
        let head = self.room.parts.durable.head(&self.room.id).await?;
        self.shared.log_ends_at(head.seq);
        Ok(())
    }

    /// Writes down what became of admissions, so that a line made again knows it.
    async fn outcomes_note(&self) -> Result<(), WorkError> {
        let (parts, at) = (&self.room.parts, self.room.store_ref());
        for _ in 0..OUTCOME_ROUNDS {
            let outcomes = parts.store.outcomes_take(&at).await?;
            if outcomes.is_empty() {
                break;
            }
            parts.durable.outcomes_note(&at.room, &outcomes).await?;
            parts.store.outcomes_done(&at, &outcomes).await?;
            if outcomes.len() < OUTCOMES_MAX {
                break;
            }
        }
        Ok(())
    }
}

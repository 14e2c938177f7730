//! The books of a room: what its leader writes down once a second, beside the calls, so that no
//! call waits for it.

use std::sync::Arc;
use std::time::Duration;

use contract::Timestamp;
use tokio::time::MissedTickBehavior;

use super::shared::Shared;
use crate::error::WorkError;
use crate::live_keys::{self, RESERVED_MIN};
use crate::rest::Task;
use crate::room::Room;
use crate::store::OUTCOMES_MAX;

/// Time between snapshots, reservations and comparisons with the log.
const WORK_EVERY: Duration = Duration::from_secs(1);
/// How often is looked whether it is time: a new leader leaves a snapshot within this.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Most rounds of writing down outcomes at a time; what is left is written the next time.
const OUTCOME_ROUNDS: usize = 5;

/// What a look at the books came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Another gateway keeps them.
    Follows,
    /// It is not time yet.
    NotDue,
    /// They are kept; whether everything is written down of a room in which nobody is.
    Done { is_settled: bool },
}

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
        let room = self.room.clone();
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = room.stop.cancelled() => return,
                _ = room.rest.next_round(&mut looks) => {}
            }
            let round = room.rest.round();
            let is_settled = match self.keep_if_due().await {
                Ok(Kept::NotDue) => continue,
                Ok(Kept::Follows) => false,
                Ok(Kept::Done { is_settled }) => is_settled,
                Err(error) => {
                    room.meters.tick_failures.increment(1);
                    tracing::debug!(room = %room.id, %error, "books not kept");
                    false
                }
            };
            room.rest.note(Task::Books, round, is_settled);
        }
    }

    /// Keeps them, if this gateway leads and it is time.
    pub(super) async fn keep_if_due(&mut self) -> Result<Kept, WorkError> {
        if !self.shared.lock().leads {
            self.done_at = None;
            return Ok(Kept::Follows);
        }
        let now = self.room.parts.clock.now();
        if self.done_at.is_some_and(|at| now.since(at) < WORK_EVERY) {
            return Ok(Kept::NotDue);
        }
        let is_empty = self.snapshot_leave(now).await?;
        let is_written = self.records_compare().await?;
        Ok(Kept::Done {
            is_settled: is_empty && is_written,
        })
    }

    /// Leaves the snapshot for all gateways. Whether nobody is in it.
    async fn snapshot_leave(&mut self, now: Timestamp) -> Result<bool, WorkError> {
        let room = &self.room;
        let at = room.store_ref();
        let mut snapshot = room.parts.store.snapshot_take(&at, now).await?;
        {
            let known = self.shared.lock();
            (snapshot.counts.waited_ms, snapshot.counts.waited) = known.waited;
            snapshot.accuracy = room.forecasts().accuracy();
            snapshot.limited_by = known.limited_by.map(|why| why.as_str().to_owned());
        }
        room.parts.store.snapshot_put(&at, &snapshot).await?;
        self.done_at = Some(now);
        Ok(snapshot.counts.is_empty())
    }

    /// Reserves live keys ahead, writes outcomes down, and looks whether the store lacks admissions
    /// that the log has. Whether all outcomes are written.
    async fn records_compare(&self) -> Result<bool, WorkError> {
        let keys = live_keys::ensure(&self.room, RESERVED_MIN).await?;
        self.shared.lock().lifts = keys.lifts;
        let is_written = self.outcomes_note().await?;
        let head = self.room.parts.durable.head(&self.room.id).await?;
        self.shared.log_ends_at(head.seq);
        Ok(is_written)
    }

    /// Writes down what became of admissions, so that a line made again knows it. Whether none is
    /// left.
    async fn outcomes_note(&self) -> Result<bool, WorkError> {
        let (parts, at) = (&self.room.parts, self.room.store_ref());
        for _ in 0..OUTCOME_ROUNDS {
            let outcomes = parts.store.outcomes_take(&at).await?;
            if outcomes.is_empty() {
                return Ok(true);
            }
            parts.durable.outcomes_note(&at.room, &outcomes).await?;
            parts.store.outcomes_done(&at, &outcomes).await?;
            if outcomes.len() < OUTCOMES_MAX {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

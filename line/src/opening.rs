//! Opening a room once.

use std::time::Duration;

use contract::Timestamp;

use crate::error::WorkError;
use crate::live_keys;
use crate::room::Room;
use crate::store::{Opening, StoreError};

/// Most rounds of dropping absent places before the opening; the next tick goes on with it.
const DROP_ROUNDS_MAX: usize = 200;

impl Room {
    /// Opens the room once, if it was told to: keeps the line as it stands, from which queue
    /// numbers are read, ends the draw, and then publishes the seed, so that everyone can check
    /// it. In this order, because nobody comes back to a room that is open, and because a gateway
    /// that has not read yet that it is would let people draw by a seed that is known. May be
    /// repeated after any failure, and done by several gateways at once.
    ///
    /// Whoever was not seen for the room's absence timeout is dropped before (PRESENT). In a room
    /// that many absent places are to be dropped from at once, that takes more than one tick.
    pub async fn open_if_ordered(&self, now: Timestamp) -> Result<(), WorkError> {
        if self.record().opened_at.is_some() || !self.is_told_to_open() {
            return Ok(());
        }
        // A server that is not confirmed may have lost places, and does not know who was present.
        live_keys::ensure(self, Duration::ZERO).await?;
        let Some(waiting) = self.draw_end(now).await? else {
            return Ok(());
        };
        if let Some(record) = self.parts.durable.seed_reveal(&self.id, now).await? {
            self.opening_set(&record);
            tracing::info!(room = %self.id, waiting, "room opened");
        }
        Ok(())
    }

    /// Ends the draw in the store. How many wait then; none while more absent places are to be
    /// dropped before.
    async fn draw_end(&self, now: Timestamp) -> Result<Option<u64>, WorkError> {
        let (at, store) = (self.store_ref(), &self.parts.store);
        let settings = &self.record().settings;
        let absence_timeout = Duration::from_secs(settings.absence_timeout_seconds);
        let opening = Opening {
            now,
            present_within: settings.draw_requires_presence.then_some(absence_timeout),
        };
        for _ in 0..DROP_ROUNDS_MAX {
            let snapshot = store.snapshot_take(&at, now).await?;
            if store.opening_put(&at, &snapshot, opening).await? {
                return Ok(Some(snapshot.counts.in_line));
            }
        }
        Ok(None)
    }

    /// Opens the room as the operator has just asked, before they are answered. Should that fail,
    /// the leader goes on trying.
    pub async fn open_now(&self) {
        let now = self.parts.clock.now();
        let opened = match self.open_if_ordered(now).await {
            Err(WorkError::Store(StoreError::NoRoom)) => match self.rebuild().await {
                Ok(()) => self.open_if_ordered(now).await,
                Err(error) => Err(error),
            },
            other => other,
        };
        if let Err(error) = opened {
            tracing::warn!(room = %self.id, %error, "the room opens with the next tick");
        }
    }
}

//! Opening a room once.

use contract::Timestamp;

use crate::error::WorkError;
use crate::room::Room;
use crate::store::StoreError;

impl Room {
    /// Opens the room once, if it was told to: keeps the line as it stands, from which queue
    /// numbers are read, ends the draw, and then publishes the seed, so that everyone can check
    /// it. In this order, because nobody comes back to a room that is open, and because a gateway
    /// that has not read yet that it is would let people draw by a seed that is known. May be
    /// repeated after any failure, and done by several gateways at once.
    pub async fn open_if_ordered(&self, now: Timestamp) -> Result<(), WorkError> {
        if self.record().opened_at.is_some() || !self.is_told_to_open() {
            return Ok(());
        }
        let (at, store) = (self.store_ref(), &self.parts.store);
        let snapshot = store.snapshot_take(&at, now).await?;
        store.opening_put(&at, &snapshot).await?;
        if let Some(record) = self.parts.durable.seed_reveal(&self.id, now).await? {
            self.opening_set(&record);
            tracing::info!(room = %self.id, waiting = snapshot.counts.in_line, "room opened");
        }
        Ok(())
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

//! Checks which installation owns the line in Redis. With two databases behind one line, a gateway
//! would call fans of the other database, and the other's keys would refuse their passes.

use std::sync::atomic::{AtomicBool, Ordering};

use line::store::StoreError;
use line::store::redis::{INSTALLATION_KEY, RedisStore};

use crate::installation::NotOurs;

/// A store, and the installation that has to own its line.
pub struct LineOwner {
    store: RedisStore,
    installation: String,
    /// Whether a check has found that the line is ours.
    is_confirmed: AtomicBool,
}

impl LineOwner {
    /// Claims the line in `store` if it has no owner; fails if another installation owns it. If
    /// Redis does not answer, the gateway starts anyway, but is not ready until a check succeeds.
    pub async fn claim(store: RedisStore, installation: String) -> Result<Self, NotOurs> {
        let owner = Self {
            store,
            installation,
            is_confirmed: AtomicBool::new(false),
        };
        match owner.check().await {
            Ok(Err(not_ours)) => return Err(not_ours),
            Ok(Ok(())) => {}
            Err(error) => {
                tracing::warn!(%error, "whose line Redis has is looked at once it answers");
            }
        }
        Ok(owner)
    }

    /// Reads the owner of the line from Redis; the first installation to check becomes the owner.
    pub async fn check(&self) -> Result<Result<(), NotOurs>, StoreError> {
        let theirs = self.store.installation(&self.installation).await?;
        if theirs == self.installation {
            self.is_confirmed.store(true, Ordering::Relaxed);
            return Ok(Ok(()));
        }
        Ok(Err(NotOurs::OtherLine {
            theirs,
            ours: self.installation.clone(),
            key: INSTALLATION_KEY,
        }))
    }

    /// Whether rooms can be served although a check has failed: the line was found to be ours, and
    /// another shard of a cluster answers than the one which knows whose the line is.
    pub async fn serves_in_part(&self) -> bool {
        self.is_confirmed.load(Ordering::Relaxed) && self.store.reached().await.is_ok()
    }
}

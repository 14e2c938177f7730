//! Whose the line in Redis is. Two databases in front of one line would call each other's fans
//! under keys that the other refuses.

use line::store::StoreError;
use line::store::redis::{INSTALLATION_KEY, RedisStore};

use crate::installation::NotOurs;

/// A store, and the installation whose line it has to have.
pub struct LineOwner {
    store: RedisStore,
    installation: String,
}

impl LineOwner {
    /// Takes the line in `store` if it is nobody's, and refuses one that is another's. A Redis that
    /// does not answer refuses nobody: a gateway starts without it, and is not ready until it is
    /// known to be ours.
    pub async fn claim(store: RedisStore, installation: String) -> Result<Self, NotOurs> {
        let owner = Self {
            store,
            installation,
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

    /// Asks Redis whose its line is; whoever asks first has it.
    pub async fn check(&self) -> Result<Result<(), NotOurs>, StoreError> {
        let theirs = self.store.installation(&self.installation).await?;
        if theirs == self.installation {
            return Ok(Ok(()));
        }
        Ok(Err(NotOurs::OtherLine {
            theirs,
            ours: self.installation.clone(),
            key: INSTALLATION_KEY,
        }))
    }
}

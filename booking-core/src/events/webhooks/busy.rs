//! Whom this process delivers to.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

/// The subscriptions that this process delivers to at the moment.
#[derive(Debug, Default)]
pub(crate) struct Busy(Mutex<HashSet<Uuid>>);

impl Busy {
    pub(super) fn begin(&self, subscription_id: Uuid) -> bool {
        let mut busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        busy.insert(subscription_id)
    }

    pub(super) fn end(&self, subscription_id: Uuid) {
        let mut busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        busy.remove(&subscription_id);
    }
}

//! What calling visitors and keeping the books of a room know of each other.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::room::LimitedBy;

/// What both know. Each lock is held for a moment.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<Known>);

/// The fields.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Whether this gateway leads.
    pub leads: bool,
    /// The last ordinal, as of which store and log are known to agree. None until they were
    /// compared, while a batch is on its way, and after anything whose outcome is not known.
    pub agreed_seq: Option<u64>,
    /// Waits of live joiners called by this process: sum in milliseconds, and how many.
    pub waited: (u64, u64),
    /// Where the live clock was set ahead of the time.
    pub lifts: Vec<u64>,
    /// Why the last tick called no more.
    pub limited_by: Option<LimitedBy>,
}

impl Shared {
    /// The fields hold no invariant that a panic could break half-way.
    pub(super) fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another gateway leads.
    pub(super) fn follow(&self) {
        let mut known = self.lock();
        known.leads = false;
        known.agreed_seq = None;
    }

    /// Takes note of where the log ends: what it has beyond what is agreed is another's.
    pub(super) fn log_ends_at(&self, seq: u64) {
        let mut known = self.lock();
        known.agreed_seq = known.agreed_seq.filter(|agreed| seq <= *agreed);
    }

    /// Adds a wait to those of this process.
    pub(super) fn add_wait(&self, wait: Duration) {
        let (sum, count) = &mut self.lock().waited;
        *sum += u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        *count += 1;
    }
}

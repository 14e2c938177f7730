//! Places whose last connection closed: gathered until the store is told.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use contract::PlaceId;

/// Most absences that are kept while the store does not answer: several times the connections
/// that a gateway can have.
const NOTED_MAX: usize = 65_536;

/// Absences not reported yet, at most [`NOTED_MAX`].
#[derive(Debug, Default)]
pub struct Absences(Mutex<BTreeSet<PlaceId>>);

impl Absences {
    /// Notes that the last connection of `place` closed.
    pub fn note(&self, place: PlaceId) {
        self.note_all([place]);
    }

    /// Notes absences again that could not be reported.
    pub(crate) fn note_all(&self, places: impl IntoIterator<Item = PlaceId>) {
        let mut noted = self.lock();
        let room = NOTED_MAX.saturating_sub(noted.len());
        noted.extend(places.into_iter().take(room));
    }

    /// Whether all are reported.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// What was noted, which is then to be reported.
    pub(crate) fn take(&self) -> BTreeSet<PlaceId> {
        std::mem::take(&mut *self.lock())
    }

    /// The set holds no invariant that a panic could break half-way.
    fn lock(&self) -> MutexGuard<'_, BTreeSet<PlaceId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Who waits for the end of which session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use contract::PlaceId;
use tokio::sync::Notify;

/// Who waits for the end of which session. No larger than the number of open connections.
#[derive(Debug, Default)]
pub struct Endings(Mutex<Waiting>);

type Waiting = HashMap<PlaceId, Arc<Notify>>;

/// One who waits.
#[derive(Debug)]
pub(crate) struct Ending<'a> {
    endings: &'a Endings,
    place: PlaceId,
    pub(crate) notify: Arc<Notify>,
}

impl Endings {
    /// Wakes whoever waits for the end of this session.
    pub fn wake(&self, place: PlaceId) {
        if let Some(notify) = self.lock().get(&place) {
            notify.notify_waiters();
        }
    }

    /// Waits for the end of the session of `place`.
    pub(crate) fn of(&self, place: PlaceId) -> Ending<'_> {
        let notify = self.lock().entry(place).or_default().clone();
        Ending {
            endings: self,
            place,
            notify,
        }
    }

    /// A panic elsewhere leaves the map whole: each change is one call.
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut waiting = self.endings.lock();
        // Two are left: the map's and this one's.
        if Arc::strong_count(&self.notify) <= 2 {
            waiting.remove(&self.place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_remembered_who_no_longer_waits() {
        let endings = Endings::default();
        let place = PlaceId::from_bytes([1; 16]);
        let one = endings.of(place);
        let two = endings.of(place);
        drop(one);
        assert!(endings.lock().contains_key(&place));
        drop(two);
        assert!(endings.lock().is_empty());
    }
}

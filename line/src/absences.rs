//! Places whose last connection closed: gathered and told to the store a few times a second.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::PlaceId;
use tokio::time::MissedTickBehavior;

use super::presence::Presence;
use super::room::Room;

/// Time between reports to the store.
const REPORT_EVERY: Duration = Duration::from_millis(500);

/// How long the connections of a room that ends may take to close.
const LAST_REPORTS_MAX: Duration = Duration::from_secs(3);

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

    fn note_all(&self, places: impl IntoIterator<Item = PlaceId>) {
        let mut noted = self.lock();
        let room = NOTED_MAX.saturating_sub(noted.len());
        noted.extend(places.into_iter().take(room));
    }

    fn take(&self) -> BTreeSet<PlaceId> {
        std::mem::take(&mut *self.lock())
    }

    /// The set holds no invariant that a panic could break half-way.
    fn lock(&self) -> MutexGuard<'_, BTreeSet<PlaceId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reports absences and renews the lease on the presence of everyone else until the room ends;
/// then reports those of the connections that end with it.
pub async fn run(room: Arc<Room>) {
    let mut presence = Presence::new(room.clone());
    let mut ticks = tokio::time::interval(REPORT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = room.stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        report_once(&room).await;
        if let Err(error) = presence.renew_if_due().await {
            tracing::debug!(room = %room.id, %error, "presence not renewed");
        }
    }
    let last = async {
        while room.sockets.count() > 0 {
            ticks.tick().await;
            report_once(&room).await;
        }
        report_once(&room).await;
        presence.end().await
    };
    // Those that close later, or could not be reported, are absent when the lease has ended.
    let _late = tokio::time::timeout(LAST_REPORTS_MAX, last).await;
}

/// Reports what was noted. A place that came back in the meantime is not absent; should it come
/// back here or elsewhere while this is under way, the notice of it makes the follower say so.
pub async fn report_once(room: &Room) {
    let gone = room.absences.take();
    let absent: Vec<_> = gone
        .into_iter()
        .filter(|place| !room.sockets.has(place))
        .collect();
    if absent.is_empty() {
        return;
    }
    let now = room.parts.now();
    if let Err(error) = room
        .parts
        .store
        .places_absent(&room.store_ref(), now, &absent)
        .await
    {
        tracing::debug!(room = %room.id, %error, places = absent.len(), "absences not reported");
        room.absences.note_all(absent);
    }
}

//! Places whose last connection closed: gathered and told to the store a few times a second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::PlaceId;
use tokio::time::MissedTickBehavior;

use super::room::Room;

/// Time between reports to the store.
const REPORT_EVERY: Duration = Duration::from_millis(500);

/// How long the connections of a room that ends may take to close.
const LAST_REPORTS_MAX: Duration = Duration::from_secs(3);

/// Absences not reported yet: at most one for each connection that a gateway can have.
#[derive(Debug, Default)]
pub struct Absences(Mutex<Vec<PlaceId>>);

impl Absences {
    /// Notes that the last connection of `place` closed.
    pub fn note(&self, place: PlaceId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(place);
    }

    fn take(&self) -> Vec<PlaceId> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reports absences until the room ends, and then those of the connections that end with it.
pub async fn run(room: Arc<Room>) {
    let mut ticks = tokio::time::interval(REPORT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = room.stop.cancelled() => break,
            _ = ticks.tick() => report_once(&room).await,
        }
    }
    let last = async {
        while room.sockets.count() > 0 {
            ticks.tick().await;
            report_once(&room).await;
        }
        report_once(&room).await;
    };
    // Those that close later count as present until they miss their turn.
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
    let now = room.parts.clock.now();
    if let Err(error) = room
        .parts
        .store
        .places_absent(&room.store_ref(), now, &absent)
        .await
    {
        // They stay in the line as if present and are found out when they do not claim.
        tracing::debug!(room = %room.id, %error, places = absent.len(), "absences not reported");
    }
}

//! Waiting for the end of a session, for connections that outlive the request they began with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::pass::PassClaims;
use contract::{Clock, PlaceId};
use tokio::sync::Notify;

use super::room::Room;

/// How long a connection may go on after its session ended by time: sessions slide, and rooms
/// open, so the end is looked for and not awaited.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who waits for the end of which session. No larger than the number of open connections.
#[derive(Debug, Default)]
pub struct Endings(Mutex<Waiting>);

type Waiting = HashMap<PlaceId, Arc<Notify>>;

/// One who waits.
#[derive(Debug)]
struct Ending<'a> {
    endings: &'a Endings,
    place: PlaceId,
    notify: Arc<Notify>,
}

impl Endings {
    /// Wakes whoever waits for the end of this session.
    pub fn wake(&self, place: PlaceId) {
        if let Some(notify) = self.lock().get(&place) {
            notify.notify_waiters();
        }
    }

    fn of(&self, place: PlaceId) -> Ending<'_> {
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

/// Waits until the one who came in with `pass`, or without one while nobody waited, is no longer
/// inside `room`.
pub async fn over(room: Arc<Room>, pass: Option<Arc<PassClaims>>) {
    let ending = pass.as_ref().map(|pass| room.sessions.endings.of(pass.sub));
    let nobody = Notify::new();
    let notify = ending.as_ref().map_or(&nobody, |ending| &*ending.notify);
    loop {
        let woken = notify.notified();
        tokio::pin!(woken);
        // Begun before the look, so that an end in between is not missed.
        woken.as_mut().enable();
        if !is_inside(&room, pass.as_deref()).await {
            return;
        }
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn is_inside(room: &Room, pass: Option<&PassClaims>) -> bool {
    if room.is_idle() {
        return true;
    }
    let now = room.parts.clock.now();
    match pass {
        Some(pass) => room.sessions.look(room, pass, now).await.is_some(),
        None => false,
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

//! The connections whose fans wait on this gateway.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::PlaceId;
use metrics::Gauge;
use tokio::sync::Notify;

use crate::core_thread::PerCore;
use crate::policy::display::Display;
use crate::policy::order::OrderKey;
use crate::store::{Notice, OnceOpen, Standing};

/// One connection.
#[derive(Debug)]
pub struct Socket {
    /// Whose.
    pub place: PlaceId,
    /// Their order key, to put them back if the store loses them.
    pub key: OrderKey,
    once_open: OnceOpen,
    standing: Mutex<Known>,
    changed: Notify,
    /// What was last shown to the fan; 0 before anything was.
    shown: AtomicU64,
    /// The core that serves it, and where it is in that core's list.
    core: usize,
    at: AtomicUsize,
}

/// How a fan stands, as far as a connection knows.
#[derive(Clone, Copy, Debug)]
struct Known {
    standing: Standing,
    /// Whether a notice told it.
    told: bool,
    /// Whether the store was told that the fan is connected here.
    is_present: bool,
}

impl Socket {
    /// How the fan stands.
    pub fn standing(&self) -> Standing {
        lock(&self.standing).standing
    }

    /// Notes how the fan stands now and wakes the connection.
    pub fn standing_set(&self, standing: Standing) {
        {
            let mut known = lock(&self.standing);
            (known.standing, known.told) = (standing, true);
        }
        self.wake();
    }

    /// Notes what the first look found. A notice that came meanwhile is the newer word.
    pub fn standing_found(&self, standing: Standing) {
        let mut known = lock(&self.standing);
        known.is_present = true;
        if !known.told {
            known.standing = standing;
        }
    }

    /// Notes that the store was told that the fan is connected here.
    pub fn is_present_set(&self) {
        lock(&self.standing).is_present = true;
    }

    /// What becomes of the key once the room is open. It holds from the time on when the store has
    /// had the place and this connection together, whatever the store loses later.
    pub fn once_open(&self) -> OnceOpen {
        if lock(&self.standing).is_present {
            OnceOpen::Keep
        } else {
            self.once_open
        }
    }

    /// Waits until it is woken: what the fan sees may have changed, or the room stops.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Notes what the fan is shown. Whether it differs from what was shown before.
    pub fn show(&self, display: Display) -> bool {
        let display = display.get();
        self.shown.swap(display, Ordering::Relaxed) != display
    }

    /// Wakes the connection unless the fan is shown `display` already.
    pub(crate) fn display_is(&self, display: Display) {
        if self.shown.load(Ordering::Relaxed) != display.get() {
            self.wake();
        }
    }

    /// Wakes the connection.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }
}

/// The connections that one core serves.
#[derive(Debug, Default)]
struct OfCore {
    open: Vec<Arc<Socket>>,
    /// Whether a task tells them of new views.
    is_told: bool,
}

/// All connections of one room. A place may have several: tabs of one browser share it.
pub struct Sockets {
    by_place: Mutex<HashMap<PlaceId, Vec<Arc<Socket>>>>,
    by_core: PerCore<Mutex<OfCore>>,
    count: Gauge,
}

impl Sockets {
    /// No connections yet; how many there are is shown by `count`.
    pub fn counted_by(count: Gauge) -> Self {
        Self {
            by_place: Mutex::default(),
            by_core: PerCore::new(Mutex::default),
            count,
        }
    }

    /// Adds a connection of `place`, which waits as far as anyone knows, unless it has `max`.
    /// `once_open` is what becomes of its key once the room is open.
    pub(crate) fn add(
        &self,
        place: PlaceId,
        key: OrderKey,
        once_open: OnceOpen,
        max: usize,
    ) -> Option<Arc<Socket>> {
        let socket = Socket {
            place,
            key,
            once_open,
            standing: Mutex::new(Known {
                standing: Standing::Waiting { key },
                told: false,
                is_present: false,
            }),
            changed: Notify::new(),
            shown: AtomicU64::new(0),
            core: self.by_core.own_number(),
            at: AtomicUsize::new(0),
        };
        let socket = Arc::new(socket);
        let mut sockets = lock(&self.by_place);
        let of_place = sockets
            .entry(place)
            .or_insert_with(|| Vec::with_capacity(1));
        if of_place.len() >= max {
            return None;
        }
        of_place.push(socket.clone());
        drop(sockets);
        let open = &mut lock(self.by_core.of(socket.core)).open;
        socket.at.store(open.len(), Ordering::Relaxed);
        open.push(socket.clone());
        self.count.increment(1.0);
        Some(socket)
    }

    /// Removes a connection. Whether it was the last of its place.
    pub fn remove(&self, socket: &Arc<Socket>) -> bool {
        let mut sockets = lock(&self.by_place);
        let Some(of_place) = sockets.get_mut(&socket.place) else {
            return false;
        };
        let before = of_place.len();
        of_place.retain(|other| !Arc::ptr_eq(other, socket));
        let was_open = before > of_place.len();
        let last = of_place.is_empty();
        if last {
            sockets.remove(&socket.place);
        }
        drop(sockets);
        if was_open {
            self.core_forgets(socket);
            self.count.decrement(1.0);
        }
        last
    }

    fn core_forgets(&self, socket: &Socket) {
        let open = &mut lock(self.by_core.of(socket.core)).open;
        let at = socket.at.load(Ordering::Relaxed);
        open.swap_remove(at);
        if let Some(moved) = open.get(at) {
            moved.at.store(at, Ordering::Relaxed);
        }
    }

    /// Whether this core's connections were told of new views by nobody: whoever asks does it now.
    pub(crate) fn telling_begins(&self) -> bool {
        !std::mem::replace(&mut lock(self.by_core.own()).is_told, true)
    }

    /// The connections that the core with this number serves; `None` when there are none, and then
    /// nobody tells them of new views any more.
    pub(crate) fn of_core(&self, number: usize) -> Option<Vec<Arc<Socket>>> {
        let mut of_core = lock(self.by_core.of(number));
        of_core.is_told = !of_core.open.is_empty();
        of_core.is_told.then(|| of_core.open.clone())
    }

    /// The number of the core that runs this.
    pub(crate) fn own_core(&self) -> usize {
        self.by_core.own_number()
    }

    /// Whether `place` has a connection here.
    pub fn has(&self, place: &PlaceId) -> bool {
        lock(&self.by_place).contains_key(place)
    }

    /// Connections open now.
    pub fn count(&self) -> usize {
        lock(&self.by_place).values().map(Vec::len).sum()
    }

    /// Places that wait, and of which the store was told that they are connected here.
    pub fn present(&self) -> u64 {
        let is_present = |socket: &Arc<Socket>| {
            let known = lock(&socket.standing);
            known.is_present && matches!(known.standing, Standing::Waiting { .. })
        };
        let sockets = lock(&self.by_place);
        let present = sockets
            .values()
            .filter(|of_place| of_place.iter().any(is_present));
        u64::try_from(present.count()).unwrap_or(u64::MAX)
    }

    /// Tells the connections concerned what happened.
    pub fn notify(&self, notice: &Notice) {
        let sockets = lock(&self.by_place);
        let tell = |place: &PlaceId, standing: Standing| {
            for socket in sockets.get(place).into_iter().flatten() {
                socket.standing_set(standing);
            }
        };
        match notice {
            Notice::Called {
                places,
                first_seq,
                claim_by,
            } => {
                for (place, seq) in places.iter().zip(*first_seq..) {
                    tell(
                        place,
                        Standing::Called {
                            seq,
                            claim_by: *claim_by,
                        },
                    );
                }
            }
            Notice::Claimed {
                place,
                seq,
                started_at,
                expires_at,
            } => {
                let (seq, started_at, expires_at) = (*seq, *started_at, *expires_at);
                tell(
                    place,
                    Standing::Active {
                        seq,
                        started_at,
                        expires_at,
                    },
                );
            }
            Notice::Ended { place, seq } => {
                for socket in sockets.get(place).into_iter().flatten() {
                    // The word of an end may cross that of the next call.
                    let is_later = match socket.standing() {
                        Standing::Called { seq: known, .. }
                        | Standing::Active { seq: known, .. } => known > *seq,
                        _ => false,
                    };
                    if !is_later {
                        socket.standing_set(Standing::Ended);
                    }
                }
            }
            // The follower looks and tells.
            Notice::Look { .. } => {}
        }
    }

    /// Tells the connections of `place` how it stands, if they think otherwise.
    pub fn tell(&self, place: PlaceId, standing: Standing) {
        for socket in lock(&self.by_place).get(&place).into_iter().flatten() {
            if socket.standing() != standing {
                socket.standing_set(standing);
            }
        }
    }

    /// How `place` stands, as far as its connections here know.
    pub fn standing(&self, place: &PlaceId) -> Option<Standing> {
        let sockets = lock(&self.by_place);
        Some(sockets.get(place)?.first()?.standing())
    }

    /// A connection of each of `places` that has one here.
    pub fn of(&self, places: &[PlaceId]) -> Vec<Arc<Socket>> {
        let sockets = lock(&self.by_place);
        let found = places
            .iter()
            .filter_map(|place| sockets.get(place)?.first());
        found.cloned().collect()
    }

    /// A connection of each place that may still change, to look after them again. Whoever left is
    /// in no log: a look would bring them back.
    pub fn unsettled(&self) -> Vec<Arc<Socket>> {
        let is_unsettled = |socket: &&Arc<Socket>| {
            let standing = socket.standing();
            !matches!(
                standing,
                Standing::Left | Standing::Ended | Standing::Unknown
            )
        };
        let sockets = lock(&self.by_place);
        let of_each = sockets
            .values()
            .filter_map(|of_place| of_place.iter().find(is_unsettled));
        of_each.cloned().collect()
    }
}

/// The map holds no invariant that a panic could break half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Timestamp;

    #[test]
    fn a_call_between_connecting_and_looking_is_not_lost() {
        let sockets = Sockets::counted_by(Gauge::noop());
        let (place, key) = (PlaceId::from_bytes([1; 16]), OrderKey::new(5).unwrap());
        let socket = sockets.add(place, key, OnceOpen::Keep, 2).unwrap();
        let claim_by = Timestamp::from_ms(9);
        sockets.notify(&Notice::Called {
            places: vec![place],
            first_seq: 7,
            claim_by,
        });
        socket.standing_found(Standing::Waiting { key });
        assert_eq!(socket.standing(), Standing::Called { seq: 7, claim_by });
    }

    #[test]
    fn whoever_may_still_be_told_something_is_looked_after() {
        let (place, key) = (PlaceId::from_bytes([1; 16]), OrderKey::new(5).unwrap());
        let (seq, at) = (7, Timestamp::from_ms(9));
        let active = Standing::Active {
            seq,
            started_at: at,
            expires_at: at,
        };
        for (standing, is_looked_after) in [
            (Standing::Waiting { key }, true),
            (Standing::Called { seq, claim_by: at }, true),
            (active, true),
            (Standing::Missed { key, until: at }, true),
            (Standing::Left, false),
            (Standing::Ended, false),
            (Standing::Unknown, false),
        ] {
            let sockets = Sockets::counted_by(Gauge::noop());
            sockets
                .add(place, key, OnceOpen::Keep, 2)
                .unwrap()
                .standing_set(standing);
            assert_eq!(
                !sockets.unsettled().is_empty(),
                is_looked_after,
                "{standing:?}"
            );
        }
    }

    #[test]
    fn a_place_waits_while_one_of_its_tabs_does() {
        let sockets = Sockets::counted_by(Gauge::noop());
        let (place, key) = (PlaceId::from_bytes([1; 16]), OrderKey::new(5).unwrap());
        let first = sockets.add(place, key, OnceOpen::Keep, 2).unwrap();
        let second = sockets.add(place, key, OnceOpen::Keep, 2).unwrap();
        first.standing_set(Standing::Left);
        assert_eq!(sockets.unsettled().len(), 1);
        second.standing_set(Standing::Left);
        assert!(sockets.unsettled().is_empty());
    }

    #[test]
    fn tabs_share_a_place_and_the_last_one_out_is_told() {
        let sockets = Sockets::counted_by(Gauge::noop());
        let (place, key) = (PlaceId::from_bytes([1; 16]), OrderKey::new(5).unwrap());
        let first = sockets.add(place, key, OnceOpen::Keep, 2).unwrap();
        let second = sockets.add(place, key, OnceOpen::Keep, 2).unwrap();
        let claim_by = Timestamp::from_ms(9);
        sockets.notify(&Notice::Called {
            places: vec![place],
            first_seq: 7,
            claim_by,
        });
        assert!(
            sockets.add(place, key, OnceOpen::Keep, 2).is_none(),
            "a third tab"
        );
        for socket in [&first, &second] {
            assert_eq!(socket.standing(), Standing::Called { seq: 7, claim_by });
        }
        assert!(!sockets.remove(&first));
        assert!(!sockets.remove(&first));
        assert!(sockets.remove(&second));
        assert_eq!(sockets.count(), 0);
    }
}

//! The connections whose fans wait on this gateway.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::PlaceId;
use metrics::Gauge;
use tokio::sync::Notify;

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
        self.changed.notify_one();
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

    /// Waits until the standing has changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// All connections of one room. A place may have several: tabs of one browser share it.
pub struct Sockets {
    by_place: Mutex<HashMap<PlaceId, Vec<Arc<Socket>>>>,
    count: Gauge,
}

impl Sockets {
    /// No connections yet; how many there are is shown by `count`.
    pub fn counted_by(count: Gauge) -> Self {
        Self {
            by_place: Mutex::default(),
            count,
        }
    }

    /// Adds a connection of `place`, which waits as far as anyone knows, unless it has `max`.
    /// `once_open` is what becomes of its key once the room is open.
    pub fn add(
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
        if before > of_place.len() {
            self.count.decrement(1.0);
        }
        let last = of_place.is_empty();
        if last {
            sockets.remove(&socket.place);
        }
        last
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

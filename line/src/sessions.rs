//! Who is inside, as far as this gateway knows.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::{PlaceId, Timestamp};
use moka::ops::compute::{CompResult, Op};
use moka::sync::Cache;

use crate::endings::Endings;
use crate::store::{Notice, StoreError, StoreResult};

/// Sessions remembered per room. Forgetting one costs a question to the store.
const SESSIONS_MAX: u64 = 200_000;
/// How long a session is remembered without use.
const IDLE_MAX: Duration = Duration::from_hours(1);

/// Most ends that are told again: as many sessions as a gateway ends in a quarter of a minute.
const ENDS_KEPT: usize = 20_000;

/// How long the store is left alone after it did not answer. It takes up to 0.9 seconds to find
/// out, which a fan should not wait for with every click.
pub(crate) const QUIET: Duration = Duration::from_secs(1);

/// What is known of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Live {
        /// The admission: an older pass of the same place is none.
        seq: u64,
        started_at: Timestamp,
        expires_at: Timestamp,
    },
    Over {
        /// So is every earlier admission of the place; a later one is not known of.
        seq: u64,
    },
}

/// The sessions of one room.
pub struct Sessions {
    pub(crate) known: Cache<PlaceId, Known>,
    /// Who waits here for the end of which session.
    pub endings: Endings,
    /// Sessions that ended lately, the latest last: at most [`ENDS_KEPT`].
    lately_over: Mutex<VecDeque<(Timestamp, PlaceId)>>,
    /// Claims that the store could not take yet, because it had lost the call as well.
    untaken: Mutex<HashMap<PlaceId, Untaken>>,
    /// Grows whenever sessions end, so that an answer from before an end is not kept after it.
    pub(crate) ends: AtomicU64,
    pub(crate) outage: Outage,
}

/// A claim that waits until the store has its call again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Untaken {
    /// Until when its session lasts.
    pub(crate) until: Timestamp,
    /// The session has ended since, so the call is not to be given to anyone again.
    pub(crate) is_over: bool,
}

/// Whether the store answers. While it does not, one request in a [`QUIET`] asks for all.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    /// Milliseconds; 0 while the store answers.
    quiet_until: AtomicI64,
}

/// What a pass is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionCheck {
    /// A session that ends at `expires_at`; prolonged just now if `renewed`.
    Live {
        /// When it ends.
        expires_at: Timestamp,
        /// Whether this request prolonged it.
        renewed: bool,
    },
    /// No session, or no more.
    Over,
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new()
    }
}

impl Sessions {
    /// No sessions known.
    pub fn new() -> Self {
        Self {
            known: Cache::builder()
                .max_capacity(SESSIONS_MAX)
                .time_to_idle(IDLE_MAX)
                .build(),
            endings: Endings::default(),
            lately_over: Mutex::default(),
            untaken: Mutex::default(),
            ends: AtomicU64::new(0),
            outage: Outage::default(),
        }
    }

    /// Takes over what another gateway did.
    pub fn notify(&self, notice: &Notice) {
        match notice {
            Notice::Called {
                places, first_seq, ..
            } => {
                for (seq, place) in (*first_seq..).zip(places) {
                    self.called(*place, seq);
                }
            }
            Notice::Claimed {
                place,
                seq,
                started_at,
                expires_at,
            } => {
                let live = Known::Live {
                    seq: *seq,
                    started_at: *started_at,
                    expires_at: *expires_at,
                };
                self.learn(*place, live);
            }
            Notice::Ended { place, seq } => self.ended_as(*place, *seq),
            Notice::Look { .. } => {}
        }
    }

    /// Notes a call. A place that missed its turn and is called again may be known as over; one
    /// whose claim of this very call is known was put back by a store that has lost the claim.
    fn called(&self, place: PlaceId, seq: u64) {
        let entry = self.known.entry(place);
        let before = entry.and_compute_with(|known| match known.map(|entry| *entry.value()) {
            // The word of the call comes after the end of its session.
            Some(Known::Over { seq: over }) if seq <= over && over != u64::MAX => Op::Nop,
            Some(_) => Op::Remove,
            None => Op::Nop,
        });
        if let CompResult::Removed(entry) = before
            && let Known::Live {
                seq: claimed,
                expires_at,
                ..
            } = *entry.value()
            && claimed == seq
        {
            let claim = Untaken {
                until: expires_at,
                is_over: false,
            };
            self.untaken().insert(place, claim);
        }
    }

    /// Takes over what is told of a session. Its end may be known already: a claim is told, and a
    /// question answered, some time after it was so.
    pub(crate) fn learn(&self, place: PlaceId, live: Known) {
        let entry = self.known.entry(place);
        entry.and_compute_with(|known| match known.map(|entry| *entry.value()) {
            Some(Known::Over { seq }) if live.seq() <= seq => Op::Nop,
            _ => Op::Put(live),
        });
    }

    /// Of these places, those with a claim that the store could not take.
    pub(crate) fn untaken_of(&self, places: &[PlaceId]) -> Vec<PlaceId> {
        let untaken = self.untaken();
        let of_these = places.iter().filter(|place| untaken.contains_key(place));
        of_these.copied().collect()
    }

    /// The claims that wait until the store has their calls again. No panic can leave the map half
    /// changed.
    pub(crate) fn untaken(&self) -> MutexGuard<'_, HashMap<PlaceId, Untaken>> {
        self.untaken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a session that was claimed here.
    pub fn claimed(&self, place: PlaceId, seq: u64, started_at: Timestamp, expires_at: Timestamp) {
        let live = Known::Live {
            seq,
            started_at,
            expires_at,
        };
        self.learn(place, live);
    }

    /// Sessions that ended since `since`.
    pub(crate) fn lately_over(&self, since: Timestamp) -> Vec<PlaceId> {
        let over = self.lately_over.lock();
        let over = over.unwrap_or_else(PoisonError::into_inner);
        let lately = over.iter().filter(|(at, _)| *at >= since);
        lately.map(|(_, place)| *place).collect()
    }

    /// Forgets everything: the store may have lost its memory.
    pub fn forget(&self) {
        self.ends.fetch_add(1, Ordering::AcqRel);
        self.known.invalidate_all();
    }

    /// Notes that the session of a place is over, and those of its admissions until `seq`, where
    /// that is known.
    pub fn ended(&self, place: PlaceId, seq: Option<u64>, now: Timestamp) {
        self.over(place, |known| {
            let latest = known.map(Known::seq).max(seq);
            Some(latest.unwrap_or(u64::MAX))
        });
        let mut over = self
            .lately_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if over.len() >= ENDS_KEPT {
            over.pop_front();
        }
        over.push_back((now, place));
    }

    /// Notes that the session of admission `seq` is over. One of a later admission goes on: the
    /// word of an end may cross that of the next call.
    pub(crate) fn ended_as(&self, place: PlaceId, seq: u64) {
        self.over(place, |known| match known {
            Some(Known::Live { seq: live, .. }) if live > seq => None,
            _ => Some(seq),
        });
    }

    /// Notes an end until the admission that `until` makes of what is known; `None`: no end.
    fn over(&self, place: PlaceId, until: impl FnOnce(Option<Known>) -> Option<u64>) {
        self.ends.fetch_add(1, Ordering::AcqRel);
        let entry = self.known.entry(place);
        let after =
            entry.and_compute_with(|known| match until(known.map(|entry| *entry.value())) {
                Some(seq) => Op::Put(Known::Over { seq }),
                None => Op::Nop,
            });
        if matches!(after, CompResult::Unchanged(_)) {
            return;
        }
        if let Some(claim) = self.untaken().get_mut(&place) {
            claim.is_over = true;
        }
        self.endings.wake(place);
    }
}

impl Known {
    /// The admission, or the last one, that this is known of.
    pub(crate) const fn seq(self) -> u64 {
        match self {
            Self::Live { seq, .. } | Self::Over { seq } => seq,
        }
    }
}

impl Outage {
    /// Whether to ask the store at `now`.
    pub(crate) fn may_ask(&self, now: Timestamp) -> bool {
        let until = self.quiet_until.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        let next = now.plus(QUIET).as_ms();
        // Farther away than that is a clock that was set back since.
        if (now.as_ms() + 1..=next).contains(&until) {
            return false;
        }
        // Of all who come now, one asks.
        self.quiet_until
            .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Takes an answer, or that there was none, into account.
    pub(crate) fn note<T>(&self, answer: &StoreResult<T>, now: Timestamp) {
        let is_away = matches!(
            answer,
            Err(StoreError::Unavailable(_) | StoreError::Timeout)
        );
        let until = if is_away { now.plus(QUIET).as_ms() } else { 0 };
        self.quiet_until.store(until, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_away_is_asked_once_in_a_while() {
        let at = |ms: i64| Timestamp::from_ms(1_790_000_000_000 + ms);
        let outage = Outage::default();
        assert!(outage.may_ask(at(0)) && outage.may_ask(at(0)));
        outage.note::<()>(&Err(StoreError::Timeout), at(0));
        assert!(!outage.may_ask(at(0)));
        assert!(!outage.may_ask(at(999)));
        // One asks for all, until it has an answer.
        assert!(outage.may_ask(at(1_000)));
        assert!(!outage.may_ask(at(1_001)));
        outage.note::<()>(&Err(StoreError::Timeout), at(1_800));
        assert!(!outage.may_ask(at(2_100)));
        // A clock that was set back does not make it last.
        assert!(outage.may_ask(at(-5_000)));
        outage.note(&Ok(()), at(2_800));
        assert!(outage.may_ask(at(2_801)) && outage.may_ask(at(2_801)));
        // A room that is not there yet is an answer.
        outage.note::<()>(&Err(StoreError::NoRoom), at(2_900));
        assert!(outage.may_ask(at(2_901)));
    }

    #[test]
    fn the_word_of_an_end_that_crosses_the_next_call_ends_nothing() {
        let sessions = Sessions::new();
        let (place, at) = (PlaceId::from_bytes([1; 16]), Timestamp::from_ms(9));
        let claimed = |seq| Notice::Claimed {
            place,
            seq,
            started_at: at,
            expires_at: at,
        };
        let is_over = || matches!(sessions.known.get(&place), Some(Known::Over { .. }));
        sessions.notify(&claimed(2));
        sessions.notify(&Notice::Ended { place, seq: 1 });
        assert!(!is_over());
        sessions.notify(&Notice::Ended { place, seq: 2 });
        assert!(is_over());
    }

    #[test]
    fn the_word_of_a_claim_that_crosses_its_end_revives_nothing() {
        let sessions = Sessions::new();
        let (place, at) = (PlaceId::from_bytes([1; 16]), Timestamp::from_ms(9));
        let claimed = |seq| Notice::Claimed {
            place,
            seq,
            started_at: at,
            expires_at: at,
        };
        let is_over = || matches!(sessions.known.get(&place), Some(Known::Over { .. }));
        sessions.claimed(place, 1, at, at);
        sessions.ended(place, None, at);
        let called = |first_seq| Notice::Called {
            places: vec![place],
            first_seq,
            claim_by: at,
        };
        sessions.notify(&called(1));
        sessions.notify(&claimed(1));
        assert!(is_over());
        sessions.notify(&called(2));
        sessions.notify(&claimed(2));
        assert!(!is_over());
        // Of a pass that was given by another gateway.
        sessions.ended(place, Some(3), at);
        sessions.notify(&called(3));
        sessions.notify(&claimed(3));
        assert!(is_over());
        // What a later gateway heard of first.
        sessions.claimed(place, 4, at, at);
        assert!(!is_over());
    }
}

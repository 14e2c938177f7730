//! Who is inside, as far as this gateway knows.
//!
//! A pass proves an admission; whether its session still runs is asked of the store once, when
//! this gateway first sees the pass, and then followed by notices. With the store away the pass
//! alone is believed: admitted fans keep shopping.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use contract::pass::PassClaims;
use contract::{Clock, PlaceId, Timestamp};
use futures_util::stream::{self, StreamExt};
use moka::sync::Cache;

use super::room::Room;
use super::session_end::Endings;
use crate::store::{Notice, Standing, StoreError, StoreResult};

/// Sessions remembered per room. Forgetting one costs a question to the store.
const SESSIONS_MAX: u64 = 200_000;
/// How long a session is remembered without use.
const IDLE_MAX: Duration = Duration::from_hours(1);

/// How much of the latest a store may lose in a failover and be told again.
const RETOLD: Duration = Duration::from_secs(15);
/// Most ends that are told again: as many sessions as a gateway ends within [`RETOLD`].
const ENDS_KEPT: usize = 20_000;
/// Claims and ends that are told again at the same time.
const RETOLD_AT_ONCE: usize = 32;

/// How long the store is left alone after it did not answer. It takes up to 0.9 seconds to find
/// out, which a fan should not wait for with every click.
const QUIET: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
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
    known: Cache<PlaceId, Known>,
    /// Who waits here for the end of which session.
    pub endings: Endings,
    /// Sessions that ended lately, the latest last: at most [`ENDS_KEPT`].
    lately_over: Mutex<VecDeque<(Timestamp, PlaceId)>>,
    /// Grows whenever sessions end, so that an answer from before an end is not kept after it.
    ends: AtomicU64,
    outage: Outage,
}

/// Whether the store answers. While it does not, one request in a [`QUIET`] asks for all.
#[derive(Debug, Default)]
struct Outage {
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
            ends: AtomicU64::new(0),
            outage: Outage::default(),
        }
    }

    /// Takes over what another gateway did.
    pub fn notify(&self, notice: &Notice) {
        match notice {
            Notice::Called { places, .. } => {
                // A place that missed its turn and is called again may be known as over.
                for place in places {
                    self.known.invalidate(place);
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
                self.known.insert(*place, live);
            }
            Notice::Ended { place, seq } => self.ended_as(*place, *seq),
            Notice::Look { .. } => {}
        }
    }

    /// Notes a session that was claimed here.
    pub fn claimed(&self, place: PlaceId, seq: u64, started_at: Timestamp, expires_at: Timestamp) {
        let live = Known::Live {
            seq,
            started_at,
            expires_at,
        };
        self.known.insert(place, live);
    }

    /// Tells a store that went back to an earlier state which calls were claimed and which
    /// sessions ended lately, as far as this gateway has heard. What the store knows stays.
    pub async fn retell(&self, room: &Room, now: Timestamp) {
        let since = now.minus(RETOLD);
        let over = self.lately_over(since);
        let claims = self.known.iter().filter_map(|(place, known)| match known {
            Known::Live {
                started_at,
                expires_at,
                ..
            } if started_at >= since && expires_at > now => Some((*place, expires_at, false)),
            _ => None,
        });
        let ends = over.into_iter().map(|place| (place, now.plus(QUIET), true));
        let told: Vec<_> = claims.chain(ends).collect();
        let (store, at) = (&room.parts.store, room.store_ref());
        let retold = stream::iter(told).map(|(place, until, is_over)| {
            let at = &at;
            async move {
                // An end is of a session, so that it gives no call back.
                store.session_claim(at, now, place, until).await?;
                if is_over {
                    store.session_end(at, now, place).await?;
                }
                Ok::<_, StoreError>(())
            }
        });
        let retold = retold.buffer_unordered(RETOLD_AT_ONCE);
        let failures = retold
            .filter(|told| std::future::ready(told.is_err()))
            .count();
        let failures = failures.await;
        if failures > 0 {
            tracing::warn!(room = %room.id, failures, "claims and ends not told again");
        }
    }

    /// Sessions that ended since `since`.
    fn lately_over(&self, since: Timestamp) -> Vec<PlaceId> {
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

    /// Notes that a session is over.
    pub fn ended(&self, place: PlaceId, now: Timestamp) {
        self.ended_as(place, u64::MAX);
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
    fn ended_as(&self, place: PlaceId, seq: u64) {
        self.ends.fetch_add(1, Ordering::AcqRel);
        let known = self.known.get(&place);
        if matches!(known, Some(Known::Live { seq: live, .. }) if live > seq) {
            return;
        }
        self.known.insert(place, Known::Over { seq });
        self.endings.wake(place);
    }

    /// Whether the pass with `claims`, whose signature and times are good, stands for a session.
    /// Prolongs it when it is due.
    pub async fn check(&self, room: &Room, claims: &PassClaims, now: Timestamp) -> SessionCheck {
        match self.known(room, claims, now).await {
            Some(Known::Live {
                started_at,
                expires_at,
                ..
            }) if expires_at > now => self.renew(room, claims, now, started_at, expires_at).await,
            Some(_) => SessionCheck::Over,
            None => live(claims.expires_at(), false),
        }
    }

    /// When the session that the pass with `claims` stands for ends; `None` when it is over.
    /// Only a request to the room's part of the site prolongs a session, so this does not.
    pub async fn look(
        &self,
        room: &Room,
        claims: &PassClaims,
        now: Timestamp,
    ) -> Option<Timestamp> {
        match self.known(room, claims, now).await {
            Some(Known::Live { expires_at, .. }) => (expires_at > now).then_some(expires_at),
            Some(Known::Over { .. }) => None,
            None => Some(claims.expires_at()).filter(|end| *end > now),
        }
    }

    /// Like [`Sessions::look`], for requests that must change nothing: a call that nobody has
    /// claimed stays one, and is no session.
    pub async fn peek(
        &self,
        room: &Room,
        claims: &PassClaims,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let by_pass = Some(claims.expires_at()).filter(|end| *end > now);
        match self.known.get(&claims.sub) {
            _ if claims.queue_position == 0 => return None,
            Some(Known::Over { .. }) => return None,
            Some(Known::Live { seq, .. }) if seq != claims.queue_position => return None,
            Some(Known::Live { expires_at, .. }) if expires_at > now => return Some(expires_at),
            Some(Known::Live { .. }) | None => {}
        }
        if !self.outage.may_ask(now) {
            return by_pass;
        }
        // A session is never shortened, so prolonging it until now only tells whether it is there.
        let at = room.store_ref();
        let answer = room.parts.store.session_renew(&at, now, claims.sub, now);
        let answer = answer.await;
        self.outage.note(&answer, room.parts.clock.now());
        match answer {
            Ok(false) => None,
            Ok(true) | Err(_) => by_pass,
        }
    }

    /// What is known of the session. `None` when the store does not answer: the pass itself is
    /// proof enough until it ends. A session that is over by time as far as is known here may
    /// have been prolonged by another gateway, so the store is asked once more.
    async fn known(&self, room: &Room, claims: &PassClaims, now: Timestamp) -> Option<Known> {
        if claims.queue_position == 0 {
            // Given while nobody waited: there is no session to ask for.
            return Some(Known::Over { seq: 0 });
        }
        let known = match self.known.get(&claims.sub) {
            Some(Known::Live { expires_at, .. }) if expires_at <= now => {
                self.ask(room, claims, now).await?
            }
            // What was over when it was asked for may have been called again since.
            Some(Known::Over { seq }) if seq < claims.queue_position => {
                self.ask(room, claims, now).await?
            }
            Some(known) => known,
            None => self.ask(room, claims, now).await?,
        };
        Some(match known {
            Known::Live { seq, .. } if seq != claims.queue_position => Known::Over { seq },
            known => known,
        })
    }

    async fn ask(&self, room: &Room, claims: &PassClaims, now: Timestamp) -> Option<Known> {
        if !self.outage.may_ask(now) {
            return None;
        }
        let duration = Duration::from_secs(room.record().settings.session_duration_seconds);
        let (at, until) = (room.store_ref(), now.plus(duration));
        let ends = self.ends.load(Ordering::Acquire);
        let claim = room.parts.store.session_claim(&at, now, claims.sub, until);
        let answer = claim.await;
        self.outage.note(&answer, room.parts.clock.now());
        let known = match answer.ok()? {
            Standing::Active {
                started_at,
                expires_at,
                seq,
            } => Known::Live {
                seq,
                started_at,
                expires_at,
            },
            _ => Known::Over {
                seq: claims.queue_position,
            },
        };
        if self.ends.load(Ordering::Acquire) == ends {
            self.known.insert(claims.sub, known);
        }
        Some(known)
    }

    /// Prolongs a session that is in its second half, as far as the room allows.
    async fn renew(
        &self,
        room: &Room,
        claims: &PassClaims,
        now: Timestamp,
        started_at: Timestamp,
        expires_at: Timestamp,
    ) -> SessionCheck {
        let record = room.record();
        let settings = &record.settings;
        let duration = Duration::from_secs(settings.session_duration_seconds);
        let latest = started_at.plus(Duration::from_secs(settings.session_max_seconds));
        let until = now.plus(duration).min(latest);
        let due = expires_at.since(now) < duration / 2 && until > expires_at;
        if !settings.session_renewal || !due || !self.outage.may_ask(now) {
            return live(expires_at, false);
        }
        let at = room.store_ref();
        let renewal = room.parts.store.session_renew(&at, now, claims.sub, until);
        let answer = renewal.await;
        self.outage.note(&answer, room.parts.clock.now());
        match answer {
            Ok(true) => {
                let prolonged = Known::Live {
                    seq: claims.queue_position,
                    started_at,
                    expires_at: until,
                };
                self.known.insert(claims.sub, prolonged);
                live(until, true)
            }
            Ok(false) => {
                self.ended_as(claims.sub, claims.queue_position);
                SessionCheck::Over
            }
            // Not prolonged now; the next request tries again.
            Err(_) => live(expires_at, false),
        }
    }
}

impl Outage {
    /// Whether to ask the store at `now`.
    fn may_ask(&self, now: Timestamp) -> bool {
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
    fn note<T>(&self, answer: &StoreResult<T>, now: Timestamp) {
        let is_away = matches!(
            answer,
            Err(StoreError::Unavailable(_) | StoreError::Timeout)
        );
        let until = if is_away { now.plus(QUIET).as_ms() } else { 0 };
        self.quiet_until.store(until, Ordering::Relaxed);
    }
}

const fn live(expires_at: Timestamp, renewed: bool) -> SessionCheck {
    SessionCheck::Live {
        expires_at,
        renewed,
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
}

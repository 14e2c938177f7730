//! Who is inside, as far as this gateway knows.
//!
//! A pass proves an admission; whether its session still runs is asked of the store once, when
//! this gateway first sees the pass, and then followed by notices. With the store away the pass
//! alone is believed: admitted fans keep shopping.

use std::time::Duration;

use contract::pass::PassClaims;
use contract::{PlaceId, Timestamp};
use moka::sync::Cache;

use super::room::Room;
use crate::store::{Notice, Standing};

/// Sessions remembered per room. Forgetting one costs a question to the store.
const SESSIONS_MAX: u64 = 200_000;
/// How long a session is remembered without use.
const IDLE_MAX: Duration = Duration::from_hours(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Live {
        started_at: Timestamp,
        expires_at: Timestamp,
    },
    Over,
}

/// The sessions of one room.
pub struct Sessions(Cache<PlaceId, Known>);

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
        Self(
            Cache::builder()
                .max_capacity(SESSIONS_MAX)
                .time_to_idle(IDLE_MAX)
                .build(),
        )
    }

    /// Takes over what another gateway did.
    pub fn notify(&self, notice: &Notice) {
        match notice {
            Notice::Called { places, .. } => {
                // A place that missed its turn and is called again may be known as over.
                for place in places {
                    self.0.invalidate(place);
                }
            }
            Notice::Claimed {
                place,
                started_at,
                expires_at,
                ..
            } => {
                let (started_at, expires_at) = (*started_at, *expires_at);
                self.0.insert(
                    *place,
                    Known::Live {
                        started_at,
                        expires_at,
                    },
                );
            }
            Notice::Ended { place } => self.0.insert(*place, Known::Over),
            Notice::Look { .. } => {}
        }
    }

    /// Forgets everything: the store may have lost its memory.
    pub fn forget(&self) {
        self.0.invalidate_all();
    }

    /// Notes that a session is over.
    pub fn ended(&self, place: PlaceId) {
        self.0.insert(place, Known::Over);
    }

    /// Whether the pass with `claims`, whose signature and times are good, stands for a session.
    pub async fn check(&self, room: &Room, claims: &PassClaims, now: Timestamp) -> SessionCheck {
        // A session that ended by what is remembered may have been prolonged elsewhere, of which
        // there is no notice: the pass says that it is good, so the store is asked.
        let remembered = self
            .0
            .get(&claims.sub)
            .filter(|known| !matches!(known, Known::Live { expires_at, .. } if *expires_at <= now));
        let known = match remembered {
            Some(known) => known,
            None => match self.ask(room, claims, now).await {
                Some(known) => known,
                // The store does not answer: the pass itself is proof enough until it ends.
                None => return live(claims.expires_at(), false),
            },
        };
        match known {
            Known::Live { expires_at, .. } if expires_at <= now => SessionCheck::Over,
            Known::Live {
                started_at,
                expires_at,
            } => self.renew(room, claims, now, started_at, expires_at).await,
            Known::Over => SessionCheck::Over,
        }
    }

    async fn ask(&self, room: &Room, claims: &PassClaims, now: Timestamp) -> Option<Known> {
        let duration = Duration::from_secs(room.record().settings.session_duration_seconds);
        let (at, until) = (room.store_ref(), now.plus(duration));
        let claim = room.parts.store.session_claim(&at, now, claims.sub, until);
        let known = match claim.await.ok()? {
            Standing::Active {
                started_at,
                expires_at,
                seq,
            } if seq == claims.queue_position => Known::Live {
                started_at,
                expires_at,
            },
            // The pass of an earlier admission says nothing about the session that runs.
            Standing::Active { .. } => return Some(Known::Over),
            _ => Known::Over,
        };
        self.0.insert(claims.sub, known);
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
        if !settings.session_renewal || !due {
            return live(expires_at, false);
        }
        let store = &room.parts.store;
        match store
            .session_renew(&room.store_ref(), now, claims.sub, until)
            .await
        {
            Ok(true) => {
                self.0.insert(
                    claims.sub,
                    Known::Live {
                        started_at,
                        expires_at: until,
                    },
                );
                live(until, true)
            }
            Ok(false) => {
                self.ended(claims.sub);
                SessionCheck::Over
            }
            // Not prolonged now; the next request tries again.
            Err(_) => live(expires_at, false),
        }
    }
}

const fn live(expires_at: Timestamp, renewed: bool) -> SessionCheck {
    SessionCheck::Live {
        expires_at,
        renewed,
    }
}

//! What a pass is worth, and what a store that lost something is told again.
//!
//! A pass proves an admission; whether its session still runs is asked of the store once, when
//! this gateway first sees the pass, and then followed by notices. With the store away the pass
//! alone is believed: admitted fans keep shopping.

use std::sync::atomic::Ordering;
use std::time::Duration;

use contract::pass::PassClaims;
use contract::{Clock, PlaceId, Timestamp};
use futures_util::stream::{self, StreamExt};

use crate::room::Room;
use crate::sessions::{Known, SessionCheck, Sessions, Untaken};
use crate::store::{Standing, StoreError, StoreResult};

/// How much of the latest a store may lose in a failover and be told again.
const RETOLD: Duration = Duration::from_secs(15);
/// Claims and ends that are told again at the same time.
const RETOLD_AT_ONCE: usize = 32;

impl Sessions {
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
        room.rest.stir();
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
        room.rest.stir();
        self.outage.note(&answer, room.parts.clock.now());
        match answer {
            Ok(true) => {
                let prolonged = Known::Live {
                    seq: claims.queue_position,
                    started_at,
                    expires_at: until,
                };
                self.learn(claims.sub, prolonged);
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
        let ends = over
            .into_iter()
            .map(|place| (place, now.plus(RETOLD), true));
        let told: Vec<_> = claims.chain(ends).collect();
        self.untaken().retain(|_, claim| claim.until > now);
        let (store, at) = (&room.parts.store, room.store_ref());
        let retold = stream::iter(told).map(|(place, until, is_over)| {
            let at = &at;
            async move {
                // An end is of a session, so that it gives no call back.
                let standing = store.session_claim(at, now, place, until).await?;
                if !matches!(standing, Standing::Active { .. }) {
                    // Its call is lost as well, and claimed once the log has given it back.
                    self.untaken().insert(place, Untaken { until, is_over });
                } else if is_over {
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
}

impl Sessions {
    /// Claims calls that the store has put back, whose claims were heard before it lost them.
    pub async fn claim_again(
        &self,
        room: &Room,
        now: Timestamp,
        places: &[PlaceId],
    ) -> StoreResult<()> {
        for place in places.iter().copied() {
            let Some(claim) = self.untaken().get(&place).copied() else {
                continue;
            };
            let (store, at) = (&room.parts.store, room.store_ref());
            store.session_claim(&at, now, place, claim.until).await?;
            if claim.is_over {
                store.session_end(&at, now, place).await?;
            }
            self.untaken().remove(&place);
        }
        Ok(())
    }
}

const fn live(expires_at: Timestamp, renewed: bool) -> SessionCheck {
    SessionCheck::Live {
        expires_at,
        renewed,
    }
}

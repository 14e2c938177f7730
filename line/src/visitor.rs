//! What a visitor can do: join, look, claim, leave. The HTTP handlers and the pages call these.

use std::time::Duration;

use contract::line::{PlaceState, StatusDocument};
use contract::room::{Challenge, QueueingMethod};
use contract::{Clock, PlaceId, Problem, ProblemCode, Timestamp};

use crate::error::line_problem;
use crate::passes::{Admission, Minted, mint, mint_called, mint_idle};
use crate::policy::access_code;
use crate::policy::order::OrderKey;
use crate::policy::place::PlaceToken;
use crate::policy::status::{PlaceFacts, RoomView, Seen};
use crate::room::Room;
use crate::store::{Enter, Entered, Entry, OnceOpen, Standing};
use contract::line::Phase;
use uuid::Uuid;

/// Someone who wants a place.
#[derive(Clone, Debug, Default)]
pub struct Joiner {
    /// The place token they hold.
    pub token: Option<PlaceToken>,
    /// Their part of the draw; the server makes one when there is none.
    pub nonce: Option<[u8; 16]>,
    /// The access code they give.
    pub access_code: Option<String>,
}

/// The answer to a join.
#[derive(Clone, Debug)]
pub enum Joined {
    /// They have a place.
    Placed {
        /// The place token, to be kept.
        token: PlaceToken,
        /// How they stand.
        status: Box<StatusDocument>,
        /// Whether the place is new.
        fresh: bool,
    },
    /// Nobody waits here: they may go in.
    PassedThrough {
        /// How they stand.
        status: Box<StatusDocument>,
        /// The pass.
        pass: Minted,
    },
}

/// The answer to a claim.
#[derive(Clone, Debug)]
pub enum Claimed {
    /// The pass.
    Pass(Minted),
    /// It is not their turn.
    NotCalled(Box<StatusDocument>),
}

impl Room {
    /// Gives the visitor a place, or the one they have: joining twice is harmless.
    pub async fn join(&self, joiner: Joiner) -> Result<Joined, Problem> {
        let now = self.parts.clock.now();
        let nonce = match &joiner.token {
            Some(token) => token.nonce,
            None => joiner
                .nonce
                .unwrap_or_else(|| self.parts.randomness.bytes()),
        };
        let place = self.parts.place_keys.place_id(&self.id, &nonce);
        match self.phase() {
            Phase::Closed => return Err(Problem::new(ProblemCode::RoomClosed)),
            Phase::Idle => return self.pass_through(place, now),
            Phase::Prequeue | Phase::Queueing | Phase::Paused => {}
        }
        if joiner.token.is_none() {
            self.check_admittance(&joiner)?;
        }
        let (key, once_open) = match &joiner.token {
            Some(token) if !self.is_old(token, now) => {
                (Some(self.key_of(token)), self.once_open(token))
            }
            _ => self.newcomers_key(&nonce),
        };
        let entry = Entry {
            place,
            key,
            once_open,
            enter: Enter::Join,
            connected_to: self.stands_for(&place),
        };
        let entered = self.door.enter(entry).await?;
        let token = self.token_after(joiner.token, nonce, place, &entered, now);
        let status = self.status_of(&token, entered.standing, now)?;
        Ok(Joined::Placed {
            token,
            status: Box::new(status),
            fresh: entered.fresh,
        })
    }

    /// The token of someone who has joined, from the one they held if there is one.
    fn token_after(
        &self,
        held: Option<PlaceToken>,
        nonce: [u8; 16],
        place: PlaceId,
        entered: &Entered,
        now: Timestamp,
    ) -> PlaceToken {
        // The nonce's draw is not put into tokens: see `PlaceToken::key`. Another key always is,
        // also of someone who was called: without it the place would count as drawn.
        let given_key = entered.key.filter(|key| *key != self.drawn_key(&nonce));
        let is_live = entered.key.is_some_and(OrderKey::is_live);
        let waits = matches!(entered.standing, Standing::Waiting { .. });
        // A token that is given after a call must not outlive the memory of that call.
        let issued_at = if waits { now } else { self.oldest_token(now) };
        match (held, given_key) {
            // A new key was given: the old token's is void.
            (Some(token), Some(key)) if token.key != Some(key) => PlaceToken {
                key: Some(key),
                number: if entered.fresh {
                    entered.number
                } else {
                    token.number
                },
                ahead: if entered.fresh {
                    entered.in_line_before
                } else {
                    token.ahead
                },
                issued_at,
                ..token
            },
            // Its place is in the line, so the token is good for as long again.
            (Some(token), key) if waits && self.is_old(&token, now) => PlaceToken {
                key,
                issued_at,
                ..token
            },
            (Some(token), _) => token,
            (None, given_key) => PlaceToken {
                room: self.id.clone(),
                place,
                key: given_key,
                nonce,
                issued_at,
                epoch: self.record().epoch,
                number: if is_live { entered.number } else { 0 },
                // Of a place that was there before, the token was lost: its number is not known any
                // more, and its progress begins anew.
                ahead: match entered.key {
                    Some(key) if !entered.fresh => self.ahead_of(key),
                    _ => entered.in_line_before,
                },
            },
        }
    }

    /// How many are ahead of `key` in the last snapshot; 0 before the draw is done, because holders
    /// can read their token.
    fn ahead_of(&self, key: OrderKey) -> u64 {
        let view = self.view();
        if !view.drawn && !key.is_live() {
            return 0;
        }
        let snapshot = view.snapshot.as_ref();
        snapshot.map_or(0, |snapshot| snapshot.rank(key).ahead)
    }

    /// How the holder of `token` stands. A place the store has lost is put back (NO-LOSS).
    pub async fn look(
        &self,
        token: &PlaceToken,
        enter: Enter,
        connected: bool,
    ) -> Result<Standing, Problem> {
        let is_old = self.is_old(token, self.parts.clock.now());
        let entry = Entry {
            place: token.place,
            key: (!is_old).then(|| self.key_of(token)),
            once_open: self.once_open(token),
            enter,
            connected_to: if connected {
                Some(self.parts.process)
            } else {
                self.stands_for(&token.place)
            },
        };
        Ok(self.door.enter(entry).await?.standing)
    }

    /// This gateway, if `place` has a connection here.
    fn stands_for(&self, place: &PlaceId) -> Option<Uuid> {
        self.sockets.has(place).then_some(self.parts.process)
    }

    /// The status document for `standing`.
    pub fn status_of(
        &self,
        token: &PlaceToken,
        standing: Standing,
        now: Timestamp,
    ) -> Result<StatusDocument, Problem> {
        self.status_in(&self.view(), token, standing, now)
            .ok_or_else(|| Problem::new(ProblemCode::PlaceExpired))
    }

    /// The same as `view` has it; `None` when there is no place any more.
    pub(crate) fn status_in(
        &self,
        view: &RoomView,
        token: &PlaceToken,
        standing: Standing,
        now: Timestamp,
    ) -> Option<StatusDocument> {
        let mut facts = self.facts_of(token);
        facts.key = standing.waits_at().unwrap_or(facts.key);
        Some(view.status(&facts, standing.seen()?, now))
    }

    /// The pass that goes with a call.
    pub fn pass_for_call(
        &self,
        place: PlaceId,
        standing: Standing,
        now: Timestamp,
    ) -> Option<Minted> {
        match standing {
            Standing::Called { seq, claim_by } if claim_by > now => {
                mint_called(self, place, seq, claim_by, now).ok()
            }
            _ => None,
        }
    }

    /// Turns a call into a session. Claiming again gives the same session (REDEEM-ONCE).
    pub async fn claim(&self, token: &PlaceToken) -> Result<Claimed, Problem> {
        let now = self.parts.clock.now();
        if self.is_idle() {
            return mint_idle(self, token.place, now).map(Claimed::Pass);
        }
        let duration = Duration::from_secs(self.record().settings.session_duration_seconds);
        let at = self.store_ref();
        let claim = self
            .parts
            .store
            .session_claim(&at, now, token.place, now.plus(duration))
            .await;
        self.rest.stir();
        let standing = claim.map_err(|error| line_problem(&error))?;
        if let Standing::Active {
            seq,
            started_at,
            expires_at,
        } = standing
        {
            self.sessions
                .claimed(token.place, seq, started_at, expires_at);
            let admission = Admission {
                place: token.place,
                seq,
                from: started_at,
                until: expires_at,
            };
            return mint(&self.parts, &self.id, admission, now).map(Claimed::Pass);
        }
        // Also puts back a place that the store has lost.
        let standing = self.look(token, Enter::Look, false).await?;
        let status = self.status_of(token, standing, now)?;
        Ok(Claimed::NotCalled(Box::new(status)))
    }

    /// Gives up a place. Harmless when there is none.
    pub async fn leave(&self, place: PlaceId) -> Result<(), Problem> {
        let now = self.parts.clock.now();
        let left = self
            .parts
            .store
            .place_leave(&self.store_ref(), now, place)
            .await;
        self.rest.stir();
        left.map_err(|error| line_problem(&error))?;
        Ok(())
    }

    /// Ends a session at once, freeing its slot. Whether there was one. On this gateway it is over
    /// even when the store does not answer. `seq` is the admission of the pass that was shown.
    pub async fn end_session(&self, place: PlaceId, seq: Option<u64>) -> Result<bool, Problem> {
        let now = self.parts.clock.now();
        self.sessions.ended(place, seq, now);
        let ended = self
            .parts
            .store
            .session_end(&self.store_ref(), now, place)
            .await;
        self.rest.stir();
        ended.map_err(|error| line_problem(&error))
    }

    /// The key of someone without a place, and what becomes of it once the room is open: then
    /// the draw is public, and whoever still drew would choose their nonce by it (DRAW).
    fn newcomers_key(&self, nonce: &[u8; 16]) -> (Option<OrderKey>, OnceOpen) {
        let draw = || Some(self.drawn_key(nonce));
        if self.record().settings.queueing_method == QueueingMethod::Random {
            let lot = self.parts.place_keys.lot(&self.id, nonce);
            if self.record().opened_at.is_some() {
                return (Some(lot), OnceOpen::Keep);
            }
            return (draw(), OnceOpen::Lot(lot));
        }
        if self.joiners_draw() {
            return (draw(), OnceOpen::Live);
        }
        (None, OnceOpen::Keep)
    }

    /// When the oldest token was issued that brings a place back.
    fn oldest_token(&self, now: Timestamp) -> Timestamp {
        let record = self.record();
        let max_age = Duration::from_secs(record.settings.place_max_age_seconds);
        now.minus(max_age).max(record.created_at)
    }

    /// Whether `token` is too old to bring its place back: the line may have forgotten that the
    /// place was served.
    fn is_old(&self, token: &PlaceToken, now: Timestamp) -> bool {
        let max_age = Duration::from_secs(self.record().settings.place_max_age_seconds);
        now.since(token.issued_at) >= max_age
    }

    /// What becomes of the key of `token` once the room is open.
    pub fn once_open(&self, token: &PlaceToken) -> OnceOpen {
        let settings = &self.record().settings;
        if token.key.is_some() || !settings.draw_requires_presence {
            return OnceOpen::Keep;
        }
        let takes_lot = settings.queueing_method == QueueingMethod::Random;
        OnceOpen::IfPresent {
            newcomer: takes_lot.then(|| self.parts.place_keys.lot(&self.id, &token.nonce)),
        }
    }

    /// The order key that `nonce` draws.
    fn drawn_key(&self, nonce: &[u8; 16]) -> OrderKey {
        crate::policy::order::draw(&self.record().seed, &self.id, nonce)
    }

    fn check_admittance(&self, joiner: &Joiner) -> Result<(), Problem> {
        let record = self.record();
        let codes = &record.settings.access_codes;
        if record.settings.challenge != Challenge::None {
            return Err(Problem::new(ProblemCode::ChallengeRequired)
                .detail("This room asks for a proof that this version cannot check."));
        }
        let given = joiner.access_code.as_deref().unwrap_or_default();
        let known = access_code::is_one_of(given, codes);
        if codes.is_empty() || known {
            return Ok(());
        }
        Err(Problem::new(ProblemCode::Forbidden)
            .detail("This room is for holders of an access code. Send it as `accessCode`.")
            .with("field", "accessCode"))
    }

    fn pass_through(&self, place: PlaceId, now: Timestamp) -> Result<Joined, Problem> {
        let pass = mint_idle(self, place, now)?;
        let key = self.drawn_key(&[0; 16]);
        let facts = PlaceFacts {
            place,
            key,
            number: 0,
            ahead_at_join: 0,
        };
        let mut status = self.view().status(&facts, Seen::Admitted, now);
        status.state = PlaceState::Admitted;
        status.order_key = None;
        status.pass = Some(pass.grant.clone());
        Ok(Joined::PassedThrough {
            status: Box::new(status),
            pass,
        })
    }
}

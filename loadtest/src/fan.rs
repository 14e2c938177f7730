//! A fan at work: what they are, and what they see of the line.

use contract::line::{PassGrant, Phase, PlaceState, StatusDocument};
use rand_chacha::ChaCha8Rng;

use crate::evidence::FanRecord;
use crate::line::claims;
use crate::measurements::Step;
use crate::plan::FanPlan;
use crate::world::World;

/// A fan at work.
pub(crate) struct Fan<'a> {
    pub world: &'a World,
    pub plan: &'a FanPlan,
    pub rng: ChaCha8Rng,
    pub record: &'a mut FanRecord,
}

/// What a status means for a fan who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Wait on.
    Wait,
    /// It is their turn.
    Called,
    /// There is nothing to wait for.
    Over,
}

impl Fan<'_> {
    /// Takes in a status and says what it means.
    pub(crate) fn sees(&mut self, document: &StatusDocument) -> Sight {
        let key = document.order_key.as_deref();
        if let Some(key) = key.and_then(|key| key.parse().ok()) {
            self.record.learns_key(key);
        }
        let is_turn = |state| matches!(state, PlaceState::Called | PlaceState::Admitted);
        if is_turn(document.state) && !self.record.state.is_some_and(is_turn) {
            self.record.told.push(self.world.clock.now());
        }
        self.record.state = Some(document.state);
        self.record.missed |= document.state == PlaceState::Missed;
        if let Some(grant) = &document.pass {
            self.receives(grant);
        }
        match document.state {
            PlaceState::Called | PlaceState::Admitted => Sight::Called,
            PlaceState::Left | PlaceState::Ended | PlaceState::SoldOut => Sight::Over,
            PlaceState::Prequeue | PlaceState::Waiting | PlaceState::Missed => {
                if document.phase == Phase::Closed {
                    Sight::Over
                } else {
                    Sight::Wait
                }
            }
        }
    }

    /// Keeps the claims of a pass, unless it says nothing new.
    pub(crate) fn receives(&mut self, grant: &PassGrant) -> Option<String> {
        let Some(claims) = claims(grant) else {
            self.world.measurements.code(Step::Claim, "pass-unreadable");
            return None;
        };
        let session = claims.jti.clone();
        let known = |pass: &contract::pass::PassClaims| {
            (&pass.jti, pass.queue_position, pass.sub)
                == (&claims.jti, claims.queue_position, claims.sub)
        };
        if !self.record.passes.iter().any(known) {
            self.record.passes.push(claims);
        }
        Some(session)
    }
}

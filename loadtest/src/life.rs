//! A fan's way through the line: join, wait, claim, go in, leave.
//!
//! The long stages are boxed: a fan who waits takes the memory of waiting only.

use std::time::Duration;

use contract::line::{JoinRequest, PassGrant, PlaceState, StatusDocument};
use data_encoding::BASE64URL_NOPAD;
use rand::RngExt;
use reqwest::StatusCode;
use tokio::time::Instant;

use crate::buyer;
use crate::call::{Answer, CallError};
use crate::evidence::{FanRecord, LastLook};
use crate::fan::Fan;
use crate::line::claims;
use crate::measurements::Step;
use crate::patience::{pause, think};
use crate::plan::{FanPlan, Presence};
use crate::shop::Customer;
use crate::waiting::{self, WaitEnd};
use crate::world::{Present, Tally, World};

/// Tries to join before a fan gives up.
const JOIN_TRIES_MAX: u32 = 60;
/// Tries to claim one call.
const CLAIM_TRIES_MAX: u32 = 8;
/// Calls a fan follows: a missed turn is called again on return.
const CALLS_MAX: u32 = 5;
/// Tries of the last look.
const LOOK_TRIES_MAX: u32 = 5;

/// Where a join led.
enum Standing {
    /// In line, with this place token.
    InLine(String),
    /// Straight in: the room does not queue.
    Inside(String),
    /// Nowhere.
    Out,
}

/// Where a claim led.
enum Claim {
    /// In, with this pass.
    Inside(String),
    /// The turn had passed.
    NotCalled,
    /// Nowhere.
    Out,
}

/// Lives the life of a fan who meant to arrive at `arrives`.
pub(crate) async fn live(world: &World, plan: &FanPlan, arrives: Instant, record: &mut FanRecord) {
    let rng = world.rng_of(plan.number);
    let mut fan = Fan {
        world,
        plan,
        rng,
        record,
    };
    Tally::add(&world.tally.arrived);
    match Box::pin(fan.join(arrives)).await {
        Standing::InLine(token) => fan.stand_in_line(&token).await,
        Standing::Inside(pass) => Box::pin(fan.go_in(None, &pass)).await,
        Standing::Out => {}
    }
    Tally::add(&world.tally.done);
}

impl Fan<'_> {
    fn nonce(&mut self) -> String {
        BASE64URL_NOPAD.encode(&self.rng.random::<[u8; 16]>())
    }

    async fn join(&mut self, arrives: Instant) -> Standing {
        let body = JoinRequest {
            nonce: Some(self.nonce()),
            access_code: self.world.access_code.clone(),
            proof: None,
        };
        self.record.on_socket = self.plan.presence == Presence::Socket;
        self.record.asked_at = Some(self.world.clock.now());
        for attempt in 0..JOIN_TRIES_MAX {
            let answer = self.send_join(&body).await;
            let asked = match answer {
                Ok(answer) if answer.status.is_success() => {
                    return self.joined(&answer, arrives, &body).await;
                }
                Ok(answer) if answer.is_busy() => answer.retry_after,
                Ok(_) | Err(CallError::Unreadable(_) | CallError::TooLarge) => {
                    return Standing::Out;
                }
                // The same nonce gives the same place, so a lost answer costs nothing.
                Err(_) => None,
            };
            let rest = pause(attempt, asked, &mut self.rng);
            if !self.world.rest(rest).await {
                break;
            }
        }
        Standing::Out
    }

    async fn send_join(&self, body: &JoinRequest) -> Result<Answer, CallError> {
        let world = self.world;
        world.line.join(&world.caller, self.plan.number, body).await
    }

    async fn joined(&mut self, answer: &Answer, arrives: Instant, body: &JoinRequest) -> Standing {
        let Ok(document) = answer.json::<StatusDocument>() else {
            self.world
                .measurements
                .code(Step::Join, "answer-unreadable");
            return Standing::Out;
        };
        self.world
            .measurements
            .latency(Step::Join, arrives.elapsed());
        Tally::add(&self.world.tally.joined);
        self.record.joined_at = Some(self.world.clock.now());
        let _sight = self.sees(&document);
        if document.state == PlaceState::Admitted
            && let Some(grant) = document.pass
        {
            return Standing::Inside(grant.access_token);
        }
        let Some(token) = document.place else {
            self.world
                .measurements
                .code(Step::Join, "no-place-in-answer");
            return Standing::Out;
        };
        self.record.token = Some(token.clone());
        if self.plan.rejoins {
            self.rejoin(body, &token).await;
        }
        Standing::InLine(token)
    }

    /// Joins again as if the first answer had been lost.
    async fn rejoin(&mut self, body: &JoinRequest, token: &str) {
        let Ok(answer) = self.send_join(body).await else {
            return;
        };
        let Ok(again) = answer.json::<StatusDocument>() else {
            return;
        };
        let key: Option<u64> = again.order_key.and_then(|key| key.parse().ok());
        self.record.rejoined_same = match (key, self.record.order_key) {
            (Some(again), Some(first)) => Some(again == first),
            _ => again.place.map(|again| again == token),
        };
    }

    async fn stand_in_line(&mut self, token: &str) {
        if self.plan.presence == Presence::Drift {
            self.record.goes_away(self.world.clock.now());
            return;
        }
        for _ in 0..CALLS_MAX {
            match Box::pin(waiting::wait(self, token)).await {
                WaitEnd::Called => Tally::add(&self.world.tally.called),
                WaitEnd::Impatient => return Box::pin(self.leave(token)).await,
                WaitEnd::Over => return,
            }
            if self.plan.no_show {
                self.record.goes_away(self.world.clock.now());
                return;
            }
            match Box::pin(self.claim(token)).await {
                Claim::Inside(pass) => return Box::pin(self.go_in(Some(token), &pass)).await,
                Claim::NotCalled => {}
                Claim::Out => return,
            }
        }
    }

    async fn claim(&mut self, token: &str) -> Claim {
        let longest = self.world.manners.claim_delay;
        let delay = longest.mul_f64(self.rng.random());
        if !self.world.rest(delay).await {
            return Claim::Out;
        }
        let decided = Instant::now();
        for attempt in 0..CLAIM_TRIES_MAX {
            let answer = if self.plan.claims_twice && attempt == 0 {
                self.claim_twice(token).await
            } else {
                self.send_claim(token).await
            };
            let asked = match answer {
                Ok(answer) if answer.status == StatusCode::OK => {
                    return self.claimed(&answer, decided);
                }
                Ok(answer) if answer.status == StatusCode::CONFLICT => return Claim::NotCalled,
                Ok(answer) if answer.is_busy() => answer.retry_after,
                Ok(answer) => {
                    self.record.turned_away = Some(answer.code());
                    return Claim::Out;
                }
                Err(_) => None,
            };
            let rest = pause(attempt, asked, &mut self.rng);
            if !self.world.rest(rest).await {
                break;
            }
        }
        Claim::Out
    }

    async fn send_claim(&self, token: &str) -> Result<Answer, CallError> {
        let world = self.world;
        world
            .line
            .claim(&world.caller, self.plan.number, token)
            .await
    }

    /// Claims from two connections at once and compares the sessions.
    async fn claim_twice(&mut self, token: &str) -> Result<Answer, CallError> {
        let (one, other) = tokio::join!(self.send_claim(token), self.send_claim(token));
        let session = |fan: &mut Self, answer: &Result<Answer, CallError>| {
            let grant = answer.as_ref().ok()?.json::<PassGrant>().ok()?;
            fan.receives(&grant)
        };
        if let (Some(first), Some(second)) = (session(self, &one), session(self, &other)) {
            self.record.double_claims.push((first, second));
        }
        match one {
            Ok(answer) if answer.status == StatusCode::OK => Ok(answer),
            _ => other,
        }
    }

    fn claimed(&mut self, answer: &Answer, decided: Instant) -> Claim {
        let Ok(grant) = answer.json::<PassGrant>() else {
            self.world
                .measurements
                .code(Step::Claim, "answer-unreadable");
            return Claim::Out;
        };
        self.world
            .measurements
            .latency(Step::Claim, decided.elapsed());
        self.receives(&grant);
        if let Some(claims) = claims(&grant) {
            self.record.claimed.push(claims.queue_position);
        }
        self.record.state = Some(PlaceState::Admitted);
        Claim::Inside(grant.access_token)
    }

    /// Buys, or looks around; then leaves.
    async fn go_in(&mut self, token: Option<&str>, pass: &str) {
        let world = self.world;
        let _inside = Present::count(&world.tally.inside);
        if world.becomes_buyer()
            && let Some(shop) = &world.shop
        {
            let customer = Customer {
                fan: self.plan.number,
                pass,
            };
            Box::pin(buyer::buy(self, shop, customer)).await;
        } else {
            let span = think(world.manners.think, &mut self.rng);
            world.rest(span).await;
        }
        if let Some(token) = token {
            let ended = world
                .line
                .end_session(&world.caller, self.plan.number, token);
            if ended.await.is_ok_and(|answer| answer.status.is_success()) {
                self.record.state = Some(PlaceState::Ended);
            }
        }
    }

    async fn leave(&mut self, token: &str) {
        let world = self.world;
        self.record.left_at = Some(world.clock.now());
        let left = world.line.leave(&world.caller, self.plan.number, token);
        if left.await.is_ok_and(|answer| answer.status.is_success()) {
            self.record.state = Some(PlaceState::Left);
            Tally::add(&world.tally.left);
        }
    }
}

/// Reads the status of a fan once more, after the run.
pub(crate) async fn look(world: &World, record: &mut FanRecord) {
    let Some(token) = record.token.clone().filter(|_| record.passes.is_empty()) else {
        return;
    };
    let plan = FanPlan::of(record.number);
    let mut fan = Fan {
        world,
        plan: &plan,
        rng: world.rng_of(record.number),
        record,
    };
    let mut refused = String::new();
    for attempt in 0..LOOK_TRIES_MAX {
        let asked = match world.line.status(&world.caller, plan.number, &token).await {
            Ok(answer) if answer.status == StatusCode::OK => {
                if let Ok(document) = answer.json() {
                    let _sight = fan.sees(&document);
                    fan.record.last_look = LastLook::Found;
                    return;
                }
                "answer-unreadable".clone_into(&mut refused);
                break;
            }
            Ok(answer) => {
                refused = answer.code();
                if !answer.is_busy() {
                    break;
                }
                answer.retry_after
            }
            Err(error) => {
                error.code().clone_into(&mut refused);
                None
            }
        };
        let rest = pause(attempt, asked, &mut fan.rng).min(Duration::from_secs(5));
        tokio::time::sleep(rest).await;
    }
    fan.record.last_look = LastLook::Refused(refused);
}

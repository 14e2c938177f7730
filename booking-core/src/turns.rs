//! Fans in waiting rooms who want to be told when they are called.
//!
//! Nothing here is on the way of a join or a call: a request is stored on its own, and the calls are
//! read from the admission log, after the fact, by whichever process is there.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use contract::contact::TurnRequest;
use contract::{PlaceId, RoomId};
use http::HeaderMap;

use crate::channels::push::subscription;
use crate::config::{TURN_BATCH_MAX, TURN_REQUESTS_MAX};
use crate::core::Core;
use crate::customer::language_in;
use crate::database::StoreError;
use crate::email;
use crate::handle::Booking;
use crate::store;
use crate::store::turns::NewTurnRequest;

/// A fan who wants to be told.
#[derive(Clone, Debug)]
pub struct TurnAsk {
    /// The room.
    pub room: RoomId,
    /// The place of the fan in it.
    pub place: PlaceId,
    /// How the fan can be told.
    pub wanted: TurnRequest,
}

/// The outcome of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnAsked {
    /// The fan will be told.
    Stored,
    /// The field is wrong, for this reason.
    Invalid(&'static str, &'static str),
    /// Too many fans ask at the moment, or want to be told.
    Busy,
}

impl Booking {
    /// Stores that a fan wants to be told of the call.
    pub async fn turn_ask(
        &self,
        ask: TurnAsk,
        headers: &HeaderMap,
    ) -> Result<TurnAsked, StoreError> {
        let language = language_in(headers);
        let core = Arc::clone(&self.0);
        let work = async move { core.turn_ask(ask, language).await };
        self.0.work.run(work).await
    }

    /// What browsers subscribe to for push messages.
    pub fn push_key(&self) -> String {
        self.0.push.public_key()
    }

    /// Makes notices of calls of fans who asked. Returns how many calls were looked at. The
    /// background work does this too.
    pub async fn turns_once(&self) -> Result<usize, StoreError> {
        let core = Arc::clone(&self.0);
        let work = async move { core.turns_once().await };
        self.0.work.run(work).await
    }
}

impl Core {
    async fn turn_ask(
        &self,
        ask: TurnAsk,
        language: Option<&'static str>,
    ) -> Result<TurnAsked, StoreError> {
        let email = match ask.wanted.email.as_deref().map(email::read) {
            Some(None) => return Ok(TurnAsked::Invalid("email", "is not an e-mail address")),
            Some(Some(email)) => Some(email),
            None => None,
        };
        let browser = match &ask.wanted.push {
            None => None,
            Some(given) => match subscription::read(given, &self.push.hosts) {
                Ok(browser) => Some(browser),
                Err(what) => return Ok(TurnAsked::Invalid("push", what)),
            },
        };
        if email.is_none() && browser.is_none() {
            return Ok(TurnAsked::Invalid("email", "give an address or a browser"));
        }
        let Ok(_permit) = self.turn_asks.try_acquire() else {
            return Ok(TurnAsked::Busy);
        };
        if self.turn_requests.load(Ordering::Relaxed) >= TURN_REQUESTS_MAX {
            return Ok(TurnAsked::Busy);
        }
        let now = self.clock.now();
        let new = NewTurnRequest {
            turn_id: self.randomness.uuid(now),
            room: ask.room,
            place: ask.place,
            email,
            browser,
            language: language
                .unwrap_or(pages::letters::DEFAULT_LANGUAGE)
                .to_owned(),
            now,
        };
        store::turns::ask(&self.pools.jobs, &new).await?;
        let domain = self.mailer.domain();
        store::turns::catch_up(&self.pools.jobs, &new.room, &new.place, domain, now).await?;
        Ok(TurnAsked::Stored)
    }

    /// Makes notices of calls of fans who asked. Returns how many calls were looked at; there may be
    /// more.
    pub(crate) async fn turns_once(&self) -> Result<usize, StoreError> {
        let (domain, now) = (self.mailer.domain(), self.clock.now());
        store::turns::collect(&self.pools.jobs, domain, now, TURN_BATCH_MAX).await
    }

    /// Counts the fans who want to be told.
    pub(crate) async fn turn_count_once(&self) -> Result<usize, StoreError> {
        let count = store::turns::count(&self.pools.jobs).await?;
        self.turn_requests.store(count, Ordering::Relaxed);
        Ok(0)
    }
}

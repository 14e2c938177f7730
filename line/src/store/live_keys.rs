//! Which server of the store may give live keys, and how far: the part of the store that keeps a
//! key from being given twice.
//!
//! A server gives no live key before it is confirmed: each confirmation has a term and a range of
//! keys that the durable records gave out once. A server that is started again or promoted is
//! another one, by its replication id, whatever its copy of the room says; so is none that was
//! confirmed before. What the one before it gave and lost is below its range.

use async_trait::async_trait;
use contract::Timestamp;

use super::memory::MemoryStore;
use super::redis::{Args, RedisStore};
use super::{RoomRef, StoreResult, reply};
use crate::policy::order::{KeyRange, LIFTS_MAX, LIVE_BASE};

/// Who may give live keys, as the store has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyState {
    /// Whether the server that answered is confirmed.
    pub is_confirmed: bool,
    /// The last confirmation that its copy of the room has; 0 before the first.
    pub term: u64,
    /// The live clock.
    pub clock: u64,
    /// The highest clock value that may be given.
    pub limit: u64,
    /// Where the clock was set ahead of the time, the oldest first: at most [`LIFTS_MAX`].
    pub lifts: Vec<u64>,
}

/// The right to give live keys. Each method is one atomic step.
#[async_trait]
pub trait LiveKeys: Send + Sync {
    /// Who may give live keys.
    async fn keys_state(&self, room: &RoomRef) -> StoreResult<KeyState>;

    /// Confirms the server, which gives the keys of `range` from now on. Whether it did: not when
    /// a term as new is in force. When another server was confirmed before, only places with keys
    /// that it had then are called before `kept_until`: whoever has a later one may have been
    /// behind someone whose place was lost.
    async fn keys_confirm(
        &self,
        room: &RoomRef,
        now: Timestamp,
        range: &KeyRange,
        kept_until: Timestamp,
    ) -> StoreResult<bool>;

    /// Raises the limit of the term to `limit`. Whether the term is in force.
    async fn keys_extend(&self, room: &RoomRef, term: u64, limit: u64) -> StoreResult<bool>;
}

#[async_trait]
impl LiveKeys for RedisStore {
    async fn keys_state(&self, room: &RoomRef) -> StoreResult<KeyState> {
        let args = Args::of(room);
        reply::key_state(self.run(&self.scripts.keys_state, room, &args).await?)
    }

    async fn keys_confirm(
        &self,
        room: &RoomRef,
        now: Timestamp,
        range: &KeyRange,
        kept_until: Timestamp,
    ) -> StoreResult<bool> {
        let args = Args::of(room).number(range.term).number(range.after);
        let args = args.number(range.limit).number(u8::from(range.is_ahead));
        let args = args.number(LIFTS_MAX).time(now).time(kept_until);
        self.run(&self.scripts.keys_confirm, room, &args).await
    }

    async fn keys_extend(&self, room: &RoomRef, term: u64, limit: u64) -> StoreResult<bool> {
        let args = Args::of(room).number(term).number(limit);
        self.run(&self.scripts.keys_extend, room, &args).await
    }
}

/// The right to give live keys, as one room in memory has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// The server that is confirmed.
    server: Option<u64>,
    term: u64,
    limit: u64,
    lifts: Vec<u64>,
    /// Only places with keys up to this clock value are called before then.
    calls: Option<(u64, Timestamp)>,
}

impl Kept {
    /// The highest key that may be called at `now`, where that is limited.
    pub(super) fn callable(&self, now: Timestamp) -> Option<u64> {
        let kept = self.calls.filter(|(_, until)| *until > now);
        kept.map(|(clock, _)| LIVE_BASE + clock)
    }

    /// Limits calls to the keys up to `clock` before `until`, or to fewer if they are limited.
    fn keep_calls(&mut self, clock: u64, now: Timestamp, until: Timestamp) {
        let kept = self.calls.filter(|(_, until)| *until > now);
        let clock = kept.map_or(clock, |(kept, _)| kept.min(clock));
        self.calls = Some((clock, until));
    }

    /// Whether the server `own` is confirmed.
    pub(super) fn is_confirmed(&self, own: u64) -> bool {
        self.server == Some(own)
    }

    /// The highest clock value that the server `own` may give, 0 unless it is confirmed.
    pub(super) fn limit_of(&self, own: u64) -> u64 {
        if self.is_confirmed(own) {
            self.limit
        } else {
            0
        }
    }
}

#[async_trait]
impl LiveKeys for MemoryStore {
    async fn keys_state(&self, room: &RoomRef) -> StoreResult<KeyState> {
        let own = self.server();
        self.with(room, |room| KeyState {
            is_confirmed: room.live_keys.is_confirmed(own),
            term: room.live_keys.term,
            clock: room.clock,
            limit: room.live_keys.limit,
            lifts: room.live_keys.lifts.clone(),
        })
    }

    async fn keys_confirm(
        &self,
        room: &RoomRef,
        now: Timestamp,
        range: &KeyRange,
        kept_until: Timestamp,
    ) -> StoreResult<bool> {
        let own = self.server();
        self.with(room, |room| {
            let kept = &mut room.live_keys;
            if kept.term >= range.term {
                return false;
            }
            if range.is_ahead {
                kept.lifts.push(range.after);
                let over = kept.lifts.len().saturating_sub(LIFTS_MAX);
                kept.lifts.drain(..over);
            }
            if kept.server.is_some_and(|server| server != own) {
                kept.keep_calls(room.clock, now, kept_until);
            }
            (kept.server, kept.term, kept.limit) = (Some(own), range.term, range.limit);
            room.clock = room.clock.max(range.after);
            true
        })
    }

    async fn keys_extend(&self, room: &RoomRef, term: u64, limit: u64) -> StoreResult<bool> {
        self.with(room, |room| {
            let kept = &mut room.live_keys;
            let is_in_force = kept.term == term && term > 0;
            if is_in_force {
                kept.limit = kept.limit.max(limit);
            }
            is_in_force
        })
    }
}

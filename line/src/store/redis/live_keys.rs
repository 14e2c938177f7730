//! The right to give live keys on Redis.

use async_trait::async_trait;
use contract::Timestamp;

use super::{Args, RedisStore};
use crate::policy::order::{KeyRange, LIFTS_MAX};
use crate::store::live_keys::{KeyState, LiveKeys};
use crate::store::{RoomRef, StoreResult, reply};

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

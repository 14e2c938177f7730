//! Making a room on Redis.

use async_trait::async_trait;
use contract::Timestamp;
use redis::ToRedisArgs;
use uuid::Uuid;

use super::{Args, RedisStore};
use crate::store::making::{MAKING_MAX, Making, Served, ServedPage, ServedState};
use crate::store::packed::pack;
use crate::store::scripts::RoomScript;
use crate::store::{RoomRef, StoreError, StoreResult};

/// How often a step is asked for that is not answered.
const TRIES_MAX: u32 = 3;

#[async_trait]
impl Making for RedisStore {
    async fn making_begin(
        &self,
        room: &RoomRef,
        process: Uuid,
        now: Timestamp,
    ) -> StoreResult<u64> {
        let (begin, keys) = (&self.scripts.making_begin, self.keys(room));
        let all = self.keys_with_lists(begin, &keys).await?;
        let args = Args::of(room).number(process).time(now).ms(MAKING_MAX);
        self.insisted(begin, keys.slot(), &all, &args).await
    }

    async fn making_add(
        &self,
        room: &RoomRef,
        process: Uuid,
        now: Timestamp,
        page: &ServedPage<'_>,
    ) -> StoreResult<()> {
        let end = page.end.unwrap_or_default();
        let packed = Packed::new(page.served);
        let args = Args::of(room)
            .number(process)
            .time(now)
            .number(page.after)
            .number(page.upto)
            .number(u8::from(page.end.is_some()))
            .number(u8::from(end.is_open))
            .time(end.held_until.unwrap_or(Timestamp::EPOCH))
            .number(end.birth)
            .bytes(packed.words)
            .bytes(packed.places)
            .bytes(packed.seqs)
            .bytes(packed.keys)
            .bytes(packed.called_at)
            .bytes(packed.until);
        let (add, keys) = (&self.scripts.making_add, self.keys(room));
        let own = add.keys(&keys, None);
        self.insisted(add, keys.slot(), &own, &args).await.map(drop)
    }
}

impl RedisStore {
    /// Does a step of making a room. One that was not answered is asked for again, which changes
    /// nothing if it was done: otherwise another process could go on only after the longest silence.
    async fn insisted(
        &self,
        script: &RoomScript,
        slot: u16,
        keys: &[impl ToRedisArgs + Sync],
        args: &Args,
    ) -> StoreResult<u64> {
        for _ in 1..TRIES_MAX {
            match self.run_on(script, slot, keys, args).await {
                Err(StoreError::Timeout) => {}
                answer => return answer,
            }
        }
        self.run_on(script, slot, keys, args).await
    }
}

/// What `making_add.lua` takes of the admissions, one after the other in each.
#[derive(Default)]
struct Packed {
    /// A letter for how it stands.
    words: Vec<u8>,
    places: Vec<u8>,
    seqs: Vec<u8>,
    keys: Vec<u8>,
    called_at: Vec<u8>,
    until: Vec<u8>,
}

impl Packed {
    fn new(served: &[Served]) -> Self {
        let mut packed = Self::default();
        for served in served {
            let (word, until) = match served.state {
                ServedState::Over => (b'o', Timestamp::EPOCH),
                ServedState::Called(claim_by) => (b'c', claim_by),
                ServedState::Active(until) => (b'a', until),
                ServedState::Missed(until) => (b'm', until),
                ServedState::Left => (b'l', Timestamp::EPOCH),
            };
            packed.words.push(word);
            packed.places.extend(served.place.as_bytes());
            packed.seqs.extend(pack(served.seq));
            packed.keys.extend(pack(served.key.get()));
            packed.called_at.extend(pack(ms(served.called_at)));
            packed.until.extend(pack(ms(until)));
        }
        packed
    }
}

/// Milliseconds since the epoch, before which nobody was called.
fn ms(at: Timestamp) -> u64 {
    u64::try_from(at.as_ms()).unwrap_or(0)
}

//! The parts of the port that are not [`RoomStore`](crate::store::RoomStore) itself.

use std::sync::Arc;

use async_trait::async_trait;
use contract::Timestamp;

use super::MemoryStore;
use crate::policy::order::KeyRange;
use crate::store::emptiness::{Look, RoomsLook};
use crate::store::last_pages::{LastPage, LastPages};
use crate::store::live_keys::{KeyState, LiveKeys};
use crate::store::{RoomRef, StoreResult};

#[async_trait]
impl LastPages for MemoryStore {
    async fn last_page_put(
        &self,
        room: &RoomRef,
        now: Timestamp,
        pass: &str,
        until: Timestamp,
        target: &str,
    ) -> StoreResult<()> {
        self.with(room, |room| room.last_pages.put(now, pass, until, target))
    }

    async fn last_page_take(
        &self,
        room: &RoomRef,
        now: Timestamp,
        pass: &str,
        target: &str,
    ) -> StoreResult<LastPage> {
        self.with(room, |room| room.last_pages.take(now, pass, target))
    }

    async fn last_page_load(
        &self,
        room: &RoomRef,
        now: Timestamp,
        pass: &str,
        asking: Option<&str>,
    ) -> StoreResult<LastPage> {
        self.with(room, |room| room.last_pages.load(now, pass, asking))
    }
}

#[async_trait]
impl RoomsLook for MemoryStore {
    async fn rooms_look(&self, rooms: &[RoomRef]) -> StoreResult<Vec<Option<Look>>> {
        let known = self.lock();
        let server: Arc<str> = self.server().to_string().into();
        let look = |at: &RoomRef| {
            let room = known.get(&at.room);
            Some(Look {
                server: server.clone(),
                is_empty: room.is_some_and(|room| room.line.is_empty() && room.occupied() == 0),
            })
        };
        Ok(rooms.iter().map(look).collect())
    }
}

#[async_trait]
impl LiveKeys for MemoryStore {
    async fn keys_state(&self, room: &RoomRef) -> StoreResult<KeyState> {
        let own = self.server();
        self.with(room, |room| room.live_keys.state(own, room.clock))
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
            let keys = &mut room.live_keys;
            let is_confirmed = keys.confirm(own, room.clock, now, range, kept_until);
            if is_confirmed {
                room.clock = room.clock.max(range.after);
            }
            is_confirmed
        })
    }

    async fn keys_extend(&self, room: &RoomRef, term: u64, limit: u64) -> StoreResult<bool> {
        self.with(room, |room| room.live_keys.extend(term, limit))
    }
}

//! A look at many rooms on Redis.

use async_trait::async_trait;
use redis::Value;

use super::{RedisStore, bounded};
use crate::store::emptiness::{Emptiness, LOOK_BATCH_MAX, RoomsLook};
use crate::store::{RoomRef, StoreError, StoreResult, reply};

#[async_trait]
impl RoomsLook for RedisStore {
    async fn rooms_look(&self, rooms: &[RoomRef]) -> StoreResult<Emptiness> {
        debug_assert!(rooms.len() <= LOOK_BATCH_MAX);
        let mut look = redis::pipe();
        look.cmd("INFO").arg("replication");
        for room in rooms {
            let keys = self.keys(room);
            let of_people = [keys.line(), keys.popped(), keys.called(), keys.active()];
            look.cmd("EXISTS").arg(keys.meta()).arg(&of_people);
        }
        let mut connection = self.link.connection();
        let mut answers: Vec<Value> = bounded(look.query_async(&mut connection)).await?;
        if answers.len() != rooms.len() + 1 {
            let count = answers.len();
            return Err(StoreError::Corrupt(format!("{count} answers to a look")));
        }
        let replication = answers.remove(0);
        // One: `meta`, which every room has. Redis keeps no empty set, so nobody is in the others.
        let is_empty = answers.iter().map(|there| Ok(reply::number(there)? == 1));
        Ok(Emptiness {
            server: server_of(reply::text(&replication)?)?,
            is_empty: is_empty.collect::<StoreResult<_>>()?,
        })
    }
}

/// The replication id: another one after every restart and every promotion.
fn server_of(replication: &str) -> StoreResult<String> {
    let mut lines = replication.lines();
    let id = lines.find_map(|line| line.strip_prefix("master_replid:"));
    id.map(str::to_owned)
        .ok_or_else(|| StoreError::Corrupt("no replication id".to_owned()))
}

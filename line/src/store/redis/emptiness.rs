//! A look at many rooms on Redis.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use redis::{RedisResult, Value};

use super::RedisStore;
use crate::store::emptiness::{LOOK_BATCH_MAX, Look, RoomsLook};
use crate::store::link::Shard;
use crate::store::{RoomRef, StoreError, StoreResult, reply};

#[async_trait]
impl RoomsLook for RedisStore {
    async fn rooms_look(&self, rooms: &[RoomRef]) -> StoreResult<Vec<Option<Look>>> {
        debug_assert!(rooms.len() <= LOOK_BATCH_MAX);
        let slots: Vec<u16> = rooms.iter().map(|room| self.keys(room).slot()).collect();
        let shards = self.bounded(self.link.shards(&slots)).await?;
        let looks = shards
            .into_iter()
            .map(|shard| self.shard_look(shard, rooms));
        let mut found = vec![None; rooms.len()];
        let mut failure = None;
        for look in join_all(looks).await {
            match look {
                Ok(looks) => {
                    for (index, look) in looks {
                        found[index] = look;
                    }
                }
                Err(error) => failure = Some(error),
            }
        }
        // A shard that is away takes no room of another with it.
        match failure {
            Some(error) if found.iter().all(Option::is_none) => Err(error),
            _ => Ok(found),
        }
    }
}

impl RedisStore {
    /// Looks at those of `rooms` that a shard has; each answer has the index of its room.
    async fn shard_look(
        &self,
        shard: Shard,
        rooms: &[RoomRef],
    ) -> StoreResult<Vec<(usize, Option<Look>)>> {
        let Shard {
            mut connection,
            members,
        } = shard;
        let mut look = redis::pipe();
        look.ignore_errors().cmd("INFO").arg("replication");
        for index in &members {
            let keys = self.keys(&rooms[*index]);
            let of_people = [keys.line(), keys.popped(), keys.called(), keys.active()];
            look.cmd("EXISTS").arg(keys.meta()).arg(&of_people);
        }
        let answers = self.bounded(look.query_async::<Vec<RedisResult<Value>>>(&mut connection));
        let answers = answers.await.inspect_err(|_| self.link.doubt())?;
        let mut answers = answers.into_iter();
        let replication = answers.next().unwrap_or(Ok(Value::Nil));
        let replication = replication.map_err(StoreError::Unavailable)?;
        let server: Arc<str> = server_of(reply::text(&replication)?)?.into();
        if answers.len() != members.len() {
            let count = answers.len();
            return Err(StoreError::Corrupt(format!("{count} answers to a look")));
        }
        let look = |answer: RedisResult<Value>| {
            let Ok(there) = answer else {
                // The room is on its way to another shard, or there already.
                self.link.doubt();
                return Ok(None);
            };
            Ok(Some(Look {
                server: server.clone(),
                // One: `meta`, which every room has. Redis keeps no empty set, so nobody is in
                // the others.
                is_empty: reply::number(&there)? == 1,
            }))
        };
        let looks = members.into_iter().zip(answers);
        looks
            .map(|(index, answer)| Ok((index, look(answer)?)))
            .collect()
    }
}

/// The replication id: another one after every restart and every promotion.
fn server_of(replication: &str) -> StoreResult<String> {
    let mut lines = replication.lines();
    let id = lines.find_map(|line| line.strip_prefix("master_replid:"));
    id.map(str::to_owned)
        .ok_or_else(|| StoreError::Corrupt("no replication id".to_owned()))
}

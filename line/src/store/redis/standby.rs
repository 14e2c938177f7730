//! Stand-by on Redis.

use async_trait::async_trait;
use contract::Timestamp;

use super::{Args, RedisStore};
use crate::policy::order::OrderKey;
use crate::policy::standby::depth;
use crate::store::standby::{Closed, Standby, StandbyOrder, StandbyPopped};
use crate::store::{RoomRef, StoreError, StoreResult};

#[async_trait]
impl Standby for RedisStore {
    async fn standby_pop(
        &self,
        room: &RoomRef,
        now: Timestamp,
        clock_now: u64,
        order: &StandbyOrder,
    ) -> StoreResult<StandbyPopped> {
        let places = order.places.iter().flat_map(|place| *place.as_bytes());
        let args = Args::of(room)
            .time(now)
            .number(clock_now)
            .number(order.batch)
            .number(order.active_max)
            .number(order.calls_per_minute)
            .number(depth(order.calls_per_minute))
            .time(order.expires_at)
            .bytes(places.collect());
        let (count, first, why): (usize, u64, String) =
            self.run(&self.scripts.standby, room, &args).await?;
        let closed = Closed::ALL.into_iter().find(|word| word.as_str() == why);
        if closed.is_none() && !why.is_empty() {
            return Err(StoreError::Corrupt(format!("stand-by: {why}")));
        }
        let keys = (first..).map_while(OrderKey::new);
        Ok(StandbyPopped {
            places: order.places.iter().copied().zip(keys).take(count).collect(),
            closed,
        })
    }
}

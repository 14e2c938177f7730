//! Stand-by in the model.

use async_trait::async_trait;
use contract::{PlaceId, Timestamp};

use super::MemoryStore;
use super::room::{Room, count};
use crate::policy::order::{LIVE_BASE, OrderKey};
use crate::policy::outcome::{Fate, Outcome};
use crate::store::standby::{Closed, Standby, StandbyOrder, StandbyPopped};
use crate::store::{Notice, RoomRef, StoreResult};

#[async_trait]
impl Standby for MemoryStore {
    async fn standby_pop(
        &self,
        room: &RoomRef,
        now: Timestamp,
        clock_now: u64,
        order: &StandbyOrder,
    ) -> StoreResult<StandbyPopped> {
        let own = self.server();
        self.with(room, |room| {
            let limit = room.live_keys.limit_of(own);
            room.standby_pop(now, clock_now, limit, order)
        })
    }
}

impl Room {
    /// Pops newcomers, whose live keys go up to `limit`.
    fn standby_pop(
        &mut self,
        now: Timestamp,
        clock_now: u64,
        limit: u64,
        order: &StandbyOrder,
    ) -> StandbyPopped {
        let none = |closed| StandbyPopped {
            places: Vec::new(),
            closed: Some(closed),
        };
        if !self.is_open {
            return none(Closed::Unopened);
        }
        let is_held = self.held_until.is_some_and(|until| until > now);
        if is_held || self.live_keys.callable(now).is_some() {
            return none(Closed::Held);
        }
        if self.pending.is_some() {
            return none(Closed::Pending);
        }
        if !self.line.is_empty() {
            return none(Closed::Line);
        }
        let wanted = count(order.places.len());
        let clock = self.clock.max(clock_now.saturating_sub(1));
        if clock + wanted > limit {
            return none(Closed::Keyless);
        }
        let meter = self.meter.filled(order.calls_per_minute, now);
        let by_rate = meter.calls();
        let by_cap = order.active_max.saturating_sub(self.occupied());
        let admitted = wanted.min(by_rate).min(by_cap);
        let why = if by_cap <= by_rate {
            Closed::Cap
        } else {
            Closed::Rate
        };
        if admitted == 0 {
            return none(why);
        }
        let keys = (LIVE_BASE + clock + 1..=LIVE_BASE + clock + admitted).map_while(OrderKey::new);
        let places: Vec<_> = order.places.iter().copied().zip(keys).collect();
        let popped = places.iter().map(|(place, key)| (*key, *place));
        self.popped.extend(popped);
        self.clock = clock + admitted;
        self.pending = Some(order.batch);
        self.standby = Some((now, order.expires_at));
        self.meter = meter.drawn(admitted, order.calls_per_minute);
        self.counts.straight += admitted;
        StandbyPopped {
            places,
            closed: (admitted < wanted).then_some(why),
        }
    }

    /// Begins a session of stand-by, whose batch ends with the ordinal `last`.
    pub(super) fn begin(
        &mut self,
        place: PlaceId,
        seq: u64,
        last: u64,
        started_at: Timestamp,
        expires_at: Timestamp,
    ) {
        self.active.insert(place, expires_at);
        self.session.insert(place, (seq, started_at));
        let fate = Fate::Claimed { until: expires_at };
        let outcome = Outcome {
            place,
            seq: last,
            fate,
        };
        self.outcomes.insert(place, outcome);
        self.counts.claims += 1;
        self.tell(Notice::Claimed {
            place,
            seq,
            started_at,
            expires_at,
        });
    }
}

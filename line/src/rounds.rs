//! Looks after the rooms that rest on this gateway, all of them in one task.
//!
//! Ten times a second it wakes those whose schedule has come to its next moment. Over a little
//! less than a second it asks the store of each whether it is still there and empty, in batches:
//! somebody may have joined at another gateway, or the store may have lost the room. A room that
//! turns out to be on another server than before makes a round, as that server's right to give live
//! keys is to be confirmed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use contract::RoomId;
use metrics::gauge;
use tokio::time::{Instant, MissedTickBehavior};

use crate::parts::Parts;
use crate::policy::admission::TICK;
use crate::rest::REST_MAX;
use crate::room::Room;
use crate::store::StoreResult;
use crate::store::emptiness::LOOK_BATCH_MAX;
use crate::telemetry;

/// In how many ticks every resting room is asked after once: less than a second, so that a fan who
/// joins at a gateway that may not lead is called by another one within a second.
const ROUND_TICKS: u64 = 9;

/// Most rooms that are awake because they rested for [`REST_MAX`] and do not rest again yet: rooms
/// that began to rest together do not burden store and records together ever after, nor while
/// these are slow.
const WOKEN_MAX: usize = 5;

/// How long such a room counts at most. By then it has found something to do.
const WOKEN_FOR_MAX: Duration = Duration::from_secs(10);

/// Looks after `rooms` until the process stops.
pub async fn run(parts: &Parts, rooms: impl Fn() -> Vec<Arc<Room>>) {
    let by_clock = async {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut woken = Vec::new();
        loop {
            ticks.tick().await;
            wake_due(&rooms(), &mut woken);
        }
    };
    // Apart from the clock: a store that does not answer delays no schedule.
    let by_store = async {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = Looks::default();
        loop {
            ticks.tick().await;
            if let Err(error) = looks.look_once(parts, &rooms()).await {
                tracing::debug!(%error, "resting rooms not looked at");
            }
        }
    };
    tokio::select! {
        () = parts.stop.cancelled() => {}
        () = by_clock => {}
        () = by_store => {}
    }
}

/// Wakes the rooms whose phase has changed with the time, and some that have rested for long,
/// which are noted in `woken`.
fn wake_due(rooms: &[Arc<Room>], woken: &mut Vec<(Arc<Room>, Instant)>) {
    woken.retain(|(room, at)| room.rest.lasts().is_none() && at.elapsed() < WOKEN_FOR_MAX);
    let mut resting = 0_u32;
    for room in rooms {
        let Some(lasts) = room.rest.lasts() else {
            continue;
        };
        resting += 1;
        let is_over = lasts >= REST_MAX && woken.len() < WOKEN_MAX;
        if is_over {
            woken.push((room.clone(), Instant::now()));
        }
        if is_over || room.phase() != room.view().phase {
            room.rest.stir();
        }
    }
    gauge!(telemetry::RESTING_ROOMS).set(resting);
}

/// Looks at resting rooms, some of them at a time.
#[derive(Default)]
struct Looks {
    count: u64,
}

impl Looks {
    /// Looks at those whose turn it is.
    async fn look_once(&mut self, parts: &Parts, rooms: &[Arc<Room>]) -> StoreResult<()> {
        self.count += 1;
        let turn = self.count % ROUND_TICKS;
        let is_due = |room: &&Arc<Room>| room.rest.lasts().is_some() && turn_of(&room.id) == turn;
        let due: Vec<_> = rooms.iter().filter(is_due).collect();
        for batch in due.chunks(LOOK_BATCH_MAX) {
            let asked_at = parts.clock.now();
            let asked: Vec<_> = batch.iter().map(|room| room.store_ref()).collect();
            let found = parts.store.rooms_look(&asked).await?;
            for (room, look) in batch.iter().zip(found) {
                // It is asked about again in a second.
                let Some(look) = look else { continue };
                // Also the first time: it may have begun to rest with the one before it.
                let has_moved = room.server_note(&look.server);
                if has_moved || !look.is_empty {
                    room.rest.stir();
                } else if room.rest.lasts().is_some() {
                    room.empty_found(asked_at);
                }
            }
        }
        Ok(())
    }
}

/// When in a round the room is looked at. Spread, so that the store never answers for all at once.
fn turn_of(room: &RoomId) -> u64 {
    let mut hasher = DefaultHasher::new();
    room.hash(&mut hasher);
    hasher.finish() % ROUND_TICKS
}

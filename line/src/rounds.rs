//! Looks after the rooms that rest on this gateway, all of them in one task.
//!
//! Ten times a second a share of the rooms has its turn, so that each has one in a little less than
//! a second. At its turn a room whose phase has changed wakes up, and one whose phase is about to
//! change is looked at ten times a second from then on. At its turn too the store is asked whether
//! the room is still there and empty, in batches: somebody may have joined at another gateway, or
//! the store may have lost the room. A room that turns out to be on another server than before makes
//! a round, as that server's right to give live keys is to be confirmed.

use std::sync::Arc;
use std::time::Duration;

use contract::Clock;
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
const ROUND_TICKS: usize = 9;

/// A phase that changes within this is about to change: longer than a round.
const SOON: Duration = Duration::from_secs(2);

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
        let mut wakings = Wakings::default();
        loop {
            ticks.tick().await;
            wakings.wake_due(&rooms());
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

/// Wakes resting rooms, some of them at a time.
#[derive(Default)]
struct Wakings {
    turn: usize,
    /// How many of each turn's rooms rest.
    resting: [u32; ROUND_TICKS],
    /// Resting rooms whose phase is about to change.
    soon: Vec<Arc<Room>>,
    /// Rooms that were woken because they had rested for long, and when.
    woken: Vec<(Arc<Room>, Instant)>,
}

impl Wakings {
    /// Wakes the rooms whose phase has changed with the time, and some that have rested for long.
    fn wake_due(&mut self, rooms: &[Arc<Room>]) {
        self.turn = (self.turn + 1) % ROUND_TICKS;
        self.woken
            .retain(|(room, at)| room.rest.lasts().is_none() && at.elapsed() < WOKEN_FOR_MAX);
        for room in &self.soon {
            if room.rest.lasts().is_some() && room.phase() != room.view().phase {
                room.rest.stir();
            }
        }
        let turn = self.turn;
        self.soon.retain(|room| turn_of(room) != turn);
        self.resting[turn] = 0;
        for room in rooms.iter().filter(|room| turn_of(room) == turn) {
            if let Some(lasts) = room.rest.lasts() {
                self.resting[turn] += 1;
                self.take_turn(room, lasts);
            }
        }
        gauge!(telemetry::RESTING_ROOMS).set(self.resting.iter().sum::<u32>());
    }

    fn take_turn(&mut self, room: &Arc<Room>, lasts: Duration) {
        let is_over = lasts >= REST_MAX && self.woken.len() < WOKEN_MAX;
        if is_over {
            self.woken.push((room.clone(), Instant::now()));
        }
        let shown = room.view().phase;
        if is_over || room.phase() != shown {
            room.rest.stir();
        } else if room.phase_at(room.parts.clock.now().plus(SOON)) != shown {
            self.soon.push(room.clone());
        }
    }
}

/// Looks at resting rooms, some of them at a time.
#[derive(Default)]
struct Looks {
    turn: usize,
}

impl Looks {
    /// Looks at those whose turn it is.
    async fn look_once(&mut self, parts: &Parts, rooms: &[Arc<Room>]) -> StoreResult<()> {
        self.turn = (self.turn + 1) % ROUND_TICKS;
        let is_due = |room: &&Arc<Room>| turn_of(room) == self.turn && room.rest.lasts().is_some();
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

/// When in a round the room has its turn. Spread, so that the store never answers for all at once.
fn turn_of(room: &Room) -> usize {
    usize::from(room.spread) % ROUND_TICKS
}

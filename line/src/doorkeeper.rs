//! The tasks at the door: each gathers the visitors that arrive while the previous batch is in flight and
//! sends them to the store as one call. The more arrive, the larger the batches, and the cost of
//! one visitor falls.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::door::{DoorQueue, WAITING_MAX, Waiting, busy};
use crate::error::{WorkError, line_problem};
use crate::live_keys;
use crate::policy::order::clock_floor;
use crate::room::Room;
use crate::store::live_keys::KeyState;
use crate::store::{ENTER_BATCH_MAX, Entered, Entry, StoreError, StoreResult};

/// Has the door of `room` worked on, each lane by a task of its own.
pub fn keep(room: &Arc<Room>) {
    // The door is the room's own.
    let own = Arc::downgrade(room);
    room.door.kept_by(move |queue| {
        let Some(room) = own.upgrade().filter(|room| !room.stop.is_cancelled()) else {
            return;
        };
        let working = room.work.track_future(queue.run(room.clone()));
        room.parts.tasks.spawn(working);
    });
}

impl DoorQueue {
    /// Works until the room is dropped or the process stops.
    async fn run(mut self, room: Arc<Room>) {
        let mut batch = Vec::with_capacity(ENTER_BATCH_MAX);
        let mut keyless = Keyless::default();
        loop {
            tokio::select! {
                biased;
                () = room.stop.cancelled() => return,
                reserved = keyless.reserved() => {
                    for mut again in keyless.take(&room, reserved) {
                        keyless.add(&room, settle(&room, &mut again).await);
                    }
                }
                count = self.0.recv_many(&mut batch, ENTER_BATCH_MAX) => {
                    if count == 0 {
                        return;
                    }
                    keyless.add(&room, settle(&room, &mut batch).await);
                }
            }
        }
    }
}

/// Visitors who need a live key that the store may not give, and the task that has some reserved:
/// at most [`WAITING_MAX`]. Everyone else goes on meanwhile.
#[derive(Default)]
struct Keyless {
    waiting: Vec<Waiting>,
    reserving: Option<BoxFuture<'static, Result<KeyState, WorkError>>>,
}

impl Keyless {
    /// Has keys reserved for `waiting`.
    fn add(&mut self, room: &Arc<Room>, waiting: Vec<Waiting>) {
        for waiting in waiting {
            if self.waiting.len() < WAITING_MAX {
                self.waiting.push(waiting);
            } else {
                // A visitor who has gone needs no answer.
                let _gone = waiting.answer.send(Err(busy()));
            }
        }
        if !self.waiting.is_empty() && self.reserving.is_none() {
            let room = room.clone();
            let reserving = async move { live_keys::ensure(&room, Duration::ZERO).await };
            self.reserving = Some(reserving.boxed());
        }
    }

    /// Resolves when keys were reserved, or could not be; never while nobody waits for it.
    async fn reserved(&mut self) -> Result<KeyState, WorkError> {
        match &mut self.reserving {
            Some(reserving) => reserving.await,
            None => std::future::pending().await,
        }
    }

    /// Those who can be let in now, in batches; without keys they are told that they cannot.
    fn take(&mut self, room: &Room, reserved: Result<KeyState, WorkError>) -> Vec<Vec<Waiting>> {
        self.reserving = None;
        let mut waiting = std::mem::take(&mut self.waiting);
        if let Err(error) = reserved {
            tracing::warn!(room = %room.id, %error, "no live keys could be reserved");
            room.meters.door_failures.increment(1);
            for waiting in waiting.drain(..) {
                let _gone = waiting.answer.send(Err(line_problem(&StoreError::NoRoom)));
            }
        }
        let mut batches = Vec::new();
        while !waiting.is_empty() {
            let rest = waiting.split_off(waiting.len().min(ENTER_BATCH_MAX));
            batches.push(std::mem::replace(&mut waiting, rest));
        }
        batches
    }
}

/// Lets a batch in and answers, except those who need a live key that the store may not give.
async fn settle(room: &Arc<Room>, batch: &mut Vec<Waiting>) -> Vec<Waiting> {
    let mut keyless = Vec::new();
    // Whoever gave up waiting has been told so; a place given now would be a place they may
    // not know of, and their next try gets the same one anyway.
    batch.retain(|waiting| !waiting.answer.is_closed());
    if batch.is_empty() {
        return keyless;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most the batch limit")]
    room.meters.door_batch.record(batch.len() as f64);
    let entries: Vec<_> = batch.iter().map(|waiting| waiting.entry).collect();
    let entered = match enter(room, &entries).await {
        // The store has lost the room: make it again, then let them in.
        Err(StoreError::NoRoom) => match room.rebuild().await {
            Ok(()) => enter(room, &entries).await,
            // Another process makes it.
            Err(WorkError::Store(StoreError::NoRoom)) => Err(StoreError::NoRoom),
            Err(error) => {
                tracing::warn!(room = %room.id, %error, "could not make the room again");
                Err(StoreError::NoRoom)
            }
        },
        other => other,
    };
    // Also after an error: it may have been done all the same.
    room.rest.stir();
    match entered {
        Ok(entered) => {
            for (waiting, entered) in batch.drain(..).zip(entered) {
                match entered {
                    Some(entered) => {
                        // A visitor who has gone needs no answer.
                        let _gone = waiting.answer.send(Ok(entered));
                    }
                    None => keyless.push(waiting),
                }
            }
        }
        Err(error) => {
            room.meters.door_failures.increment(1);
            let problem = line_problem(&error);
            for waiting in batch.drain(..) {
                let _gone = waiting.answer.send(Err(problem.clone()));
            }
        }
    }
    keyless
}

async fn enter(room: &Room, entries: &[Entry]) -> StoreResult<Vec<Option<Entered>>> {
    let record = room.record();
    let now = room.parts.now();
    let floor = clock_floor(record.created_at, now);
    room.parts
        .store
        .places_enter(&room.store_ref(), now, floor, entries)
        .await
}

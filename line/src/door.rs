//! The door: gathers the visitors that arrive while the previous batch is in flight and sends
//! them to the store as one call. The more arrive, the larger the batches, and the cost of one
//! visitor falls.

use std::sync::Arc;
use std::time::Duration;

use contract::{Problem, ProblemCode};
use tokio::sync::{mpsc, oneshot};

use super::line_problem;
use super::room::Room;
use crate::policy::order::clock_floor;
use crate::store::{ENTER_BATCH_MAX, Entered, Entry, StoreError};

/// Visitors that may wait at the door of one room. Beyond it they are told to come back: at the
/// measured pace of the store this many are a fraction of a second.
const WAITING_MAX: usize = 20_000;

/// Longest a visitor waits at the door; the contract promises an answer within a second.
const ANSWER_MAX: Duration = Duration::from_millis(950);

type Answer = Result<Entered, Problem>;

struct Waiting {
    entry: Entry,
    answer: oneshot::Sender<Answer>,
}

/// The way into one room's store.
#[derive(Clone, Debug)]
pub struct Door(mpsc::Sender<Waiting>);

/// The end of the door where batches are taken.
pub struct DoorQueue(mpsc::Receiver<Waiting>);

/// A door and its queue.
pub fn door() -> (Door, DoorQueue) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (Door(sender), DoorQueue(receiver))
}

impl Door {
    /// Lets one visitor in and says how they stand.
    pub async fn enter(&self, entry: Entry) -> Answer {
        let (answer, answered) = oneshot::channel();
        let busy = || Problem::new(ProblemCode::LineUnavailable).detail("The line is very busy.");
        self.0
            .try_send(Waiting { entry, answer })
            .map_err(|_| busy())?;
        match tokio::time::timeout(ANSWER_MAX, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(line_problem(&StoreError::Timeout)),
        }
    }
}

impl DoorQueue {
    /// Works until the room is dropped or the process stops.
    pub async fn run(mut self, room: Arc<Room>) {
        let mut batch = Vec::with_capacity(ENTER_BATCH_MAX);
        loop {
            tokio::select! {
                () = room.stop.cancelled() => return,
                count = self.0.recv_many(&mut batch, ENTER_BATCH_MAX) => if count == 0 { return },
            }
            settle(&room, &mut batch).await;
        }
    }
}

async fn settle(room: &Arc<Room>, batch: &mut Vec<Waiting>) {
    // Whoever gave up waiting has been told so; a place given now would be a place they may
    // not know of, and their next try gets the same one anyway.
    batch.retain(|waiting| !waiting.answer.is_closed());
    if batch.is_empty() {
        return;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most the batch limit")]
    room.meters.door_batch.record(batch.len() as f64);
    let entries: Vec<_> = batch.iter().map(|waiting| waiting.entry).collect();
    let entered = match enter(room, &entries).await {
        // The store has lost the room: make it again, then let them in.
        Err(StoreError::NoRoom) => match room.rebuild().await {
            Ok(()) => enter(room, &entries).await,
            Err(error) => {
                tracing::warn!(room = %room.id, %error, "could not make the room again");
                Err(StoreError::NoRoom)
            }
        },
        other => other,
    };
    match entered {
        Ok(entered) => {
            for (waiting, entered) in batch.drain(..).zip(entered) {
                // A visitor who has gone needs no answer.
                let _gone = waiting.answer.send(Ok(entered));
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
}

async fn enter(room: &Room, entries: &[Entry]) -> Result<Vec<Entered>, StoreError> {
    let record = room.record();
    let now = room.parts.clock.now();
    let floor = clock_floor(record.created_at, now);
    room.parts
        .store
        .places_enter(&room.store_ref(), now, floor, entries)
        .await
}

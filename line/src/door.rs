//! The door of a room: the queues of visitors on their way into the store.
//!
//! Each thread that serves visitors has a lane of its own, whose batches are made on that thread:
//! a visitor's answer comes from the thread that waits for it.

use std::sync::OnceLock;
use std::time::Duration;

use contract::{Problem, ProblemCode};
use tokio::sync::{mpsc, oneshot};

use crate::core_thread::PerCore;
use crate::error::line_problem;
use crate::store::{Entered, Entry, StoreError};

/// Visitors that may wait in one lane of a room's door. Beyond it they are told to come back: at
/// the measured pace of the store this many are a fraction of a second.
pub(crate) const WAITING_MAX: usize = 20_000;

/// Longest a visitor waits at the door; the contract promises an answer within a second.
const ANSWER_MAX: Duration = Duration::from_millis(950);

/// What a visitor hears.
type Answer = Result<Entered, Problem>;

/// A visitor who waits for an answer.
pub(crate) struct Waiting {
    pub(crate) entry: Entry,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// The way into one room's store.
pub struct Door {
    /// Opened when they are first used.
    lanes: PerCore<OnceLock<mpsc::Sender<Waiting>>>,
    keeper: OnceLock<Keeper>,
}

/// Has a lane worked on.
type Keeper = Box<dyn Fn(DoorQueue) + Send + Sync>;

/// The end of a lane where batches are taken.
pub struct DoorQueue(pub(crate) mpsc::Receiver<Waiting>);

impl Default for Door {
    /// A door that nobody attends to yet.
    fn default() -> Self {
        Self {
            lanes: PerCore::new(OnceLock::new),
            keeper: OnceLock::new(),
        }
    }
}

impl Door {
    /// Has each lane worked on by `keeper` from its first visitor on, whose runtime the keeper is
    /// called in. The first keeper stays.
    pub(crate) fn kept_by(&self, keeper: impl Fn(DoorQueue) + Send + Sync + 'static) {
        let _stays = self.keeper.set(Box::new(keeper));
    }

    /// The lane of this thread.
    fn lane(&self) -> &mpsc::Sender<Waiting> {
        self.lanes.own().get_or_init(|| {
            let (sender, receiver) = mpsc::channel(WAITING_MAX);
            // Without a keeper the lane is closed.
            if let Some(keeper) = self.keeper.get() {
                keeper(DoorQueue(receiver));
            }
            sender
        })
    }

    /// Lets one visitor in and says how they stand.
    pub async fn enter(&self, entry: Entry) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.lane()
            .try_send(Waiting { entry, answer })
            .map_err(|_| busy())?;
        match tokio::time::timeout(ANSWER_MAX, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(line_problem(&StoreError::Timeout)),
        }
    }
}

/// The problem of a visitor whom nobody can attend to now.
pub(crate) fn busy() -> Problem {
    Problem::new(ProblemCode::LineUnavailable).detail("The line is very busy.")
}

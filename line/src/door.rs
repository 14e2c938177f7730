//! The door of a room: the queue of visitors on their way into the store.

use std::time::Duration;

use contract::{Problem, ProblemCode};
use tokio::sync::{mpsc, oneshot};

use crate::error::line_problem;
use crate::store::{Entered, Entry, StoreError};

/// Visitors that may wait at the door of one room. Beyond it they are told to come back: at the
/// measured pace of the store this many are a fraction of a second.
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
#[derive(Clone, Debug)]
pub struct Door(mpsc::Sender<Waiting>);

/// The end of the door where batches are taken.
pub struct DoorQueue(pub(crate) mpsc::Receiver<Waiting>);

/// A door and its queue.
pub fn door() -> (Door, DoorQueue) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (Door(sender), DoorQueue(receiver))
}

impl Door {
    /// Lets one visitor in and says how they stand.
    pub async fn enter(&self, entry: Entry) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.0
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

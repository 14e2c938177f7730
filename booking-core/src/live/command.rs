//! Commands to a show's writer, and its answers.

use contract::SeatId;
use contract::booking::Hold;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use crate::database::StoreError;
use crate::store::hold_batch::HoldOwner;
use crate::store::idempotency::{KeyUse, Known, StoredAnswer};

/// The seats that a hold asks for.
#[derive(Clone, Debug)]
pub(crate) enum SeatsWanted {
    /// These seats, by index in the plan.
    Named(Vec<usize>),
    /// A number of the best seats.
    Best {
        quantity: usize,
        category: Option<String>,
    },
}

impl SeatsWanted {
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Named(indices) => indices.len(),
            Self::Best { quantity, .. } => *quantity,
        }
    }
}

/// Makes a hold once for all repeats of a request.
pub(crate) struct HoldKey {
    /// The key under every principal that a repeat may come with. At least one.
    pub(crate) key_uses: Vec<KeyUse>,
    /// The response to a repeat, stored with the hold.
    pub(crate) answer_of: Box<dyn Fn(&Hold) -> StoredAnswer + Send + Sync>,
}

impl std::fmt::Debug for HoldKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HoldKey").field(&self.key_uses).finish()
    }
}

/// A command to hold seats, whose caller waits.
#[derive(Debug)]
pub(crate) struct HoldCommand {
    pub(crate) hold_id: Uuid,
    pub(crate) wanted: SeatsWanted,
    /// What each seat is sold as, in map order: an index in the types of its category. The first
    /// type when empty.
    pub(crate) types: Vec<usize>,
    pub(crate) key: Option<HoldKey>,
    pub(crate) owner: HoldOwner,
    pub(crate) queued_at: Instant,
    pub(crate) tries: u8,
    /// Whether its key was just looked up and is new.
    pub(crate) is_new: bool,
    pub(crate) reply: oneshot::Sender<Result<Settled, StoreError>>,
}

impl HoldCommand {
    /// Whether it may be the repeat of a request that was granted.
    pub(crate) fn may_repeat(&self) -> bool {
        self.key.is_some() && !self.is_new
    }
}

/// Answers a command. A disconnected caller is no error: the hold expires by itself.
pub(crate) fn answer(command: HoldCommand, outcome: Result<Settled, StoreError>) {
    let _ = command.reply.send(outcome);
}

/// The outcome of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The seats are held.
    Held(Hold),
    /// The key was used before.
    Known(Known),
    /// These seats are not available.
    SeatsUnavailable(Vec<SeatId>),
    /// The owner would exceed the ticket limit.
    TicketLimit,
    /// The command waited too long or too many waited, so nothing was tried.
    Busy,
}

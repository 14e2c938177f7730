//! What a writer of a show is asked, and what it answers.

use contract::SeatId;
use contract::booking::Hold;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use crate::database::StoreError;
use crate::store::hold_batch::HoldOwner;
use crate::store::idempotency::{KeyUse, Known, StoredAnswer};

/// Which seats a hold is to have.
#[derive(Clone, Debug)]
pub(crate) enum SeatsWanted {
    /// These, by index in the plan.
    Named(Vec<usize>),
    /// So many of the best.
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

/// Makes a hold once, however often it is asked for.
pub(crate) struct HoldKey {
    /// The key under every name that a repeat may come with. At least one.
    pub(crate) key_uses: Vec<KeyUse>,
    /// What a repeat is told, which is stored with the hold.
    pub(crate) answer_of: Box<dyn Fn(&Hold) -> StoredAnswer + Send + Sync>,
}

impl std::fmt::Debug for HoldKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HoldKey").field(&self.key_uses).finish()
    }
}

/// A hold that somebody waits for.
#[derive(Debug)]
pub(crate) struct HoldCommand {
    pub(crate) hold_id: Uuid,
    pub(crate) wanted: SeatsWanted,
    pub(crate) key: Option<HoldKey>,
    pub(crate) owner: HoldOwner,
    pub(crate) queued_at: Instant,
    pub(crate) tries: u8,
    pub(crate) reply: oneshot::Sender<Result<Settled, StoreError>>,
}

/// What became of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It has its seats.
    Held(Hold),
    /// Its key was used before.
    Known(Known),
    /// These seats could not be had.
    SeatsUnavailable(Vec<SeatId>),
    /// The owner would have too many tickets.
    TicketLimit,
    /// It waited too long for its turn and was not tried.
    Busy,
}

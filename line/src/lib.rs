//! The waiting line: who is next, how many are called, and what is kept of it. No HTTP.
//!
//! [`policy`] decides and does no input or output. [`store`] is the live line in Redis,
//! [`records`] is what lasts in PostgreSQL; both are ports with a model in memory beside them.
//! Each room has three tasks: [`leader`] calls visitors, under a lease; [`follower`] makes the
//! view that fans are shown; [`door`] lets them in.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`absences`] | whose connection closed |
//! | [`door`] | batches visitors on their way into the store |
//! | [`follower`] | reads snapshots and notices, and makes the room's view |
//! | [`leader`] | calls visitors: one tick at a time, under the room's lease |
//! | [`live_keys`] | which keys the store may give to those who join |
//! | [`meters`] | metrics of a room |
//! | [`passes`] | mints passes for admissions |
//! | [`policy`] | decisions, pure |
//! | [`presence`] | the lease on the presence of the fans connected here |
//! | [`rebuild`] | makes a room in the store from the durable records |
//! | [`records`] | rooms, the admission log and the audit log in PostgreSQL |
//! | [`room`] | one room on this gateway |
//! | [`rooms`] | the rooms there are, kept up to date |
//! | [`session_end`] | waiting for the end of a session |
//! | [`sessions`] | who is inside, as far as this gateway knows |
//! | [`skew`] | how far this gateway's clock is from the store's |
//! | [`sockets`] | the connections whose fans wait on this gateway |
//! | [`store`] | the live line: the port, Redis, and the model in memory |
//! | [`telemetry`] | metric names |
//! | [`visitor`] | join, look, claim, leave: what a visitor can do |

pub mod absences;
pub mod door;
pub mod follower;
pub mod leader;
pub mod live_keys;
pub mod meters;
pub mod passes;
pub mod policy;
pub mod presence;
pub mod rebuild;
pub mod records;
pub mod room;
pub mod rooms;
pub mod session_end;
pub mod sessions;
pub mod skew;
pub mod sockets;
pub mod store;
pub mod telemetry;
pub mod visitor;

use std::sync::{Arc, Mutex, PoisonError};

use contract::pass::PassKeys;
use contract::{Clock, Problem, ProblemCode, RoomId, Timestamp};
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::policy::place::PlaceKeys;
use self::room::Target;
use self::skew::Skew;
use crate::policy::status::StockFigures;
use crate::records::RecordsError;
use crate::records::durable::DurableLine;
use crate::store::{RoomStore, StoreError};

/// Tells what an upstream has left to sell to the fans of a room.
pub trait StockSource: Send + Sync {
    /// The figures, or `None` when the upstream does not tell.
    fn stock(&self, room: &RoomId) -> Option<StockFigures>;
}

/// Randomness, seeded where the process is put together. Clones share one stream.
#[derive(Clone)]
pub struct Randomness(Arc<Mutex<ChaCha20Rng>>);

impl Randomness {
    /// The stream that `rng` gives.
    pub fn new(rng: ChaCha20Rng) -> Self {
        Self(Arc::new(Mutex::new(rng)))
    }

    /// `N` random bytes. Sixteen make an id: two that are alike would be a defect.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        // The generator has no state that a panic elsewhere could leave half changed.
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill_bytes(&mut bytes);
        bytes
    }

    /// A random id.
    pub fn uuid(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// A number below `bound`, for jitter.
    pub fn below(&self, bound: u64) -> u64 {
        u64::from_be_bytes(self.bytes()) % bound.max(1)
    }
}

/// What all rooms of this gateway share.
pub struct Parts {
    /// The live line.
    pub store: Arc<dyn RoomStore>,
    /// The admission log and the durable side of rooms.
    pub durable: Arc<dyn DurableLine>,
    /// Signs and verifies passes.
    pub pass_keys: Arc<PassKeys>,
    /// Signs and verifies place tokens.
    pub place_keys: Arc<PlaceKeys>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// How far it is from the store's.
    pub skew: Arc<Skew>,
    /// Randomness.
    pub randomness: Randomness,
    /// What is left to sell.
    pub stock: Arc<dyn StockSource>,
    /// Whether an upstream takes requests.
    pub upstreams: Arc<dyn UpstreamHealth>,
    /// This process among the candidates for leader.
    pub process: Uuid,
    /// Background tasks.
    pub tasks: TaskTracker,
    /// Ends the background tasks.
    pub stop: CancellationToken,
}

impl Parts {
    /// The time for what is written into the line: that of the clock, unless it is known to be
    /// far ahead.
    pub fn now(&self) -> Timestamp {
        self.skew.sound_time(self.clock.now())
    }
}

/// Tells whether calls should go on, from how an upstream does.
pub trait UpstreamHealth: Send + Sync {
    /// Whether the upstream of a room takes requests.
    fn is_open(&self, target: &Target) -> bool;
}

/// The problem that a store error is to a fan.
pub fn line_problem(error: &StoreError) -> Problem {
    match error {
        StoreError::Corrupt(what) => {
            tracing::error!(%what, "the line's store is corrupt");
            Problem::new(ProblemCode::Internal)
        }
        StoreError::Unavailable(_) | StoreError::Timeout | StoreError::NoRoom => {
            Problem::new(ProblemCode::LineUnavailable)
                .detail("Your place is safe. Keep this page open; it tries again by itself.")
        }
    }
}

/// Why a round of background work was not done.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The line's store.
    #[error("the line's store failed")]
    Store(#[from] StoreError),
    /// The durable records.
    #[error("the records failed")]
    Records(#[from] RecordsError),
    /// The admission log answered ordinals with a gap.
    #[error("the admission log gave ordinals with a gap")]
    Gap,
}

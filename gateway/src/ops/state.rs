//! What the handlers work with.

use std::sync::Arc;

use contract::room::RoomStats;
use contract::{Clock, PlaceId, Problem, RoomId};
use futures_util::future::BoxFuture;
use line::records::{Admissions, Audit, RoomRecord, Rooms};
use tokio_util::task::TaskTracker;

use super::auth::Tokens;
use super::metrics::Metrics;
use super::readiness::Readiness;
use crate::sealer::Sealer;

/// Live figures of rooms.
pub trait Figures: Send + Sync + 'static {
    /// The figures of `room`, `None` when there is no such room.
    fn stats<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Option<RoomStats>, Problem>>;

    /// Whether there is a room of this name.
    fn has(&self, room: &str) -> bool;

    /// Whether there is an upstream of this label in metrics.
    fn has_upstream(&self, label: &str) -> bool;
}

/// Sessions of visitors who were admitted.
pub trait Sessions: Send + Sync + 'static {
    /// Ends the session of `place` in `room`; `false` when there is none.
    fn session_end<'a>(
        &'a self,
        room: &'a RoomId,
        place: &'a PlaceId,
    ) -> BoxFuture<'a, Result<bool, Problem>>;
}

/// The rooms as this gateway serves them.
pub trait Changes: Send + Sync + 'static {
    /// Waits, for a moment at most, until this gateway serves `room` as `record` has it, or not at
    /// all without one. Whoever changed a room finds it changed then.
    fn apply<'a>(&'a self, room: &'a RoomId, record: Option<&'a RoomRecord>) -> BoxFuture<'a, ()>;
}

/// Makes the secret seed of a new room's draw.
pub type SeedSource = Arc<dyn Fn() -> [u8; 32] + Send + Sync>;

/// What the operators' listener works with.
#[derive(Clone)]
pub struct OpsState {
    /// The rooms.
    pub rooms: Rooms,
    /// The admission logs.
    pub admissions: Admissions,
    /// The audit log.
    pub audit: Audit,
    /// The time of every act.
    pub clock: Arc<dyn Clock>,
    /// Who may come in.
    pub tokens: Tokens,
    /// Live figures.
    pub figures: Arc<dyn Figures>,
    /// Sessions.
    pub sessions: Arc<dyn Sessions>,
    /// Whether this gateway can serve.
    pub readiness: Arc<dyn Readiness>,
    /// The metrics.
    pub metrics: Metrics,
    /// Puts changes of rooms into force here.
    pub changes: Arc<dyn Changes>,
    /// What goes on when nobody waits for its answer any more.
    pub tasks: TaskTracker,
    /// Seals the secrets of rooms.
    pub sealer: Sealer,
    /// Seeds of new rooms.
    pub seeds: SeedSource,
}

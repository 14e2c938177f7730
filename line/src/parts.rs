//! What all rooms of this gateway share, and what it asks of those who put it together.

use std::sync::Arc;

use contract::pass::PassKeys;
use contract::{Clock, RoomId, Timestamp};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::policy::care::RateShare;
use crate::policy::place::PlaceKeys;
use crate::policy::status::StockFigures;
use crate::randomness::Randomness;
use crate::records::durable::DurableLine;
use crate::skew::Skew;
use crate::store::RoomStore;
use crate::target::Target;

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
    /// How upstreams do.
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

/// Tells what an upstream has left to sell to the fans of a room.
pub trait StockSource: Send + Sync {
    /// The figures, or `None` when the upstream does not tell.
    fn stock(&self, room: &RoomId) -> Option<StockFigures>;
}

/// Tells how fast calls may go on, from how an upstream does.
pub trait UpstreamHealth: Send + Sync {
    /// The share of its rate that a room with this upstream may call at.
    fn rate_share(&self, target: &Target) -> RateShare;
}

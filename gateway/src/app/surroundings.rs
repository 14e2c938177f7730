//! What comes from outside besides the configuration.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use contract::Clock;
use line::Randomness;
use tokio_util::sync::CancellationToken;

use crate::ops::metrics::Metrics;

/// What comes from outside besides the configuration.
pub struct Surroundings {
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness, seeded from the system.
    pub randomness: Randomness,
    /// The metrics recorded in this process.
    pub metrics: Metrics,
    /// Whether the process is about to stop, which readiness tells.
    pub draining: Arc<AtomicBool>,
    /// Ends the process.
    pub stop: CancellationToken,
}

//! The process's inputs besides the configuration.

use std::sync::Arc;

use contract::Clock;
use line::Randomness;
use tokio_util::sync::CancellationToken;

use crate::access_log::AccessLog;
use crate::ops::metrics::Metrics;

/// The process's inputs besides the configuration.
pub struct Surroundings {
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness, seeded from the system.
    pub randomness: Randomness,
    /// Tells requests of the public listener.
    pub access_log: AccessLog,
    /// The metrics recorded in this process.
    pub metrics: Metrics,
    /// Cancelled when the process begins to drain; readiness reports it.
    pub draining: CancellationToken,
    /// Cancelled to stop the process.
    pub stop: CancellationToken,
}

//! How long Redis is waited for.

use std::time::Duration;

/// Longest an operation may take; what takes longer has an unknown outcome.
pub(in crate::store) const RESPONSE_TIMEOUT: Duration = Duration::from_millis(700);
/// Longest a connection attempt may take.
pub(in crate::store) const CONNECTION_TIMEOUT: Duration = Duration::from_millis(400);
/// Longest pause between connection attempts.
pub(super) const RECONNECT_DELAY_MAX: Duration = Duration::from_millis(200);
/// Shortest time between two questions where masters are: of the sentinels, or of the nodes of a
/// cluster.
pub(super) const LOOK_PAUSE: Duration = Duration::from_millis(200);

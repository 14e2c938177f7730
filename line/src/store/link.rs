//! The connection to Redis.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::RedisError;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio::time::Instant;

/// Longest an operation may take; what takes longer has an unknown outcome.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_millis(700);
/// Longest a connection attempt may take.
pub(super) const CONNECTION_TIMEOUT: Duration = Duration::from_millis(400);
/// Longest pause between connection attempts.
const RECONNECT_DELAY_MAX: Duration = Duration::from_millis(200);
/// Shortest time between two connections that replace one to a server that takes no writes.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// The connection to the server, which may be another one tomorrow.
pub(super) struct Link {
    client: redis::Client,
    connection: ArcSwap<ConnectionManager>,
    /// When the connection was last replaced.
    renewed_at: Mutex<Option<Instant>>,
}

impl Link {
    /// A connection that is made when it is first used.
    pub(super) fn new(client: redis::Client) -> Result<Self, RedisError> {
        Ok(Self {
            connection: ArcSwap::from_pointee(connect(&client)?),
            client,
            renewed_at: Mutex::default(),
        })
    }

    /// The connection as it is now.
    pub(super) fn connection(&self) -> ConnectionManager {
        ConnectionManager::clone(&self.connection.load())
    }

    /// Leaves a server that takes no writes: it was demoted, and the name leads to another. The
    /// connection itself is sound, so that nothing else would ever end it.
    pub(super) fn renew(&self) {
        let mut renewed_at = self
            .renewed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if renewed_at.is_some_and(|at| at.elapsed() < RENEW_EVERY) {
            return;
        }
        *renewed_at = Some(Instant::now());
        match connect(&self.client) {
            Ok(connection) => self.connection.store(Arc::new(connection)),
            Err(error) => tracing::warn!(%error, "no new connection to the line's store"),
        }
    }
}

/// A connection that is made when it is first used.
fn connect(client: &redis::Client) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_connection_timeout(Some(CONNECTION_TIMEOUT))
        .set_max_delay(RECONNECT_DELAY_MAX)
        .set_number_of_retries(1);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

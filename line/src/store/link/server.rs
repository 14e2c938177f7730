//! The connections to one server, which may be another one tomorrow.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::aio::ConnectionManager;
use redis::{
    Client, Cmd, ConnectionInfo, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value,
};
use tokio::time::Instant;

use super::connections::{Connections, send};

/// Shortest time between two replacements of the connections to a server that takes no writes.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// The connections to the server at an address.
pub(super) struct ServerLink {
    client: Client,
    connections: ArcSwap<Connections>,
    /// When the connections were last replaced.
    renewed_at: Mutex<Option<Instant>>,
}

impl ServerLink {
    /// Connections that are made when they are first used.
    pub(super) fn open(server: ConnectionInfo) -> RedisResult<Self> {
        let client = Client::open(server)?;
        Ok(Self {
            connections: ArcSwap::from_pointee(Connections::open(&client)?),
            client,
            renewed_at: Mutex::default(),
        })
    }

    /// The connection of this thread as it is now.
    pub(super) fn connection(&self) -> ConnectionManager {
        self.connections.load().own()
    }

    /// Sends a command.
    pub(super) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let sent = send(&mut self.connection(), command).await;
        sent.map_err(|error| self.explained(error))
    }

    /// Draws the conclusions from `error`, and adds what an operator has to do about it.
    fn explained(&self, error: RedisError) -> RedisError {
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::ReadOnly) => {
                self.renew();
                error
            }
            ErrorKind::Server(ServerErrorKind::Moved) => RedisError::from((
                ErrorKind::InvalidClientConfig,
                "ROPELINE_REDIS_URL names one node of a Redis Cluster; name several of its nodes, \
                 separated by commas",
            )),
            _ => error,
        }
    }

    /// Leaves a server that takes no writes: it was demoted, and the name leads to another. The
    /// connections themselves are sound, so that nothing else would ever end them.
    fn renew(&self) {
        let mut renewed_at = self
            .renewed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if renewed_at.is_some_and(|at| at.elapsed() < RENEW_EVERY) {
            return;
        }
        *renewed_at = Some(Instant::now());
        match Connections::open(&self.client) {
            Ok(connections) => self.connections.store(Arc::new(connections)),
            Err(error) => tracing::warn!(%error, "no new connection to the line's store"),
        }
    }
}

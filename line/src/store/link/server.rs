//! The connection to one server, which may be another one tomorrow.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, Cmd, ConnectionInfo, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value,
};
use tokio::time::Instant;

use super::limits::{CONNECTION_TIMEOUT, RECONNECT_DELAY_MAX, RESPONSE_TIMEOUT};

/// Shortest time between two connections that replace one to a server that takes no writes.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// The connection to the server at an address.
pub(super) struct ServerLink {
    client: Client,
    connection: ArcSwap<ConnectionManager>,
    /// When the connection was last replaced.
    renewed_at: Mutex<Option<Instant>>,
}

impl ServerLink {
    /// A connection that is made when it is first used.
    pub(super) fn open(server: ConnectionInfo) -> RedisResult<Self> {
        let client = Client::open(server)?;
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
    /// connection itself is sound, so that nothing else would ever end it.
    fn renew(&self) {
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
pub(super) fn connect(client: &Client) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_connection_timeout(Some(CONNECTION_TIMEOUT))
        .set_max_delay(RECONNECT_DELAY_MAX)
        .set_number_of_retries(1);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

/// Sends a command by `connection`; an answer that is an error is one.
pub(super) async fn send(connection: &mut ConnectionManager, command: &Cmd) -> RedisResult<Value> {
    let answer = connection.send_packed_command(command).await?;
    answer.extract_error()
}

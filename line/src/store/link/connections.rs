//! The connections to one server: one for each core, so that a visitor's answer comes to the thread
//! that waits for it, and one for everything else.

use std::sync::Arc;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, RedisResult, Value};

use super::limits::{CONNECTION_TIMEOUT, RECONNECT_DELAY_MAX, RESPONSE_TIMEOUT};
use crate::core_thread::PerCore;

/// The connections to one server. Clones share them.
#[derive(Clone)]
pub(super) struct Connections(Arc<PerCore<ConnectionManager>>);

impl Connections {
    /// Connections that are made when they are first used.
    pub(super) fn open(client: &Client) -> RedisResult<Self> {
        let connections = PerCore::try_new(|| {
            let config = ConnectionManagerConfig::new()
                .set_response_timeout(Some(RESPONSE_TIMEOUT))
                .set_connection_timeout(Some(CONNECTION_TIMEOUT))
                .set_max_delay(RECONNECT_DELAY_MAX)
                .set_number_of_retries(1);
            ConnectionManager::new_lazy_with_config(client.clone(), config)
        });
        Ok(Self(Arc::new(connections?)))
    }

    /// The connection of this thread.
    pub(super) fn own(&self) -> ConnectionManager {
        self.0.own().clone()
    }
}

/// Sends a command by `connection`; an answer that is an error is one.
pub(super) async fn send(connection: &mut ConnectionManager, command: &Cmd) -> RedisResult<Value> {
    let answer = connection.send_packed_command(command).await?;
    answer.extract_error()
}

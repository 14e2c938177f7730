//! A Redis Stream as a sink.
//!
//! The id of an entry is made of the position of its event, as `<position>-1`. Redis takes ids only
//! in ascending order, so a repeat is refused, two gateways cannot mix up the order, and the last id
//! of the stream is the position up to which it has everything: a Redis that lost its last second
//! says so by itself.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, TlsCertificates, Value};
use tokio::sync::Mutex;

use super::sink::{EventSink, SinkError};
use crate::event::Event;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The stream unless another is named.
const STREAM: &str = "ropeline:events";
/// What the second part of each id is: 0-0 is no id.
const SEQUENCE: &str = "1";

/// A stream of a Redis server.
pub struct RedisStream {
    client: Client,
    stream: String,
    length_max: u64,
    /// Dropped after a failure: what was on its way must not arrive after what is sent next.
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl fmt::Debug for RedisStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStream")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl RedisStream {
    /// The stream at `url`, `redis://` or `rediss://`, of about `length_max` entries. `roots` has
    /// the certificates of the authorities that are believed, as PEM; those of the system when
    /// absent. Does not connect yet.
    pub fn open(
        url: &str,
        stream: Option<String>,
        length_max: u64,
        roots: Option<Vec<u8>>,
    ) -> Result<Self, String> {
        if !url.starts_with("redis://") && !url.starts_with("rediss://") {
            return Err("only redis:// and rediss:// of one server".to_owned());
        }
        if url.contains(',') {
            return Err("one server, not several".to_owned());
        }
        let client = match roots {
            Some(pem) if url.starts_with("rediss://") => {
                let certificates = TlsCertificates {
                    client_tls: None,
                    root_cert: Some(pem),
                };
                Client::build_with_tls(url, certificates)
            }
            _ => Client::open(url),
        };
        Ok(Self {
            client: client.map_err(|error| error.to_string())?,
            stream: stream.unwrap_or_else(|| STREAM.to_owned()),
            length_max,
            connection: Mutex::new(None),
        })
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        let client = &self.client;
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    /// Does `work` over the connection, which is dropped when it fails.
    async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, SinkError> {
        let mut kept = self.connection.lock().await;
        let failed = |error: RedisError| SinkError(error.to_string());
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => self.connect().await.map_err(failed)?,
        };
        let done = work(&mut connection).await.map_err(failed)?;
        *kept = Some(connection);
        Ok(done)
    }
}

#[async_trait]
impl EventSink for RedisStream {
    fn name(&self) -> &'static str {
        "redis-stream"
    }

    async fn position(&self) -> Result<Option<i64>, SinkError> {
        let last = self
            .with(async |connection| {
                let mut question = redis::cmd("XINFO");
                question.arg("STREAM").arg(&self.stream);
                match question.query_async::<Value>(connection).await {
                    // There is no stream yet.
                    Err(error) if error.to_string().contains("no such key") => Ok(None),
                    answer => answer.map(|value| last_id(&value)),
                }
            })
            .await?;
        match last {
            None => Ok(Some(0)),
            Some(id) => {
                let (position, _) = id.split_once('-').unwrap_or((&id, ""));
                let position = position.parse().map_err(|_| {
                    SinkError(format!("the stream ends with {id}, which is not ours"))
                })?;
                Ok(Some(position))
            }
        }
    }

    async fn append(&self, events: &[Event]) -> Result<(), SinkError> {
        let mut pipe = redis::pipe();
        for event in events {
            let text =
                serde_json::to_string(event).map_err(|error| SinkError(error.to_string()))?;
            pipe.cmd("XADD")
                .arg(&self.stream)
                .arg("MAXLEN")
                .arg("~")
                .arg(self.length_max)
                .arg(format!("{}-{SEQUENCE}", event.position))
                .arg("id")
                .arg(event.id.to_string())
                .arg("type")
                .arg(&event.kind)
                .arg("event")
                .arg(text);
        }
        pipe.ignore_errors();
        let answers: Vec<Value> = self
            .with(async |connection| pipe.query_async(connection).await)
            .await?;
        for answer in answers {
            if let Value::ServerError(error) = answer {
                let error = error.to_string();
                // It is there already, by another gateway or by an attempt whose answer was lost.
                if !error.contains("equal or smaller") {
                    return Err(SinkError(error));
                }
            }
        }
        Ok(())
    }
}

/// `last-generated-id` of an answer to `XINFO STREAM`: entries that were trimmed count.
fn last_id(answer: &Value) -> Option<String> {
    let fields: Vec<(&Value, &Value)> = match answer {
        Value::Array(flat) => flat
            .chunks_exact(2)
            .map(|pair| (&pair[0], &pair[1]))
            .collect(),
        Value::Map(pairs) => pairs.iter().map(|(name, value)| (name, value)).collect(),
        _ => return None,
    };
    let (_, id) = fields
        .into_iter()
        .find(|(name, _)| text(name).as_deref() == Some("last-generated-id"))?;
    text(id)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_server_is_a_stream() {
        let open = |url| RedisStream::open(url, None, 10, None);
        assert!(open("redis://cache:6379/2").is_ok());
        assert!(open("rediss://:hush@cache").is_ok());
        for refused in [
            "kafka://cache",
            "redis://a,redis://b",
            "http://x",
            "redis://",
        ] {
            assert!(open(refused).is_err(), "{refused}");
        }
    }
}

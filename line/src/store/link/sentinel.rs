//! The connection to the server that Redis Sentinel calls the master.
//!
//! A task asks the sentinels where the master is, again and again, and at once when the master
//! gives no answer or takes no writes. So a gateway leaves a master that was demoted although it
//! still answers.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::ConnectionManager;
use redis::sentinel::SentinelClient;
use redis::{
    Client, Cmd, ConnectionAddr, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value,
};
use tokio::sync::{Notify, watch};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::address::Watched;
use super::connections::{Connections, send};
use super::limits::LOOK_PAUSE;

/// How often the sentinels are asked while nothing is wrong.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Longest wait for their answer. Several are asked at once; one on a machine that is gone takes
/// a second to be given up, and so may the master that another names.
const LOOK_MAX: Duration = Duration::from_secs(4);

/// The connections to the master, or why there are none; `None` before the sentinels were asked.
type Found = Option<RedisResult<Connections>>;

/// The connection to whatever server is the master.
pub(super) struct SentinelLink {
    found: watch::Receiver<Found>,
    /// Told when the master may be another one.
    doubt: Arc<Notify>,
    _following: AbortOnDropHandle<()>,
}

impl SentinelLink {
    /// Begins to look for the master.
    pub(super) fn open(watched: &Watched) -> RedisResult<Self> {
        let (found_send, found) = watch::channel(None);
        let doubt = Arc::new(Notify::new());
        let service = watched.service().to_owned();
        let following = follow(watched.client()?, service, found_send, doubt.clone());
        Ok(Self {
            found,
            doubt,
            _following: AbortOnDropHandle::new(TaskTracker::new().spawn(following)),
        })
    }

    /// The connection of this thread to the master, once the sentinels were asked.
    pub(super) async fn connection(&self) -> RedisResult<ConnectionManager> {
        let mut found = self.found.clone();
        let found = found.wait_for(Option::is_some).await;
        // The sender lives as long as the task, and that as long as this.
        let found = found.ok().and_then(|found| found.clone());
        let connections = found.unwrap_or_else(|| {
            Err(RedisError::from((
                ErrorKind::Client,
                "no master is looked for",
            )))
        });
        Ok(connections?.own())
    }

    /// Has the sentinels asked whether the master is another one.
    pub(super) fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Sends a command.
    pub(super) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let sent = send(&mut self.connection().await?, command).await;
        if let Err(error) = &sent
            && is_doubtful(error)
        {
            self.doubt();
        }
        sent
    }
}

/// Whether an answer like this makes it doubtful that the server is the master.
fn is_doubtful(error: &RedisError) -> bool {
    let is_refusal = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading
        )
    );
    is_refusal || error.is_io_error() || error.is_unrecoverable_error()
}

/// Keeps `found` at the master.
async fn follow(
    mut sentinels: SentinelClient,
    service: String,
    found: watch::Sender<Found>,
    doubt: Arc<Notify>,
) {
    let mut master: Option<ConnectionAddr> = None;
    loop {
        match looked(&mut sentinels).await {
            Ok(client) => {
                let address = client.get_connection_info().addr();
                if master.as_ref() != Some(address) {
                    tracing::info!(service, master = %address, "the sentinels name the master");
                    master = Some(address.clone());
                    found.send_replace(Some(Connections::open(&client)));
                }
            }
            // A master stays one while the sentinels are away.
            Err(error) if master.is_some() => {
                tracing::debug!(service, %error, "the sentinels name no master");
            }
            Err(error) => {
                found.send_replace(Some(Err(unnamed(&error))));
            }
        }
        tokio::time::sleep(LOOK_PAUSE).await;
        // Either is a reason to look again.
        let _doubted = tokio::time::timeout(LOOK_EVERY, doubt.notified()).await;
    }
}

async fn looked(sentinels: &mut SentinelClient) -> RedisResult<Client> {
    match tokio::time::timeout(LOOK_MAX, sentinels.async_get_client()).await {
        Ok(found) => found,
        Err(_) => Err(RedisError::from((
            ErrorKind::Io,
            "no sentinel answered in time",
        ))),
    }
}

/// What an operator is told when there is no master.
fn unnamed(error: &RedisError) -> RedisError {
    RedisError::from((
        ErrorKind::MasterNameNotFoundBySentinel,
        "no sentinel names a master that answers; look at the hosts and at the name of the service \
         in ROPELINE_REDIS_URL",
        error.to_string(),
    ))
}

//! Restarts of children that end on their own.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::StartError;

/// Restarts in a row before we give up.
const RESTARTS_MAX: u32 = 5;
/// A server that ran this long begins with a fresh count.
const STEADY_AFTER: Duration = Duration::from_mins(10);
/// Pause before the first restart; each further one doubles it.
const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// A server keeps ending, and restarting it did not help.
#[derive(Debug, thiserror::Error)]
#[error("{server} ended and {RESTARTS_MAX} restarts did not help")]
pub struct RestartsExhausted {
    /// The server.
    pub server: &'static str,
    /// Why the last restart failed, unless it succeeded and the server ended again.
    pub source: Option<StartError>,
}

/// Something that runs as a child and can be started again in the same place.
pub(crate) trait Restart {
    /// Name in messages.
    fn name(&self) -> &'static str;

    /// Waits for the end of the child.
    async fn ended(&mut self) -> String;

    /// Starts the child again on the same port.
    async fn restart(&mut self) -> Result<(), StartError>;
}

/// Restarts a child whenever it ends, a bounded number of times.
pub(crate) async fn keep_running<R: Restart>(child: Option<&mut R>) -> RestartsExhausted {
    let Some(child) = child else {
        return std::future::pending().await;
    };
    let mut restart_count = 0;
    let mut last_error = None;
    let mut running_since = Instant::now();
    loop {
        let status = child.ended().await;
        if running_since.elapsed() >= STEADY_AFTER {
            restart_count = 0;
        }
        if restart_count == RESTARTS_MAX {
            return RestartsExhausted {
                server: child.name(),
                source: last_error,
            };
        }
        tracing::error!(
            server = child.name(),
            status,
            restart_count,
            "server ended; restarting it"
        );
        tokio::time::sleep(BACKOFF_MIN * 2_u32.pow(restart_count)).await;
        restart_count += 1;
        running_since = Instant::now();
        last_error = child.restart().await.err();
        if let Some(error) = &last_error {
            tracing::error!(server = child.name(), error = %error, "restart failed");
        }
    }
}

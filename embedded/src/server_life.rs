//! What all private servers do alike: getting ready, ending, and what their data is worth.

use std::time::Duration;

use crate::child::Child;
use crate::error::StartError;

/// How long a server may take until it answers: recovery after a crash reads its log first.
const READY_MAX: Duration = Duration::from_mins(1);
/// How often a starting server is asked.
const READY_INTERVAL: Duration = Duration::from_millis(10);
/// How long a server may take to stop before it is killed; its log then recovers it.
pub(crate) const STOP_MAX: Duration = Duration::from_secs(15);

/// What the data is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Data survives a crash of the machine: PostgreSQL loses nothing committed, Redis at most about a second.
    Durable,
    /// Data may be lost: for tests, where speed counts.
    Throwaway,
}

/// Asks until the server is ready, has ended, or time is up.
pub(crate) async fn wait_ready(
    server: &'static str,
    child: &mut Child,
    mut is_ready: impl AsyncFnMut() -> bool,
) -> Result<(), StartError> {
    let ready = async {
        loop {
            if child.has_ended() {
                return Err(StartError::Ended {
                    server,
                    output: child.log_tail(),
                });
            }
            if is_ready().await {
                return Ok(());
            }
            tokio::time::sleep(READY_INTERVAL).await;
        }
    };
    match tokio::time::timeout(READY_MAX, ready).await {
        Ok(outcome) => outcome,
        Err(_) => Err(StartError::NotReady {
            server,
            after: READY_MAX,
            output: child.log_tail(),
        }),
    }
}

/// Waits for the end of a child and says how it ended.
pub(crate) async fn describe(child: Option<&mut Child>) -> String {
    let Some(child) = child else {
        return "not started".to_owned();
    };
    child
        .ended()
        .await
        .map_or_else(|| "unknown".to_owned(), |status| status.to_string())
}

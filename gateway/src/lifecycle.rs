//! From the order to stop until the process ends.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Longest from the order to stop until what is unfinished is given up.
pub const GRACE: Duration = Duration::from_secs(25);

/// Cancels `stop` at the first SIGTERM or SIGINT; the second ends the process at once.
pub async fn on_signals(stop: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
        _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
        () = stop.cancelled() => return Ok(()),
    }
    stop.cancel();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::warn!("second signal: stopping at once");
    Err(std::io::Error::other("stopped by a second signal"))
}

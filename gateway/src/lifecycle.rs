//! The shutdown of the process, from the signal to the end.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::service_manager;

/// Longest time from the signal until unfinished work is given up.
pub const GRACE: Duration = Duration::from_secs(25);

/// The steps of a shutdown.
#[derive(Clone, Debug)]
pub struct Stopping {
    /// Cancelled first: readiness fails, load balancers that check it send no new clients, and a
    /// successor on the same address gets new connections.
    pub draining: CancellationToken,
    /// How long load balancers have to notice, while connections are still accepted.
    pub delay: Duration,
    /// Cancelled after the delay: running work ends.
    pub stop: CancellationToken,
}

/// Shuts down at the first SIGTERM or SIGINT; the second ends the process at once.
pub async fn on_signals(stopping: Stopping) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
        _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
        () = stopping.stop.cancelled() => return Ok(()),
    }
    stopping.draining.cancel();
    service_manager::stopping();
    let second = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(second);
    tokio::select! {
        () = tokio::time::sleep(stopping.delay) => {
            stopping.stop.cancel();
            second.await;
        }
        () = &mut second => {}
    }
    tracing::warn!("second signal: stopping at once");
    Err(std::io::Error::other("stopped by a second signal"))
}

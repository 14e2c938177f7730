//! From the order to stop until the process ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Longest from the order to stop until what is unfinished is given up.
pub const GRACE: Duration = Duration::from_secs(25);

/// How a process is told to stop.
#[derive(Clone, Debug)]
pub struct Stopping {
    /// Set first: readiness fails, and balancers that look at it send nobody new.
    pub draining: Arc<AtomicBool>,
    /// How long balancers are given for that, while connections are still taken.
    pub delay: Duration,
    /// Cancelled then: what runs ends.
    pub stop: CancellationToken,
}

/// Begins to stop at the first SIGTERM or SIGINT; the second ends the process at once.
pub async fn on_signals(stopping: Stopping) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
        _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
        () = stopping.stop.cancelled() => return Ok(()),
    }
    stopping.draining.store(true, Ordering::Relaxed);
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

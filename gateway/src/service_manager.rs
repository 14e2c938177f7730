//! What a gateway tells the service manager that started it, as `Type=notify` and `WatchdogSec` of
//! systemd want it (`sd_notify(3)`). Without such a manager nobody is told anything.

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// Signs of life within the time after which the service manager takes the process for hung.
const SIGNS_OF_LIFE: u32 = 3;

/// The gateway takes connections.
pub fn started() {
    tell(NotifyState::Ready);
}

/// The gateway drains, and ends by itself.
pub fn stopping() {
    tell(NotifyState::Stopping);
}

/// Gives signs of life until `stop`, if the service manager expects any.
pub async fn keep_alive(stop: CancellationToken) {
    let expected = sd_notify::watchdog_enabled();
    let Some(patience) = expected.filter(|patience| !patience.is_zero()) else {
        return;
    };
    let mut ticks = tokio::time::interval(patience / SIGNS_OF_LIFE);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => tell(NotifyState::Watchdog),
        }
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

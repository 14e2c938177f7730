//! What a gateway tells the service manager that started it, as `Type=notify` and `WatchdogSec` of
//! systemd want it (`sd_notify(3)`). Without such a manager nobody is told anything.

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::edge::cores::Pulse;

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

/// Gives signs of life until `stop`, if the service manager expects any: those of this runtime and of
/// the cores that serve fans.
pub async fn keep_alive(stop: CancellationToken, cores: Pulse) {
    let expected = sd_notify::watchdog_enabled();
    let Some(patience) = expected.filter(|patience| !patience.is_zero()) else {
        return;
    };
    let every = patience / SIGNS_OF_LIFE;
    let mut ticks = tokio::time::interval(every);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if cores.is_felt(every).await {
            tell(NotifyState::Watchdog);
        } else {
            tracing::error!("a core of the public listener hangs");
        }
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

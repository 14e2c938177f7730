//! Waiting for a state, bounded.

use std::time::Duration;

use tokio::time::Instant;

/// Longest wait, on a machine that is busy with other tests.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Pause between looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until `look` finds something.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < WAIT_MAX, "not in time: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

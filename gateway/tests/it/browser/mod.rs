//! The whole product as fans see it: Chromium before a gateway that runs as a process of its own,
//! with its private payment simulator, on the PostgreSQL and Redis of the test run.
//!
//! A test never skips: without Chromium it fails and says how to get it. With
//! `ROPELINE_TEST_PICTURES` set to a directory, a picture of each step is kept there.

mod banner;
mod checkin;
pub(crate) mod chromium;
mod draw;
mod journey;
mod missing;
mod nginx;
mod phone;
mod refused;
mod restart;
mod silence;
mod stage;
mod waiting;

use std::time::Duration;

/// How long any wait of a test may take before the test has failed. Machines that build and test
/// at the same time are slow, and pages without JavaScript load themselves only now and then.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// Time between looks at what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks until `look` finds something, for at most [`WAIT_MAX`].
async fn found<T>(mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let looking = async {
        loop {
            looks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(WAIT_MAX, looking).await.ok()
}

/// Looks until `look` finds something, and fails when it does not within [`WAIT_MAX`].
async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    found(look)
        .await
        .unwrap_or_else(|| panic!("{what} did not happen within {WAIT_MAX:?}"))
}

/// A setting of the test run.
#[expect(
    clippy::disallowed_methods,
    reason = "tests have no configuration file"
)]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

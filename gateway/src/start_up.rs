//! Waiting for a database that is not there yet, or goes away, while a gateway starts.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

/// Longest wait for the database in one step of the start; then the start fails.
const DATABASE_START_MAX: Duration = Duration::from_mins(1);
/// Pause between attempts.
const DATABASE_START_PAUSE: Duration = Duration::from_millis(500);

/// Repeats `step` while it fails because the database is away, as `is_away` says of its error.
/// `step` must do no harm when its answer was lost and it is done again.
pub(crate) async fn until_database_answers<T, E: Display>(
    is_away: impl Fn(&E) -> bool,
    mut step: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let began = Instant::now();
    loop {
        match step().await {
            Err(error) if is_away(&error) && began.elapsed() <= DATABASE_START_MAX => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the database is not ready yet"
                );
                tokio::time::sleep(DATABASE_START_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails with these, one after the other, then succeeds. Gives back how often it was tried.
    async fn tried(failures: &[&'static str]) -> Result<usize, &'static str> {
        let mut tries = 0;
        until_database_answers(
            |error| *error == "away",
            async || {
                tries += 1;
                failures
                    .get(tries - 1)
                    .map_or(Ok(tries), |error| Err(*error))
            },
        )
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_goes_away_for_a_moment_is_waited_for() {
        assert_eq!(tried(&[]).await, Ok(1));
        assert_eq!(tried(&["away", "away"]).await, Ok(3));
    }

    #[tokio::test(start_paused = true)]
    async fn what_waiting_does_not_mend_fails_at_once() {
        assert_eq!(tried(&["away", "refused", "away"]).await, Err("refused"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_stays_away_fails_the_start() {
        assert_eq!(tried(&["away"; 1_000]).await, Err("away"));
    }
}

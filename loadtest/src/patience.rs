//! How long to wait before trying again.

use std::time::Duration;

use rand::{Rng, RngExt};

/// First pause after a failure.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
/// Longest pause that is not the server's wish.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// The pause before try number `attempt` (from 0): twice as long each time, never shorter than
/// the server asks, spread so that fans do not come back together.
pub(crate) fn pause(attempt: u32, asked: Option<Duration>, rng: &mut impl Rng) -> Duration {
    let doubled = PAUSE_FIRST
        .saturating_mul(1 << attempt.min(16))
        .min(PAUSE_MAX);
    let spread = doubled.mul_f64(rng.random_range(0.5..1.0));
    asked.unwrap_or_default() + spread
}

/// `mean` long on average, memoryless: people's thinking times. Cut at five times the mean.
pub(crate) fn think(mean: Duration, rng: &mut impl Rng) -> Duration {
    let uniform: f64 = rng.random();
    mean.mul_f64((-(1.0 - uniform).ln()).min(5.0))
}

/// `span` a little shorter or longer, so that polls spread.
pub(crate) fn jitter(span: Duration, rng: &mut impl Rng) -> Duration {
    span.mul_f64(rng.random_range(0.9..1.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn pauses_grow_to_a_limit_and_respect_the_server() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert!(pause(0, None, &mut rng) <= PAUSE_FIRST);
        for attempt in [10, u32::MAX] {
            let long = pause(attempt, None, &mut rng);
            assert!((PAUSE_MAX / 2..=PAUSE_MAX).contains(&long));
        }
        let asked = Duration::from_secs(3);
        assert!(pause(0, Some(asked), &mut rng) >= asked);
    }

    #[test]
    fn thinking_takes_its_mean_on_average() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mean = Duration::from_secs(10);
        let total: Duration = (0..10_000).map(|_| think(mean, &mut rng)).sum();
        assert!((9.5..10.5).contains(&(total.as_secs_f64() / 10_000.0)));
    }
}

//! When fans arrive: a schedule computed up front, so that a slow server cannot slow it down.

use std::time::Duration;

use rand::{Rng, RngExt};

/// How arrivals spread over the arrival window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Arrivals {
    /// Independent of each other, at a constant mean rate.
    Poisson,
    /// At equal distances.
    Uniform,
    /// Most at once, then ever fewer: a tenth of the window holds nearly two thirds.
    Spike,
    /// Ever more, the rate growing linearly.
    Ramp,
}

/// Mean of the spike's decay, as a share of the window.
const SPIKE_DECAY: f64 = 0.1;

/// The offsets from the start at which `fans` fans arrive within `over`, ascending.
///
/// A Poisson process of which the number of arrivals is known is as many independent uniform
/// instants in order, so the schedule has exactly `fans` entries.
pub(crate) fn schedule(
    arrivals: Arrivals,
    fans: u32,
    over: Duration,
    rng: &mut impl Rng,
) -> Vec<Duration> {
    let share = |number: u32, rng: &mut dyn FnMut() -> f64| match arrivals {
        Arrivals::Uniform => f64::from(number) / f64::from(fans),
        Arrivals::Poisson => rng(),
        Arrivals::Spike => {
            // The inverse of an exponential distribution cut off at the window's end.
            let cut = 1.0 - (-1.0 / SPIKE_DECAY).exp();
            -SPIKE_DECAY * (-rng() * cut).ln_1p()
        }
        Arrivals::Ramp => rng().sqrt(),
    };
    let mut draw = || rng.random::<f64>();
    let mut offsets: Vec<Duration> = (0..fans)
        .map(|number| over.mul_f64(share(number, &mut draw).clamp(0.0, 1.0)))
        .collect();
    offsets.sort_unstable();
    offsets
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const OVER: Duration = Duration::from_mins(1);
    const FANS: u32 = 20_000;

    fn seeded(arrivals: Arrivals, seed: u64) -> Vec<Duration> {
        schedule(arrivals, FANS, OVER, &mut ChaCha8Rng::seed_from_u64(seed))
    }

    fn mean_seconds(offsets: &[Duration]) -> f64 {
        offsets.iter().map(Duration::as_secs_f64).sum::<f64>() / f64::from(FANS)
    }

    #[test]
    fn the_same_seed_gives_the_same_schedule_and_another_seed_another() {
        for arrivals in [Arrivals::Poisson, Arrivals::Spike, Arrivals::Ramp] {
            assert_eq!(seeded(arrivals, 1), seeded(arrivals, 1));
            assert_ne!(seeded(arrivals, 1), seeded(arrivals, 2));
        }
    }

    #[test]
    fn everyone_arrives_in_order_within_the_window() {
        for arrivals in [
            Arrivals::Poisson,
            Arrivals::Uniform,
            Arrivals::Spike,
            Arrivals::Ramp,
        ] {
            let offsets = seeded(arrivals, 7);
            assert_eq!(offsets.len(), 20_000);
            assert!(offsets.is_sorted());
            assert!(offsets.last().is_some_and(|last| *last <= OVER));
        }
    }

    #[test]
    fn means_are_those_of_the_distributions() {
        for (arrivals, mean) in [
            (Arrivals::Uniform, 30.0),
            (Arrivals::Poisson, 30.0),
            // 6 s less what the cut-off tail would have added.
            (Arrivals::Spike, 6.0),
            (Arrivals::Ramp, 40.0),
        ] {
            let found = mean_seconds(&seeded(arrivals, 3));
            assert!((found - mean).abs() < 0.5, "{arrivals:?}: {found}");
        }
    }

    #[test]
    fn poisson_counts_vary_as_much_as_their_mean() {
        let offsets = seeded(Arrivals::Poisson, 5);
        let mut counts = [0u32; 600];
        for offset in &offsets {
            let slot = usize::try_from(offset.as_millis() / 100).unwrap().min(599);
            counts[slot] += 1;
        }
        let mean = f64::from(FANS) / 600.0;
        let variance = counts
            .iter()
            .map(|count| (f64::from(*count) - mean).powi(2))
            .sum::<f64>()
            / 600.0;
        assert!(
            (0.8..1.2).contains(&(variance / mean)),
            "{variance} of {mean}"
        );
    }

    #[test]
    fn a_spike_has_most_fans_in_the_first_tenth() {
        let offsets = seeded(Arrivals::Spike, 9);
        let early = offsets.iter().filter(|at| at.as_secs() < 6).count();
        assert!(early > 12_000, "{early}");
    }
}

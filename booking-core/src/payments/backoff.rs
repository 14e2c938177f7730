//! How long to wait before a provider is asked again. Pure.

use std::time::Duration;

/// The wait before the next try after `failures` in a row: from `first`, doubled with each, at most
/// `longest`, of which a half is left to `chance` so that what failed together is not repeated
/// together. Never shorter than the provider asked for.
pub(crate) fn wait(
    failures: u32,
    first: Duration,
    longest: Duration,
    asked_for: Option<Duration>,
    chance: u64,
) -> Duration {
    let full = first.saturating_mul(1 << failures.min(20)).min(longest);
    let full_ms = u64::try_from(full.as_millis()).unwrap_or(u64::MAX);
    let half_ms = full_ms / 2;
    let jittered = Duration::from_millis(full_ms - half_ms + chance % (half_ms + 1));
    // Spread upwards: before the time that the provider named no request may come.
    let spread = Duration::from_millis(chance % 1000);
    asked_for.map_or(jittered, |asked_for| jittered.max(asked_for + spread))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_grow_within_bounds_and_obey_the_provider(
            failures in 0u32..64, chance in any::<u64>(), asked in proptest::option::of(0u64..600)
        ) {
            let (first, longest) = (Duration::from_secs(1), Duration::from_secs(60));
            let asked = asked.map(Duration::from_secs);
            let found = wait(failures, first, longest, asked, chance);
            let full = first.saturating_mul(1 << failures.min(20)).min(longest);
            prop_assert!(found >= full / 2);
            prop_assert!(found >= asked.unwrap_or_default());
            let most = full.max(asked.unwrap_or_default() + Duration::from_secs(1));
            prop_assert!(found <= most);
        }
    }
}

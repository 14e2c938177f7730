//! The seed of generated cases: printed, and taken from `SEED` to repeat a run.

use std::time::Duration;

use contract::{Clock, SystemClock};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// A setting of the run, such as `SEED=17`.
#[expect(
    clippy::disallowed_methods,
    reason = "tests have no configuration file"
)]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A runner of generated cases: `SEED` repeats a run, `CASES` makes it longer. Prints the seed,
/// which the test harness shows when the test fails.
#[expect(
    clippy::print_stdout,
    reason = "whoever repeats a failure needs the seed"
)]
pub(crate) fn runner(cases: u32) -> TestRunner {
    let seed = setting("SEED").unwrap_or_else(|| {
        let ms = SystemClock.now().since(contract::Timestamp::EPOCH);
        u64::try_from(ms.as_millis()).unwrap()
    });
    let cases = setting("CASES").map_or(cases, |n| u32::try_from(n).unwrap());
    println!("SEED={seed} CASES={cases}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_time: u32::try_from(Duration::from_secs(60).as_millis()).unwrap(),
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    TestRunner::new_with_rng(config, rng)
}

//! Generated lives of money: fans, banks, webhooks, operators and a provider's dashboard in any
//! order, against a model that knows only what was done and what each seat costs.
//!
//! `SEED` repeats a run, `MONEY_SECONDS` makes it longer. A failure is made as short as it can be.

mod judge;
mod op;
mod stage;

use std::time::Duration;

use contract::{Clock, SystemClock, Timestamp};
use proptest::collection::vec;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::test_shop::TestShop;
use op::{Op, op};
use stage::Stage;

/// Most steps of one life.
const STEPS_MAX: usize = 40;
/// How long lives are tried.
const SECONDS: u64 = 25;

#[expect(
    clippy::disallowed_methods,
    reason = "tests have no configuration file"
)]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// How long a failure is made shorter.
const SHRINK_MAX: Duration = Duration::from_secs(60);
/// Lives under way at once: each mostly waits for the database.
const AT_ONCE: u64 = 3;

#[test]
fn whatever_happens_in_whatever_order_every_cent_is_accounted_for() {
    let now = SystemClock.now().since(Timestamp::EPOCH);
    let seed = setting("SEED").unwrap_or_else(|| u64::try_from(now.as_millis()).unwrap());
    let budget = Duration::from_secs(setting("MONEY_SECONDS").unwrap_or(SECONDS));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let until = Instant::now() + budget;
    let runtime = &runtime;
    let counts: Vec<u32> = std::thread::scope(|scope| {
        let threads =
            (0..AT_ONCE).map(|nth| scope.spawn(move || lives(runtime, seed + nth, until)));
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    println!("SEED={seed}: {} lives", counts.iter().sum::<u32>());
    assert!(counts.iter().all(|count| *count > 0));
}

/// Tries lives until the time is over. Returns how many; panics with the shortest that fails.
fn lives(runtime: &Runtime, seed: u64, until: Instant) -> u32 {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let config = Config {
        failure_persistence: None,
        max_shrink_time: u32::try_from(SHRINK_MAX.as_millis()).unwrap(),
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let steps = vec(op(), 1..STEPS_MAX);
    let mut count = 0;
    while Instant::now() < until {
        let life = steps.new_tree(&mut runner).unwrap();
        let lived = runner.run_one(life, |ops| {
            runtime.block_on(live(&ops)).map_err(TestCaseError::fail)
        });
        match lived {
            Ok(_) => count += 1,
            Err(TestError::Fail(why, ops)) => panic!("SEED={seed}, life {count}: {why}\n{ops:?}"),
            Err(TestError::Abort(why)) => panic!("SEED={seed}, life {count}: {why}"),
        }
    }
    count
}

/// One life, and what is wrong at its end.
async fn live(ops: &[Op]) -> Result<(), String> {
    let mut stage = Stage::new(TestShop::with(stage::show_file()).await);
    for op in ops {
        Box::pin(stage.apply(op)).await?;
    }
    Box::pin(judge::judge(&mut stage)).await
}

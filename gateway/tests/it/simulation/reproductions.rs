//! Shortest lists that once broke a guarantee.

use super::ops::{LogFailure, Op};
use super::run::run;

/// The log had the batch and the store did not: the place was put back as served while its
/// batch was still to be published, and took up two slots.
#[test]
fn a_batch_logged_and_not_published_is_published_by_the_next_leader() {
    run(&[
        Op::Tick(0),
        Op::Join(0),
        Op::AdvanceTime { ms: 1100 },
        Op::LeaderDies(LogFailure::AfterAppend),
        Op::Tick(0),
        Op::AdvanceTime { ms: 2100 },
        Op::Tick(1),
        Op::Claim(0),
        Op::Tick(1),
    ])
    .unwrap();
}

/// The store went back to before a call: the place was in line again and was called twice.
#[test]
fn a_store_that_went_back_calls_nobody_twice() {
    run(&[
        Op::Tick(0),
        Op::Join(0),
        Op::StoreLags,
        Op::AdvanceTime { ms: 1100 },
        Op::Tick(0),
        Op::StoreGoesBack,
        Op::AdvanceTime { ms: 1100 },
        Op::Tick(0),
        Op::Tick(0),
    ])
    .unwrap();
}

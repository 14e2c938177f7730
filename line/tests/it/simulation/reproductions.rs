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

/// After a wipe, someone who had missed their turn and was back in line counted as served.
#[test]
fn whoever_came_back_from_a_missed_turn_is_in_line_after_a_wipe() {
    run(&[
        Op::Tick(0),
        Op::Join(0),
        Op::AdvanceTime { ms: 200 },
        Op::Tick(0),
        Op::AdvanceTime { ms: 3100 },
        Op::Tick(0),
        Op::Pause(true),
        Op::Return(0),
        Op::AdvanceTime { ms: 1100 },
        Op::Tick(0),
        Op::StoreWipe,
        Op::Look(0),
    ])
    .unwrap();
}

/// A leader that had been silent did not know of its successor, which the store had forgotten.
#[test]
fn a_silent_leader_compares_before_it_calls() {
    run(&[
        Op::Tick(1),
        Op::Join(0),
        Op::StoreLags,
        Op::AdvanceTime { ms: 2000 },
        Op::Tick(0),
        Op::StoreGoesBack,
        Op::Tick(1),
    ])
    .unwrap();
}

/// A pending batch that came back with an earlier state was taken for proof that line and log
/// agree.
#[test]
fn a_batch_that_is_pending_again_proves_nothing() {
    run(&[
        Op::Join(0),
        Op::Tick(1),
        Op::JoinAnew(2),
        Op::AdvanceTime { ms: 100 },
        Op::LeaderDies(LogFailure::BeforeAppend),
        Op::Tick(1),
        Op::StoreLags,
        Op::Claim(2),
        Op::Tick(1),
        Op::AdvanceTime { ms: 2000 },
        Op::Tick(0),
        Op::StoreGoesBack,
        Op::Join(0),
        Op::Tick(0),
        Op::Tick(0),
    ])
    .unwrap();
}

/// The store went back twice within a lease, and what a successor had called was forgotten.
#[test]
fn a_leader_that_is_not_the_last_one_compares_before_it_calls() {
    run(&[
        Op::Join(0),
        Op::Tick(0),
        Op::StoreLags,
        Op::AdvanceTime { ms: 6000 },
        Op::Tick(0),
        Op::StoreGoesBack,
        Op::StoreLags,
        Op::Join(4),
        Op::Tick(1),
        Op::StoreGoesBack,
        Op::Join(1),
        Op::Claim(4),
        Op::Tick(0),
    ])
    .unwrap();
}

/// A fan who has gone was popped before that was known, and called when the log was back: they
/// were there when their turn came.
#[test]
fn whoever_was_popped_while_there_may_be_called_later() {
    run(&[
        Op::Tick(0),
        Op::DatabaseAway(true),
        Op::Join(0),
        Op::LeadOn(0),
        Op::LeaderDies(LogFailure::AfterAppend),
        Op::DatabaseAway(false),
        Op::AdvanceTime { ms: 2000 },
        Op::Tick(0),
    ])
    .unwrap();
}

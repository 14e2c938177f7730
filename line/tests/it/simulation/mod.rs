//! The line under random operations and failures: real rooms, leaders and policy of two
//! gateways, on the store's model and a log in memory, with time in the test's hands.
//!
//! A failing list is shrunk to the shortest that fails and printed with its seed; `SEED` repeats
//! a run and `CASES` makes it longer. What was found is kept in [`reproductions`].

mod following;
mod log;
mod model;
mod opening;
mod ops;
mod remaking;
mod reproductions;
mod resting;
mod roll;
mod run;
mod stage;
mod telling;

use crate::seed;

/// Lists of operations that every test run tries.
const CASES: u32 = 300;

#[test]
fn the_line_keeps_its_guarantees() {
    let outcome = seed::runner(CASES).run(&ops::lists(), |ops| run::run(&ops));
    outcome.unwrap();
}

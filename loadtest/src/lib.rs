//! Simulated fans by the thousand, and the audit afterwards.
//!
//! A run draws a schedule of arrivals and what each fan will do from a seed ([`arrivals`],
//! `plan`). Fans join, wait over sockets or by polling, claim, buy and leave (`life`, `waiting`,
//! `buyer`) and note what they see (`evidence`, `measurements`). Afterwards the audit compares
//! that with the admission log, the seat map and the payment provider's ledger (`audit`), and
//! the report says whether every promise was kept.
//!
//! Arrivals are open-loop: a slow server does not slow them down, and latency counts from the
//! time a fan meant to act, not from when this process got round to it.
//!
//! The fault run is the example `ropeline-faults` in `faults/`: it starts gateways and servers of
//! its own, breaks them, and sends its fans with [`run_disturbed`]. `make faults` runs it.
//!
//! The benchmarks are the example `ropeline-bench` in `bench/`, which `make bench` builds and runs.
//! Both are examples because they are no part of what is shipped and need more dependencies.

pub mod access;
pub mod arrivals;
mod audit;
mod buyer;
mod call;
pub mod cli;
mod demo;
pub mod disturbances;
mod evidence;
mod fan;
mod guard;
mod life;
mod limits;
mod line;
mod measurements;
mod ops;
mod outcome;
mod patience;
mod plan;
mod progress;
mod report;
mod run;
mod sampler;
mod shop;
mod waiting;
mod world;

use std::sync::Arc;

use contract::Clock;
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, Command, RunOptions};
use crate::disturbances::Disturbances;
pub use crate::outcome::Outcome;

/// Does what the command line asks. `stop` ends a run early (it is audited all the same) and
/// the demo; `salt` makes nonces and keys differ from those of other runs.
pub async fn execute(
    cli: Cli,
    clock: Arc<dyn Clock>,
    salt: u64,
    stop: CancellationToken,
) -> anyhow::Result<Outcome> {
    match cli.command {
        Command::Run(options) => {
            run_disturbed(*options, clock, salt, stop, &Disturbances::default()).await
        }
        Command::Demo(options) => demo::demo(*options, clock, salt, stop).await,
    }
}

/// The command `run` beside somebody who breaks things and notes in `disturbances` what and when:
/// fans reconnect and try again, and the audit knows when calls could not go on. No promise is
/// given up for it.
pub async fn run_disturbed(
    options: RunOptions,
    clock: Arc<dyn Clock>,
    salt: u64,
    stop: CancellationToken,
    disturbances: &Disturbances,
) -> anyhow::Result<Outcome> {
    run::run(options, clock, salt, stop, disturbances).await
}

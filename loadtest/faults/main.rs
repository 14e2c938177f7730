//! `ropeline-faults`: gateways, servers and the network between them break while fans join, wait,
//! claim, hold seats and buy. Afterwards the audit of the load test says whether every promise
//! was kept.
//!
//! What breaks when is drawn from a seed. The processes are real: three gateways, a Redis with a
//! replica, PostgreSQL, the payment simulator and a mail server, all started here and ended here. Between them
//! stand proxies that are cut, slowed down and led to whichever server took over; before the
//! gateways stands a balancer.
//!
//! | Module | Subject |
//! | --- | --- |
//! | `timetable` | which faults come when; pure |
//! | `run` | fans on one side, faults on the other |
//! | `site` | everything that runs, the room and the show |
//! | `gateways`, `redis_pair`, `postgres` | what is killed, stopped and started again |
//! | `payments`, `mail` | the payment providers and the mail server, which fail by themselves |
//! | `links`, `balancer` | the network between gateways and servers, and before the gateways |
//! | `process` | a child process |
//! | `chronicle` | what was broken when |

mod balancer;
mod chronicle;
mod gateways;
mod links;
mod mail;
mod options;
mod payments;
mod postgres;
mod process;
mod redis_pair;
mod run;
mod site;
mod timetable;

use std::process::ExitCode;

use clap::Parser as _;
use loadtest::Outcome;
use rand::TryRng as _;
use rand::rngs::SysRng;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::options::Options;

/// The audit found a breach.
const EXIT_BROKEN: u8 = 1;
/// The run could not be made. Also the status of a wrong command line.
const EXIT_NOT_RUN: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_env("ROPELINE_LOG")
                .unwrap_or_else(|_| EnvFilter::new("ropeline_faults=info,loadtest=info,error")),
        )
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .init();
    match execute(options).await {
        Ok(Outcome::Kept) => ExitCode::SUCCESS,
        Ok(Outcome::Broken) => ExitCode::from(EXIT_BROKEN),
        Err(error) => {
            tracing::error!("could not run: {error:#}");
            ExitCode::from(EXIT_NOT_RUN)
        }
    }
}

async fn execute(options: Options) -> anyhow::Result<Outcome> {
    // Children inherit it.
    rlimit::increase_nofile_limit(u64::MAX)?;
    let salt = SysRng.try_next_u64()?;
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let run = run::run(options, salt, stop.clone());
    tokio::pin!(run);
    loop {
        tokio::select! {
            outcome = &mut run => return outcome,
            _ = interrupt.recv() => stop.cancel(),
            _ = terminate.recv() => stop.cancel(),
        }
    }
}

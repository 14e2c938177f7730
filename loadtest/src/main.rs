//! `ropeline-loadtest`: arguments, logs, signals, exit status.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use contract::SystemClock;
use loadtest::Outcome;
use loadtest::cli::Cli;
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The audit found a breach.
const EXIT_BROKEN: u8 = 1;
/// The run could not be made. Also the status of a wrong command line.
const EXIT_NOT_RUN: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_env("ROPELINE_LOG")
                .unwrap_or_else(|_| EnvFilter::new("loadtest=info,warn")),
        )
        .with_writer(std::io::stderr)
        .with_ansi(has_colour())
        .with_target(false)
        .init();
    match execute(cli).await {
        Ok(Outcome::Kept) => ExitCode::SUCCESS,
        Ok(Outcome::Broken) => ExitCode::from(EXIT_BROKEN),
        Err(error) => {
            tracing::error!("could not run: {error:#}");
            ExitCode::from(EXIT_NOT_RUN)
        }
    }
}

async fn execute(cli: Cli) -> anyhow::Result<Outcome> {
    let salt = SysRng.try_next_u64()?;
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let command = loadtest::execute(cli, Arc::new(SystemClock), salt, stop.clone());
    tokio::pin!(command);
    loop {
        tokio::select! {
            outcome = &mut command => return outcome,
            _ = interrupt.recv() => stop.cancel(),
            _ = terminate.recv() => stop.cancel(),
        }
    }
}

/// Whether the log goes to a terminal that may have colour (<https://no-color.org>).
fn has_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused
}

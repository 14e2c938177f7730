//! The gateway process.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use contract::SystemClock;
use gateway::access_log::AccessLog;
use gateway::app::{self, Surroundings};
use gateway::config::{Asked, Command, Config, LogFormat};
use gateway::health;
use gateway::keys::Keys;
use gateway::lifecycle::{self, Stopping};
use line::Randomness;
use rand::SeedableRng;
use rand::rngs::SysRng;
use rand_chacha::ChaCha20Rng;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// That of musl, the library of released programs, makes threads wait for each other.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Exit code for bad configuration.
const EXIT_CONFIG: u8 = 64;

#[expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "there is no log yet"
)]
fn main() -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => {
            let status = if error.use_stderr() { EXIT_CONFIG } else { 0 };
            // If the terminal is gone too, there is nowhere to report the error.
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    let settled = command.settle();
    if let Some(shown) = settled.shown {
        println!("{shown}");
    }
    let outcome = settled.outcome.and_then(|asked| match &asked {
        Asked::Run(config) | Asked::Check(config) => app::usable(config).map(|()| asked),
        Asked::Nothing | Asked::Health(_) | Asked::Migrate(_) => Ok(asked),
    });
    match outcome {
        Err(problems) => {
            eprintln!("{problems}");
            ExitCode::from(EXIT_CONFIG)
        }
        Ok(Asked::Check(config)) => {
            for warning in config.warnings.iter().chain(&app::warnings(&config)) {
                println!("Warning: {warning}.");
            }
            if let Some(keys) = Keys::signing_told(&config) {
                println!("Signing keys: {keys}.");
            }
            println!("The configuration is good.");
            ExitCode::SUCCESS
        }
        Ok(Asked::Nothing) => ExitCode::SUCCESS,
        Ok(Asked::Health(config)) => ended(health::ask(config.ops_listen, config.ops_tls.as_ref())),
        Ok(Asked::Migrate(config)) => ended(migrate(&config)),
        Ok(Asked::Run(config)) => ended(run(*config)),
    }
}

#[expect(clippy::print_stderr, reason = "the log may be off")]
fn ended(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ropeline-gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn migrate(config: &Config) -> anyhow::Result<()> {
    log_to_stderr(config)?;
    app::migrate(config).await
}

#[tokio::main]
async fn run(config: Config) -> anyhow::Result<()> {
    log_to_stderr(&config)?;
    for warning in config.warnings.iter().chain(&app::warnings(&config)) {
        tracing::warn!("{warning}");
    }
    let stop = CancellationToken::new();
    let stopping = Stopping {
        draining: CancellationToken::new(),
        delay: config.shutdown_delay,
        stop: stop.clone(),
    };
    let metrics = app::metrics()?;
    let (place, form) = &config.access_log;
    let access_log = AccessLog::open(place.as_ref(), *form, Arc::new(SystemClock))
        .context("the access log cannot be opened")?;
    let surroundings = Surroundings {
        draining: stopping.draining.clone(),
        clock: Arc::new(SystemClock),
        randomness: Randomness::new(ChaCha20Rng::try_from_rng(&mut SysRng)?),
        access_log: access_log.clone(),
        metrics,
        stop,
    };
    let outcome = tokio::select! {
        outcome = app::run(config, surroundings) => outcome,
        Err(error) = lifecycle::on_signals(stopping) => Err(error.into()),
    };
    access_log.end().await;
    outcome
}

fn log_to_stderr(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(has_colour());
    match config.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

/// Whether the log goes to a terminal and colour is not disabled (<https://no-color.org>).
fn has_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused
}

//! The payment simulator as a separate process.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use contract::SystemClock;
use payment_simulator::{Config, serve};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Exit code for invalid settings.
const EXIT_CONFIG: u8 = 64;

/// A payment provider for demos and tests that speaks Stripe's shapes. No money moves.
#[derive(Debug, Parser)]
#[command(name = "ropeline-payment-simulator", version)]
struct Cli {
    /// Address to listen on; port 0 takes a free one
    #[arg(
        long,
        env = "ROPELINE_SIMULATOR_LISTEN",
        default_value = "127.0.0.1:4242"
    )]
    listen: SocketAddr,

    /// What to log, such as `info` or `payment_simulator=debug`
    #[arg(long, env = "ROPELINE_LOG", default_value = "info")]
    log: String,

    #[command(flatten)]
    config: Config,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let status = if error.use_stderr() { EXIT_CONFIG } else { 0 };
            // If the terminal is gone too, there is nowhere to report the error.
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    let filter = match EnvFilter::try_new(&cli.log) {
        Ok(filter) => filter,
        Err(error) => return refuse(&[format!("--log: {error}")]),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(has_colour())
        .init();
    let problems = cli.config.problems();
    if !problems.is_empty() {
        return refuse(&problems);
    }
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn refuse(problems: &[String]) -> ExitCode {
    for problem in problems {
        let _ = writeln!(std::io::stderr(), "error: {problem}");
    }
    ExitCode::from(EXIT_CONFIG)
}

#[tokio::main]
async fn run(cli: Cli) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("waiting for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("waiting for SIGINT")?;
    let listener = TcpListener::bind(cli.listen)
        .await
        .with_context(|| format!("listening on {}", cli.listen))?;
    let address = listener.local_addr().context("reading the bound address")?;
    let mut serving = std::pin::pin!(serve(cli.config, listener, SystemClock, shutdown.clone()));
    // From here on connections wait in the listener's backlog until the journal is read.
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on http://{address}").context("writing to stdout")?;
    stdout.flush().context("writing to stdout")?;
    tokio::select! {
        served = &mut serving => return Ok(served?),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("process.stopping");
    shutdown.cancel();
    Ok(serving.await?)
}

/// Whether the log goes to a terminal and colour is not disabled (<https://no-color.org>).
fn has_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused
}

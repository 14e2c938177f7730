//! `ropeline-bench`: what Ropeline costs next to the plain programs it stands in for.
//!
//! Every figure is a ratio of two rates measured in one run: both sides take turns in short rounds
//! on the same machine, under the same client, so that a slow or busy machine slows both. The
//! median of the rounds counts, and the spread tells how far to trust it.
//!
//! | Module | Subject |
//! | --- | --- |
//! | `joins` | joins a second, against a bare handler on the same server library |
//! | `store` | what a join costs Redis, against bare commands |
//! | `page` | waiting pages a second, against a file served by nginx |
//! | `gate` | requests a second through the gate, against nginx, HAProxy and Pingora |
//! | `tls` | TLS handshakes and HTTP/2 requests a second, against nginx |
//! | `standby` | what a visitor waits for who goes straight in |
//! | `purchases` | confirmations and whole purchases a second, against one transaction each in SQL |
//! | `holds` | holds a second, against one transaction per hold in SQL |
//! | `idle` | what rooms cost in which nobody is, and joins beside them |
//! | `rebuild` | how long a line of millions of served places takes after Redis lost it |
//! | `opening` | an opening of millions, with an audit; only when asked for |
//! | `sockets` | memory per waiting socket, how soon changes and calls arrive, also over several gateways |
//! | `bare` | the bare handlers, run as a child process |
//! | `rounds`, `report`, `opening_figures` | medians; the tables and the JSON |
//! | `stage`, `gateway`, `nginx`, `haproxy`, `pingora`, `processes` | what runs, and what it uses |
//! | `wrk`, `http1`, `pace` | clients: as fast as possible, one call, at a fixed rate |

mod bare;
mod gate;
mod gateway;
mod haproxy;
mod holds;
mod http1;
mod idle;
mod joins;
mod nginx;
mod numbers;
mod opening;
mod opening_figures;
mod pace;
mod page;
mod peer;
mod pingora;
mod plain_sales;
mod processes;
mod purchases;
mod rebuild;
mod report;
mod rounds;
mod sockets;
mod stage;
mod standby;
mod store;
mod tls;
mod wrk;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use crate::bare::BareSizes;
use crate::opening::OpeningOptions;
use crate::report::Report;
use crate::sockets::watcher::WatcherOptions;
use crate::stage::Stage;

/// Measures Ropeline against plain programs and prints the ratios
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure
    Run(RunOptions),
    /// Let millions join one room, call some of them, and audit it
    Opening(OpeningRun),
    /// The bare handlers that others are compared with; started by `run`
    #[command(hide = true)]
    Bare(BareSizes),
    /// Fans of one gateway; started by `run`
    #[command(hide = true)]
    Watcher(WatcherOptions),
}

#[derive(clap::Args)]
struct RunOptions {
    /// What to measure [default: everything]
    #[arg(value_enum)]
    figures: Vec<Figure>,
    /// Another version of the gateway, which takes turns with it where idle rooms or a rebuild are
    /// measured
    #[arg(long)]
    before: Option<PathBuf>,
    /// Pingora as a plain proxy, which the gate is compared with
    #[arg(long, default_value = "target/pingora/release/pingora-peer")]
    pingora: PathBuf,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
struct OpeningRun {
    #[command(flatten)]
    opening: OpeningOptions,
    #[command(flatten)]
    place: Place,
}

/// What is measured, and where files go.
#[derive(clap::Args)]
struct Place {
    /// The gateway's program
    #[arg(long, default_value = "target/release/ropeline-gateway")]
    gateway: PathBuf,
    /// Where the results go as JSON
    #[arg(long, default_value = "target/bench.json")]
    out: PathBuf,
    /// Where servers keep their data meanwhile; on a disk, because durability is measured too
    #[arg(long, default_value = "/var/tmp")]
    scratch: PathBuf,
}

/// A part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Figure {
    Sockets,
    Gateways,
    Idle,
    Joins,
    Store,
    Page,
    Gate,
    Tls,
    Standby,
    Holds,
    Purchases,
    Rebuild,
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Bare(sizes) => bare::serve(sizes).await,
        Command::Watcher(options) => sockets::watcher::serve(options).await,
        Command::Run(options) => {
            let wanted =
                async |stage: &Stage, report: &mut Report| measure(&options, stage, report).await;
            run(&options.place, wanted).await
        }
        Command::Opening(options) => {
            let wanted = async |stage: &Stage, report: &mut Report| {
                opening::measure(stage, &options.opening, report).await
            };
            run(&options.place, wanted).await
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::complain(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(
    place: &Place,
    measure: impl AsyncFnOnce(&Stage, &mut Report) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // Children inherit it.
    rlimit::increase_nofile_limit(u64::MAX)?;
    let mut report = Report::begin();
    let stage = Stage::set(&place.gateway, &place.scratch).await?;
    let outcome = tokio::select! {
        outcome = measure(&stage, &mut report) => outcome,
        ended = end_asked() => ended,
    };
    stage.clear().await;
    // What was measured before something failed is still worth reading.
    report.finish(&place.out)?;
    outcome
}

/// Fails once somebody asks this process to end.
async fn end_asked() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        asked = tokio::signal::ctrl_c() => asked?,
        _ = terminate.recv() => {}
    }
    bail!("interrupted")
}

async fn measure(options: &RunOptions, stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let figures = &options.figures;
    let wanted = |figure| figures.is_empty() || figures.contains(&figure);
    // Each figure has a gateway of its own: what one leaves behind would change the next.
    if wanted(Figure::Sockets) {
        sockets::measure(stage, report).await?;
    }
    if wanted(Figure::Gateways) {
        sockets::gateways::measure(stage, report).await?;
    }
    if wanted(Figure::Idle) {
        idle::measure(stage, options.before.as_deref(), report).await?;
    }
    if wanted(Figure::Joins) {
        joins::measure(stage, report).await?;
    }
    if wanted(Figure::Store) {
        store::measure(stage, report).await?;
    }
    if wanted(Figure::Page) {
        page::measure(stage, report).await?;
    }
    if wanted(Figure::Gate) {
        gate::measure(stage, &options.pingora, report).await?;
    }
    if wanted(Figure::Tls) {
        tls::measure(stage, report).await?;
    }
    if wanted(Figure::Standby) {
        standby::measure(stage, report).await?;
    }
    if wanted(Figure::Holds) {
        holds::measure(stage, report).await?;
    }
    if wanted(Figure::Purchases) {
        purchases::measure(stage, report).await?;
    }
    if wanted(Figure::Rebuild) {
        rebuild::measure(stage, options.before.as_deref(), report).await?;
    }
    Ok(())
}

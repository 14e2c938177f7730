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
//! | `gate` | requests a second through the gate, against nginx |
//! | `holds` | holds a second, against one transaction per hold in SQL |
//! | `idle` | what rooms cost in which nobody is, and joins beside them |
//! | `sockets` | memory per waiting socket, and how soon a call arrives |
//! | `bare` | the bare handlers, run as a child process |
//! | `rounds`, `report` | medians; the table and the JSON |
//! | `stage`, `gateway`, `nginx`, `program`, `processes` | what runs, and what it uses |
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
mod pace;
mod page;
mod peer;
mod processes;
mod program;
mod report;
mod rounds;
mod sockets;
mod stage;
mod store;
mod wrk;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use crate::bare::BareSizes;
use crate::report::Report;
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
    /// The bare handlers that others are compared with; started by `run`
    #[command(hide = true)]
    Bare(BareSizes),
}

#[derive(clap::Args)]
struct RunOptions {
    /// What to measure [default: everything]
    #[arg(value_enum)]
    figures: Vec<Figure>,
    /// The gateway's program
    #[arg(long, default_value = "target/release/ropeline-gateway")]
    gateway: PathBuf,
    /// Another version of it, which takes turns with it where idle rooms are measured
    #[arg(long)]
    before: Option<PathBuf>,
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
    Idle,
    Joins,
    Store,
    Page,
    Gate,
    Holds,
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Bare(sizes) => bare::serve(sizes).await,
        Command::Run(options) => run(options).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::complain(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(options: RunOptions) -> anyhow::Result<()> {
    // Children inherit it.
    rlimit::increase_nofile_limit(u64::MAX)?;
    let mut report = Report::begin();
    let stage = Stage::set(&options.gateway, &options.scratch).await?;
    let outcome = tokio::select! {
        outcome = measure(&options, &stage, &mut report) => outcome,
        ended = end_asked() => ended,
    };
    stage.clear().await;
    // What was measured before something failed is still worth reading.
    report.finish(&options.out)?;
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
        gate::measure(stage, report).await?;
    }
    if wanted(Figure::Holds) {
        holds::measure(stage, report).await?;
    }
    Ok(())
}

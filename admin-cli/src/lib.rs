//! The `ropeline` command: plans, opens, throttles, pauses, closes and watches waiting rooms.
//!
//! It speaks the operators' HTTP API and nothing else: no Redis, no SQL. Only backups and restores
//! go to the database and the data directory, as no gateway may be there.
//! A command is parsed ([`args`]), finds its gateway ([`config`]), asks it ([`client`]) and
//! writes what it learned ([`console`]); what went wrong ends as a [`failure::Failure`] with an
//! exit code.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`room`] | settings, overrides, what changes |
//! | [`watch`] | the live view |
//! | [`show`] | show files |
//! | `checkin` | who came to a show, conflicts, scanners |
//! | [`mail`] | mail to fans |
//! | `events`, `subscription` | the log of events, and webhooks to those who subscribe |
//! | `sales` | what was sold |
//! | `review` | purchases that a person decides about |
//! | `backup` | backups and restores |
//! | [`draw`], [`admissions`] | proofs anyone can check |
//! | [`audit`], [`check`], [`reconcile`] | who changed what; whether all invariants hold; whether the provider agrees |

pub mod admissions;
mod amount;
pub mod args;
pub mod audit;
mod backup;
mod backup_args;
pub mod booking;
mod booking_args;
mod booking_comp;
pub mod booking_export;
pub mod check;
mod checkin;
pub mod client;
pub mod config;
pub mod console;
mod coupon;
mod coupon_args;
pub mod draw;
mod event_args;
mod events;
pub mod failure;
mod fitted;
mod invoice;
mod invoice_args;
pub mod mail;
pub mod reconcile;
mod review;
pub mod room;
mod sales;
pub mod show;
mod subscription;
mod transport;
pub mod watch;
pub mod when;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use contract::{Clock, SystemClock};

use args::{Cli, Command, DrawCommand};
use client::AdminClient;
use config::Gateway;
use console::Console;
use failure::{Exit, Failure};

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_a_command(&error),
    };
    let console = Console::of_process(cli.json);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(cli, &console)),
        Err(error) => Err(Failure::failed(format!("Cannot start: {error}"))),
    };
    let exit = ended.unwrap_or_else(|failure| {
        if failure.exit != Exit::Fine {
            console.failure(&failure);
        }
        failure.exit
    });
    exit.into()
}

/// Help and versions are written as clap writes them, and so is what is wrong with a command line,
/// unless a program asks.
fn not_a_command(error: &clap::Error) -> ExitCode {
    let asks_for_json = std::env::args_os()
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--json");
    if asks_for_json && error.use_stderr() {
        let failure = Failure::from_command_line(&error.to_string());
        Console::of_process(true).failure(&failure);
        return failure.exit.into();
    }
    error.exit()
}

async fn run(cli: Cli, console: &Console) -> Result<Exit, Failure> {
    if let Command::Completions { shell } = cli.command {
        return completions(shell, console);
    }
    if let Command::Show(command) = &cli.command
        && let Some(ended) = show::run_alone(command, console)
    {
        return ended;
    }
    let cwd = std::env::current_dir()
        .map_err(|error| Failure::failed(format!("Cannot tell the present directory: {error}")))?;
    let named = backup::Named {
        data_dir: cli.gateway.data_dir.as_deref(),
        ca_file: cli.gateway.ca_file.as_deref(),
    };
    // No gateway may be there.
    let command = match cli.command {
        Command::Backup(command) => return backup::run(*command, named, &cwd, console).await,
        Command::Restore(args) => return backup::restore(*args, named, &cwd, console).await,
        command => command,
    };
    let client = AdminClient::new(Gateway::find(&cli.gateway, &cwd)?)?;
    let now = SystemClock.now();
    match command {
        Command::Room(command) => room::run(command, &client, console, now).await,
        Command::Show(command) => show::run(command, &client, console).await,
        Command::Booking(command) => booking::run(command, &client, console).await,
        Command::Coupon(command) => coupon::run(command, &client, console).await,
        Command::Invoice(command) => invoice::run(command, &client, console).await,
        Command::Review(command) => review::run(command, &client, console).await,
        Command::Check => check::run(&client, console).await,
        Command::Reconcile => reconcile::run(&client, console).await,
        Command::Checkin(command) => checkin::run(&command, &client, console, now).await,
        Command::Mail(command) => mail::run(&command, &client, console).await,
        Command::Events(command) => events::run(&command, &client, console).await,
        Command::Subscription(command) => subscription::run(&command, &client, console).await,
        Command::Sales(args) => sales::run(&args, &client, console).await,
        Command::Draw(DrawCommand::Verify(args)) => draw::verify(&args, &client, console).await,
        Command::Admissions(args) => admissions::run(&args, &client, console).await,
        Command::Audit(args) => audit::run(&args, &client, console).await,
        Command::Completions { shell } => completions(shell, console),
        Command::Backup(command) => backup::run(*command, named, &cwd, console).await,
        Command::Restore(args) => backup::restore(*args, named, &cwd, console).await,
    }
}

fn completions(shell: clap_complete::Shell, console: &Console) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ropeline", &mut script);
    let script = String::from_utf8(script)
        .map_err(|error| Failure::failed(io::Error::other(error).to_string()))?;
    console.text(script.trim_end())?;
    Ok(Exit::Fine)
}

//! Runs a command with throw-away servers.
//!
//! `with-servers --redis --postgres -- cargo test` starts a private Redis and PostgreSQL in a temporary directory,
//! names them to the command in `ROPELINE_TEST_REDIS_URL` and `ROPELINE_TEST_DATABASE_URL`, stops them when it ends,
//! and ends with its exit status.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::IsTerminal;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitCode, ExitStatus};

use anyhow::Context as _;
use clap::Parser;
use embedded::{Durability, Servers, Want};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// Start of the names of our temporary directories.
const DIRECTORY_PREFIX: &str = "ropeline-servers-";

/// Runs a command with throw-away servers.
#[derive(Parser)]
struct Arguments {
    /// Start Redis and set `ROPELINE_TEST_REDIS_URL`.
    #[arg(long)]
    redis: bool,
    /// Start PostgreSQL and set `ROPELINE_TEST_DATABASE_URL` to its maintenance database, as superuser.
    #[arg(long)]
    postgres: bool,
    /// Set `DATABASE_URL` to an empty database of the application's role.
    #[arg(long, requires = "postgres")]
    database_url: bool,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(has_colour())
        .with_max_level(tracing::Level::WARN)
        .init();
    let arguments = Arguments::parse();
    // The command and the servers inherit it. A test run opens more than the usual thousand.
    rlimit::increase_nofile_limit(u64::MAX).context("the limit of open files")?;
    remove_abandoned(&std::env::temp_dir());
    let directory = tempfile::Builder::new()
        .prefix(DIRECTORY_PREFIX)
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .context("no temporary directory")?;
    let want = Want {
        redis: arguments.redis,
        postgres: arguments.postgres,
    };
    // Listen before anything starts, so that no signal in between leaves something behind.
    let mut signals = Signals::listen()?;
    let servers = tokio::select! {
        servers = Servers::start_with(directory.path(), want, Durability::Throwaway) => servers?,
        signal = signals.next() => return Ok(exit_code(ExitStatus::from_raw(signal as i32))),
    };
    let status = run(&arguments, &servers, &mut signals).await;
    servers.stop().await;
    Ok(exit_code(status?))
}

async fn run(
    arguments: &Arguments,
    servers: &Servers,
    signals: &mut Signals,
) -> anyhow::Result<ExitStatus> {
    let (program, rest) = arguments.command.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(rest);
    if let Some(url) = servers.redis_url() {
        command.env("ROPELINE_TEST_REDIS_URL", url);
    }
    if let Some(url) = servers.database_admin_url() {
        command.env("ROPELINE_TEST_DATABASE_URL", url);
    }
    if let Some(url) = servers.database_url().filter(|_| arguments.database_url) {
        command.env("DATABASE_URL", url);
    }
    let mut child = command
        .spawn()
        .with_context(|| format!("could not run {}", program.display()))?;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(status?),
            signal = signals.next() => pass_on(&child, signal),
        }
    }
}

fn pass_on(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // A command that just ended needs no signal.
        let _gone = kill(Pid::from_raw(pid), signal);
    }
}

/// The shell's convention: 128 and the signal's number for a command that a signal ended.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Removes directories whose `with-servers` was killed: their lock is free.
fn remove_abandoned(temp: &Path) {
    for entry in fs::read_dir(temp).into_iter().flatten().flatten() {
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with(DIRECTORY_PREFIX)
            && let Ok(lock) = File::open(entry.path().join("servers.lock"))
            && lock.try_lock().is_ok()
        {
            // Somebody else's directory stays; its owner removes it.
            let _denied = fs::remove_dir_all(entry.path());
        }
    }
}

/// The signals that are passed on.
struct Signals {
    hangup: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hangup.recv() => Signal::SIGHUP,
            _ = self.interrupt.recv() => Signal::SIGINT,
            _ = self.terminate.recv() => Signal::SIGTERM,
        }
    }
}

/// Whether the log goes to a terminal that may have colour (<https://no-color.org>).
fn has_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused
}

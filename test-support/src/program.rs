//! A child process with a log, of a benchmark or a fault run.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// Time between two looks whether it is ready.
const READY_PAUSE: Duration = Duration::from_millis(50);
/// How long a child may take to end before it is killed: a gateway gives unfinished work half a
/// minute.
const STOP_MAX: Duration = Duration::from_secs(35);
/// Bytes of a log that are shown when its program fails.
const LOG_TAIL_BYTES: usize = 4096;

/// A running child process whose output goes to a log. It is killed when this is dropped.
pub struct Program {
    name: String,
    child: Child,
    pid: Pid,
    log: PathBuf,
    /// Bytes of the log that are of earlier processes.
    log_before: usize,
}

impl Program {
    /// Starts `command`, adding to the log `{name}.log` in `dir`.
    ///
    /// # Errors
    ///
    /// When it cannot be started, for example because it is not installed.
    pub fn start(
        name: impl Into<String>,
        mut command: Command,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let name = name.into();
        let log = dir.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        let log_before = usize::try_from(output.metadata()?.len())?;
        let program = command.as_std().get_program().to_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| not_started(&name, &program))?;
        let pid = child.id().context("the child has no id")?;
        Ok(Self {
            name,
            child,
            pid: Pid::from_raw(i32::try_from(pid)?),
            log,
            log_before,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// What it has written.
    pub fn output(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let own = log.get(self.log_before..).unwrap_or_default();
        String::from_utf8_lossy(own).into_owned()
    }

    /// Waits until `look` finds something.
    ///
    /// # Errors
    ///
    /// When the program ends before, or takes longer than `within`.
    pub async fn ready<T>(
        &mut self,
        within: Duration,
        mut look: impl AsyncFnMut(&Self) -> Option<T>,
    ) -> anyhow::Result<T> {
        let until = Instant::now() + within;
        loop {
            if let Some(found) = look(self).await {
                return Ok(found);
            }
            if self.ended().is_some() || Instant::now() > until {
                bail!("{} did not become ready:\n{}", self.name, self.log_tail());
            }
            tokio::time::sleep(READY_PAUSE).await;
        }
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends it a signal, unless it has ended and its id may belong to another.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        if let Some(status) = self.ended() {
            bail!("{} had ended: {status}\n{}", self.name, self.log_tail());
        }
        kill(self.pid, signal).with_context(|| format!("could not signal {}", self.name))
    }

    /// Kills it.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.child.wait().await?;
        Ok(())
    }

    /// Asks it to end, and kills it when it does not.
    pub async fn stop(mut self) {
        // It may have ended by itself.
        let _gone = self.signal(Signal::SIGTERM);
        let ended = tokio::time::timeout(STOP_MAX, self.child.wait());
        if ended.await.is_err() {
            let _gone = self.child.kill().await;
        }
    }

    fn log_tail(&self) -> String {
        let output = self.output();
        let from = output.len().saturating_sub(LOG_TAIL_BYTES);
        let from = (from..=output.len()).find(|at| output.is_char_boundary(*at));
        output[from.unwrap_or_default()..].to_owned()
    }
}

fn not_started(name: &str, program: &OsStr) -> String {
    format!(
        "could not start {name}: is {} installed?",
        program.display()
    )
}

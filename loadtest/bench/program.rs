//! A child process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// How long a child may take to become ready.
const READY_MAX: Duration = Duration::from_mins(1);
/// Time between two looks whether it is ready.
const READY_PAUSE: Duration = Duration::from_millis(50);
/// How long a child may take to end before it is killed.
const STOP_MAX: Duration = Duration::from_secs(35);
/// Bytes of a log that are shown when its program fails.
const LOG_TAIL_BYTES: usize = 4096;

/// A running child process whose output goes to a log. It is killed when this is dropped.
pub(crate) struct Program {
    name: &'static str,
    child: Child,
    pid: u32,
    log: PathBuf,
}

impl Program {
    /// Starts `command`, logging to `{name}.log` in `dir`.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not start {name}"))?;
        let pid = child.id().context("the child has no id")?;
        Ok(Self {
            name,
            child,
            pid,
            log,
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// What it has written.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until `look` finds something, and fails when the program ends or takes too long.
    pub(crate) async fn ready<T>(
        &mut self,
        mut look: impl AsyncFnMut(&Self) -> Option<T>,
    ) -> anyhow::Result<T> {
        let until = Instant::now() + READY_MAX;
        loop {
            if let Some(found) = look(self).await {
                return Ok(found);
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > until {
                bail!("{} did not become ready:\n{}", self.name, self.log_tail());
            }
            tokio::time::sleep(READY_PAUSE).await;
        }
    }

    /// Asks it to end, and kills it when it does not.
    pub(crate) async fn stop(mut self) {
        if let Ok(pid) = i32::try_from(self.pid) {
            // It may have ended by itself.
            let _gone = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        if tokio::time::timeout(STOP_MAX, self.child.wait())
            .await
            .is_err()
        {
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

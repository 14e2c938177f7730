//! A child process with a log, which is stopped, resumed and killed by its id.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// How long a child may take to become ready on a busy machine, with its servers away meanwhile. A
/// gateway waits for its database up to a minute in each of several steps.
const READY_MAX: Duration = Duration::from_mins(4);
/// Time between two looks whether it is ready.
const READY_PAUSE: Duration = Duration::from_millis(50);
/// How long a child may take to end before it is killed.
const STOP_MAX: Duration = Duration::from_secs(10);
/// Bytes of a log that are shown when its program fails.
const LOG_TAIL_BYTES: usize = 2048;

/// A running child process. It is killed when this is dropped, and when this process is killed.
pub(crate) struct Process {
    name: String,
    child: Child,
    pid: Pid,
    log: PathBuf,
}

/// A command for `program` that the kernel kills when this process dies.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

impl Process {
    /// Starts `command`, adding to the log `{name}.log` in `dir`.
    pub(crate) fn start(name: String, mut command: Command, dir: &Path) -> anyhow::Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C in a terminal reaches the run alone, which ends its children in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not start {name}; setpriv of util-linux is needed"))?;
        let pid = child.id().context("the child has no id")?;
        Ok(Self {
            name,
            child,
            pid: Pid::from_raw(i32::try_from(pid)?),
            log,
        })
    }

    /// Waits until `look` finds something, and fails when the program ends or takes too long.
    pub(crate) async fn ready<T>(
        &mut self,
        mut look: impl AsyncFnMut() -> Option<T>,
    ) -> anyhow::Result<T> {
        let until = Instant::now() + READY_MAX;
        loop {
            if let Some(found) = look().await {
                return Ok(found);
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > until {
                bail!("{} did not become ready:\n{}", self.name, self.log_tail());
            }
            tokio::time::sleep(READY_PAUSE).await;
        }
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends it a signal, unless it has ended and its id may belong to another.
    pub(crate) fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        if let Some(status) = self.ended() {
            bail!("{} had ended: {status}\n{}", self.name, self.log_tail());
        }
        kill(self.pid, signal).with_context(|| format!("could not signal {}", self.name))
    }

    /// Kills it.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.child.wait().await?;
        Ok(())
    }

    /// Asks it to end, and kills it when it does not.
    pub(crate) async fn stop(mut self) {
        // It may have ended by itself.
        let _gone = self.signal(Signal::SIGTERM);
        let ended = tokio::time::timeout(STOP_MAX, self.child.wait());
        if ended.await.is_err() {
            let _gone = self.child.kill().await;
        }
    }

    fn log_tail(&self) -> String {
        let output = std::fs::read_to_string(&self.log).unwrap_or_default();
        let from = output.len().saturating_sub(LOG_TAIL_BYTES);
        let from = (from..=output.len()).find(|at| output.is_char_boundary(*at));
        output
            .get(from.unwrap_or_default()..)
            .unwrap_or_default()
            .to_owned()
    }
}

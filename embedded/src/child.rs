//! One child process: its bounded log, its end, its stop.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::{oneshot, watch};

use crate::account::Account;
use crate::binaries::Search;
use crate::error::StartError;

/// Size at which a log is moved to `.1`, replacing the one before: a server has twice this at most.
const LOG_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longer lines are cut into several.
const LINE_BYTES_MAX: u64 = 8 * 1024;
/// Lines of the log kept for error messages.
const TAIL_LINES_MAX: usize = 12;
/// How often a process that closed its output is asked whether it has ended.
const REAP_INTERVAL: Duration = Duration::from_millis(5);

/// What to run, and where its output goes.
pub(crate) struct Launch {
    /// Name in messages.
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(&'static str, OsString)>,
    /// Text for its standard input; secrets go here, where no process list shows them.
    pub(crate) input: String,
    pub(crate) account: Account,
    /// What asks it to stop, sent by the kernel when we die.
    pub(crate) stop_signal: Signal,
    pub(crate) log: PathBuf,
}

/// A running child process, stopped when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    name: &'static str,
    pid: i32,
    stop_signal: Signal,
    process: Arc<Mutex<Option<std::process::Child>>>,
    tail: Arc<Mutex<VecDeque<String>>>,
    ended: watch::Receiver<Option<ExitStatus>>,
    lines: watch::Receiver<Option<String>>,
}

impl Child {
    /// Starts the process on a thread of its own.
    ///
    /// The kernel sends the death signal when the *thread* that started the child ends, so the thread stays until the child has ended.
    pub(crate) async fn start(launch: Launch, search: &Search) -> Result<Child, StartError> {
        let log = BoundedLog::open(&launch.log)?;
        let setpriv = search
            .find("setpriv")
            .filter(|setpriv| knows_death_signals(setpriv));
        if setpriv.is_none() {
            tracing::warn!(
                server = launch.name,
                "setpriv --pdeathsig is missing: the server outlives a killed parent until the next start"
            );
        }
        let Launch {
            name,
            stop_signal,
            program,
            ..
        } = &launch;
        let (name, stop_signal, program) = (*name, *stop_signal, program.clone());
        let process = Arc::new(Mutex::new(None));
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let (end, ended) = watch::channel(None);
        let (line, lines) = watch::channel(None);
        let (report, started) = oneshot::channel();
        let keeper = Keeper {
            process: Arc::clone(&process),
            tail: Arc::clone(&tail),
            log,
            line,
            end,
        };
        std::thread::Builder::new()
            .name(format!("{name} keeper"))
            .spawn(move || keeper.run(launch, setpriv.as_deref(), report))
            .map_err(|source| StartError::Run {
                program: program.clone(),
                source,
            })?;
        let pid = started
            .await
            .unwrap_or_else(|_| Err(io::Error::other("its thread ended")))
            .map_err(|source| StartError::Run { program, source })?;
        Ok(Child {
            name,
            pid,
            stop_signal,
            process,
            tail,
            ended,
            lines,
        })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits for the end of the process.
    pub(crate) async fn ended(&mut self) -> Option<ExitStatus> {
        let ended = self.ended.wait_for(Option::is_some).await;
        ended.ok().and_then(|status| *status)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Waits for a line of output that starts with this text, and gives what follows.
    pub(crate) async fn announced(&mut self, start: &str) -> Option<String> {
        let line = self
            .lines
            .wait_for(|line| line.as_ref().is_some_and(|line| line.starts_with(start)))
            .await
            .ok()?;
        line.as_ref()
            .and_then(|line| line.strip_prefix(start))
            .map(str::to_owned)
    }

    /// The end of what it said.
    pub(crate) fn log_tail(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Asks the process to stop, and ends it when it does not within `grace`.
    pub(crate) async fn stop(&mut self, grace: Duration) {
        self.signal(self.stop_signal);
        if tokio::time::timeout(grace, self.ended()).await.is_err() {
            tracing::warn!(
                server = self.name,
                pid = self.pid,
                "server does not stop; killing it"
            );
            self.signal(Signal::SIGKILL);
            self.ended().await;
        }
    }

    /// Sends a signal, unless the process has ended and its id may belong to another.
    fn signal(&self, signal: Signal) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if process.is_some()
            && let Err(error) = kill(Pid::from_raw(self.pid), signal)
        {
            tracing::warn!(server = self.name, pid = self.pid, %error, "could not signal server");
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(self.stop_signal);
    }
}

/// The thread beside a child: reads its output and notices its end.
struct Keeper {
    process: Arc<Mutex<Option<std::process::Child>>>,
    tail: Arc<Mutex<VecDeque<String>>>,
    log: BoundedLog,
    line: watch::Sender<Option<String>>,
    end: watch::Sender<Option<ExitStatus>>,
}

impl Keeper {
    fn run(
        mut self,
        launch: Launch,
        setpriv: Option<&Path>,
        report: oneshot::Sender<io::Result<i32>>,
    ) {
        match self.spawn(launch, setpriv) {
            Ok((pid, output)) => {
                if report.send(Ok(pid)).is_err() {
                    // Nobody waits any more: the start was given up.
                    let _gone = kill(Pid::from_raw(pid), Signal::SIGTERM);
                }
                self.read(output);
                self.reap();
            }
            Err(error) => drop(report.send(Err(error))),
        }
    }

    fn spawn(&self, launch: Launch, setpriv: Option<&Path>) -> io::Result<(i32, io::PipeReader)> {
        let (output, writer) = io::pipe()?;
        let mut command = with_death_signal(&launch.program, launch.stop_signal, setpriv);
        command
            .args(launch.arguments)
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .envs(launch.environment)
            .stdin(Stdio::piped())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            // Ctrl-C in a terminal reaches us alone; we stop the children in our order.
            .process_group(0);
        launch.account.apply(&mut command);
        let mut process = command.spawn()?;
        let pid = i32::try_from(process.id()).map_err(io::Error::other)?;
        if let Some(mut input) = process.stdin.take() {
            // A process that ended at once says why in its output.
            let _unread = input.write_all(launch.input.as_bytes());
        }
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        Ok((pid, output))
    }

    /// Reads until every process that writes to the output has ended.
    fn read(&mut self, output: io::PipeReader) {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        loop {
            line.clear();
            match reader
                .by_ref()
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut line)
            {
                Ok(0) | Err(_) => return,
                Ok(_) => self.keep_line(&line),
            }
        }
    }

    fn keep_line(&mut self, line: &[u8]) {
        // A full disk must not stop the server; the tail below still has the line.
        let _unwritten = self.log.write(line);
        let text = String::from_utf8_lossy(line).trim_end().to_owned();
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == TAIL_LINES_MAX {
            tail.pop_front();
        }
        tail.push_back(text.clone());
        drop(tail);
        // Only the first announcement counts; later lines must not hide it.
        self.line.send_if_modified(|current| {
            let announced = current
                .as_ref()
                .is_some_and(|line| line.starts_with("listening on "));
            if !announced {
                *current = Some(text);
            }
            !announced
        });
    }

    fn reap(self) {
        loop {
            let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
            let status = process.as_mut().map(std::process::Child::try_wait);
            match status {
                Some(Ok(None)) => {
                    drop(process);
                    std::thread::sleep(REAP_INTERVAL);
                }
                Some(Ok(Some(status))) => {
                    *process = None;
                    drop(process);
                    self.end.send_replace(Some(status));
                    return;
                }
                // Dropping the sender tells the end as well.
                Some(Err(_)) | None => return,
            }
        }
    }
}

fn with_death_signal(program: &Path, signal: Signal, setpriv: Option<&Path>) -> Command {
    let Some(setpriv) = setpriv else {
        return Command::new(program);
    };
    let mut command = Command::new(setpriv);
    command
        .arg("--pdeathsig")
        .arg(signal.as_str().trim_start_matches("SIG"))
        .arg("--")
        .arg(program);
    command
}

/// Whether this `setpriv` is the one of util-linux: `BusyBox` has one without death signals.
fn knows_death_signals(setpriv: &Path) -> bool {
    Command::new(setpriv)
        .args(["--pdeathsig", "TERM", "--", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A log file that never exceeds its bound.
#[derive(Debug)]
struct BoundedLog {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl BoundedLog {
    fn open(path: &Path) -> Result<BoundedLog, StartError> {
        let open = || {
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(path)?;
            let bytes = file.metadata()?.len();
            Ok(BoundedLog {
                path: path.to_path_buf(),
                file,
                bytes,
            })
        };
        open().map_err(StartError::file("open", path))
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let line_bytes = line.len() as u64;
        if self.bytes + line_bytes > LOG_BYTES_MAX {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
            self.file = OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(&self.path)?;
            self.bytes = 0;
        }
        self.file.write_all(line)?;
        self.bytes += line_bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_stays_within_twice_its_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("redis.log");
        let mut log = BoundedLog::open(&path).unwrap();
        let line = vec![b'x'; 64 * 1024];

        for _ in 0..300 {
            log.write(&line).unwrap();
        }

        let sizes: Vec<u64> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .collect();
        assert_eq!(sizes.len(), 2);
        assert!(sizes.iter().all(|size| *size <= LOG_BYTES_MAX), "{sizes:?}");
    }
}

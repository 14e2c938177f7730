//! Servers that outlived a killed parent.
//!
//! Each server's process id is noted in a file of the data directory.
//! An id alone proves nothing, as the system reuses ids: the process must also work in the server's own directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::StartError;
use crate::secret;

/// How long a leftover may take to stop: PostgreSQL writes a checkpoint.
const STOP_MAX: Duration = Duration::from_secs(30);
/// How often a stopping leftover is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The note of a running server.
#[derive(Clone, Debug)]
pub(crate) struct PidNote {
    /// Name in messages.
    pub(crate) server: &'static str,
    /// Where the process id is written.
    pub(crate) file: PathBuf,
    /// The directory this server, and no other, works in.
    pub(crate) home: PathBuf,
    /// What its command line contains, for systems without `/proc`.
    pub(crate) command_line: String,
}

impl PidNote {
    /// Writes the note.
    pub(crate) fn write(&self, pid: i32) -> Result<(), StartError> {
        secret::write_private(&self.file, &format!("{pid} {}", self.command_line))
    }

    /// Removes the note after a clean stop.
    pub(crate) fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.file)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(file = %self.file.display(), %error, "could not remove pid file");
        }
    }

    /// Stops the server an earlier parent left behind, if it still runs.
    pub(crate) async fn stop_leftover(&self, signal: Signal) -> Result<(), StartError> {
        let Some((pid, command_line)) = self.read() else {
            return Ok(());
        };
        if !self.is_ours(pid, &command_line) {
            self.remove();
            return Ok(());
        }
        tracing::warn!(
            server = self.server,
            pid,
            "stopping a server left over from an earlier run"
        );
        let _already_gone = kill(Pid::from_raw(pid), signal);
        let gone = async {
            while self.is_ours(pid, &command_line) {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        };
        tokio::time::timeout(STOP_MAX, gone)
            .await
            .map_err(|_| StartError::LeftoverStays {
                server: self.server,
                pid,
            })?;
        self.remove();
        Ok(())
    }

    fn read(&self) -> Option<(i32, String)> {
        let text = fs::read_to_string(&self.file).ok()?;
        let (pid, command_line) = text.trim().split_once(' ')?;
        let pid: i32 = pid.parse().ok().filter(|pid| *pid > 1)?;
        Some((pid, command_line.to_owned()))
    }

    fn is_ours(&self, pid: i32, command_line: &str) -> bool {
        works_in(pid, &self.home, command_line)
    }
}

/// Whether this process exists and works in this directory.
pub(crate) fn works_in(pid: i32, home: &Path, command_line: &str) -> bool {
    if Path::new("/proc/self/cwd").exists() {
        return fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|directory| directory == home);
    }
    let Ok(output) = Command::new("ps")
        .args(["-ww", "-o", "command=", "-p", &pid.to_string()])
        .output()
    else {
        return false;
    };
    !command_line.is_empty() && String::from_utf8_lossy(&output.stdout).contains(command_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn foreign_process_with_the_noted_id_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut foreign = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = i32::try_from(foreign.id()).unwrap();
        let note = PidNote {
            server: "Redis",
            file: dir.path().join("redis.pid"),
            home: dir.path().join("redis"),
            command_line: "redis-server 127.0.0.1:1".to_owned(),
        };
        note.write(pid).unwrap();

        note.stop_leftover(Signal::SIGTERM).await.unwrap();

        assert!(
            foreign.try_wait().unwrap().is_none(),
            "the foreign process was stopped"
        );
        assert!(!note.file.exists());
        foreign.kill().unwrap();
        foreign.wait().unwrap();
    }
}

//! Why servers do not start.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why servers do not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A program is not installed.
    #[error(
        "`{program}` is not installed. Run `scripts/install-servers`, or install it yourself: \
         Debian and Ubuntu `apt-get install {debian}`, Fedora `dnf install {fedora}`, \
         Arch `pacman -S {arch}`, Alpine `apk add {alpine}`, macOS `brew install {brew}`. \
         Or name servers of your own with ROPELINE_REDIS_URL and ROPELINE_DATABASE_URL"
    )]
    MissingProgram {
        /// What was looked for.
        program: &'static str,
        /// Its package on Debian and Ubuntu.
        debian: &'static str,
        /// Its package on Fedora.
        fedora: &'static str,
        /// Its package on Arch.
        arch: &'static str,
        /// Its package on Alpine.
        alpine: &'static str,
        /// Its formula for Homebrew.
        brew: &'static str,
    },
    /// The payment simulator is neither beside this program nor in PATH.
    #[error(
        "`{program}` is neither beside this program nor in PATH; build it with `cargo build -p payment-simulator`"
    )]
    MissingSimulator {
        /// What was looked for.
        program: &'static str,
    },
    /// Another process uses the data directory.
    #[error(
        "the data directory {} is in use by another process; stop it, or choose another ROPELINE_DATA_DIR",
        .data_dir.display()
    )]
    InUse {
        /// The directory both want.
        data_dir: PathBuf,
    },
    /// The data was made by a PostgreSQL whose programs are not installed.
    #[error(
        "the data in {} was made by PostgreSQL {wanted}, but only {found} is installed; install PostgreSQL {wanted}, or move the data with pg_upgrade",
        .data.display()
    )]
    OtherVersion {
        /// Where the data is.
        data: PathBuf,
        /// Major version of the data.
        wanted: String,
        /// Major versions of the programs.
        found: String,
    },
    /// We are root and no unprivileged account exists.
    #[error("servers do not run as root, and neither account `postgres` nor `nobody` exists")]
    NoAccount,
    /// A file or directory could not be used.
    #[error("could not {action} {}", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A remembered value in the data directory makes no sense.
    #[error("{} does not hold what belongs there; restore it from a backup, or remove the data directory to begin anew", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Randomness for a password was not to be had.
    #[error("the operating system gives no randomness for a password")]
    Randomness,
    /// A program could not be run.
    #[error("could not run {}", .program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The data could not be set up.
    #[error("{program} failed: {output}")]
    SetUp {
        /// The program.
        program: &'static str,
        /// The end of what it said.
        output: String,
    },
    /// A server ended while it started.
    #[error("{server} ended while it started: {output}")]
    Ended {
        /// The server.
        server: &'static str,
        /// The end of its log.
        output: String,
    },
    /// A server did not become ready in time.
    #[error("{server} was not ready after {} s: {output}", .after.as_secs())]
    NotReady {
        /// The server.
        server: &'static str,
        /// How long we waited.
        after: Duration,
        /// The end of its log.
        output: String,
    },
    /// A leftover server does not stop.
    #[error("{server} with process id {pid} is left over from an earlier run and does not stop")]
    LeftoverStays {
        /// The server.
        server: &'static str,
        /// Its process id.
        pid: i32,
    },
}

impl StartError {
    /// Gives an error of the file system its path and what was tried.
    pub(crate) fn file(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> StartError {
        let path = path.to_path_buf();
        move |source| StartError::File {
            action,
            path,
            source,
        }
    }
}

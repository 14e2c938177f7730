//! The private PostgreSQL of a data directory, as another process finds it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::data_dir::{LOCK, read_pointer};
use crate::error::StartError;
use crate::leftover::works_in;
use crate::postgres_server::application_url;
use crate::secret;

/// The private PostgreSQL of a data directory.
#[derive(Clone, PartialEq, Eq)]
pub enum PrivateDatabase {
    /// The directory has no data of one.
    Absent,
    /// There is data, and nobody runs a server on it.
    Stopped,
    /// Another process has the directory, and its server does not accept connections at present.
    Unready,
    /// Another process runs the server.
    Running {
        /// URL of the application's database, with its password.
        url: String,
    },
}

/// Looks for the private PostgreSQL of the servers' directory `servers`. Starts and changes nothing.
pub fn private_database(servers: &Path) -> Result<PrivateDatabase, StartError> {
    let Ok(own) = servers.canonicalize() else {
        return Ok(PrivateDatabase::Absent);
    };
    let place = read_pointer(&own)?.unwrap_or_else(|| own.clone());
    let data = place.join("postgres").join("data");
    let is_claimed = is_claimed(&own)?;
    if !data.join("PG_VERSION").exists() {
        return Ok(if is_claimed {
            PrivateDatabase::Unready
        } else {
            PrivateDatabase::Absent
        });
    }
    if !is_claimed {
        return Ok(PrivateDatabase::Stopped);
    }
    match ready_port(&data) {
        Some(port) => {
            let password = secret::password(&own.join("postgres.password"))?;
            let url = application_url(&password, port);
            Ok(PrivateDatabase::Running { url })
        }
        None => Ok(PrivateDatabase::Unready),
    }
}

/// Whether another process runs servers with this directory.
fn is_claimed(own: &Path) -> Result<bool, StartError> {
    let path = own.join(LOCK);
    let file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(StartError::file("open", &path)(error)),
    };
    match file.try_lock_shared() {
        // Given up at once, so that a server that starts at this moment is hardly ever in the way.
        Ok(()) => Ok(file.unlock().is_err()),
        Err(fs::TryLockError::WouldBlock) => Ok(true),
        Err(fs::TryLockError::Error(error)) => Err(StartError::file("lock", &path)(error)),
    }
}

/// The port of a server that accepts connections, from its own status file.
fn ready_port(data: &Path) -> Option<u16> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    // First line: process id. Fourth: port. Eighth: status.
    let pid = lines.first()?.parse().ok()?;
    let is_ready =
        lines.get(7) == Some(&"ready") && works_in(pid, data, &data.display().to_string());
    is_ready.then(|| lines.get(3)?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_data_has_no_database() {
        let dir = tempfile::tempdir().unwrap();
        let found = private_database(dir.path()).ok().unwrap();
        assert!(found == PrivateDatabase::Absent);
        let found = private_database(&dir.path().join("missing")).ok().unwrap();
        assert!(found == PrivateDatabase::Absent);
    }

    #[test]
    fn a_status_file_of_a_process_that_is_gone_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let status = "999999999\n/data\n1\n5432\n\n127.0.0.1\n0 0\nready\n";
        fs::write(dir.path().join("postmaster.pid"), status).unwrap();
        assert_eq!(ready_port(dir.path()), None);
    }
}

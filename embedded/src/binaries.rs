//! Where the servers' programs are.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::StartError;

/// Directories outside PATH that hold one version's programs each, as parent and tail.
const VERSIONED: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
];

/// The programs of one PostgreSQL version.
#[derive(Clone, Debug)]
pub(crate) struct PostgresPrograms {
    pub(crate) initdb: PathBuf,
    pub(crate) postgres: PathBuf,
    /// Such as `15`.
    pub(crate) version: String,
}

/// Searches for programs.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    directories: Vec<PathBuf>,
}

impl Search {
    /// PATH, and where distributions put PostgreSQL outside it.
    pub(crate) fn of_this_machine(path: &OsStr) -> Search {
        let mut directories: Vec<PathBuf> = std::env::split_paths(path).collect();
        directories.extend(
            ["/usr/sbin", "/sbin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from),
        );
        for (parent, prefix, tail) in VERSIONED {
            let mut versions: Vec<PathBuf> = fs::read_dir(parent)
                .into_iter()
                .flatten()
                .flatten()
                .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
                .map(|entry| entry.path().join(tail))
                .filter(|directory| directory.is_dir())
                .collect();
            versions.sort();
            directories.extend(versions.into_iter().rev());
        }
        Search { directories }
    }

    /// The first executable file of this name.
    pub(crate) fn find(&self, program: &str) -> Option<PathBuf> {
        self.all(program).next()
    }

    fn all(&self, program: &str) -> impl Iterator<Item = PathBuf> {
        self.directories
            .iter()
            .map(move |directory| directory.join(program))
            .filter(|file| is_executable(file))
    }

    /// The Redis server, or its compatible successor.
    pub(crate) fn redis(&self) -> Result<PathBuf, StartError> {
        self.find("redis-server")
            .or_else(|| self.find("valkey-server"))
            .ok_or(StartError::MissingProgram {
                program: "redis-server",
                debian: "redis-server",
                fedora: "valkey",
                arch: "valkey",
                alpine: "redis",
                brew: "redis",
            })
    }

    /// PostgreSQL of the version that made the data, or the first one found for new data.
    pub(crate) fn postgres(&self, data: &Path) -> Result<PostgresPrograms, StartError> {
        let installed = self.postgres_versions();
        if installed.is_empty() {
            return Err(StartError::MissingProgram {
                program: "postgres",
                debian: "postgresql",
                fedora: "postgresql-server",
                arch: "postgresql",
                alpine: "postgresql",
                brew: "postgresql@17",
            });
        }
        let Ok(wanted) = fs::read_to_string(data.join("PG_VERSION")) else {
            return Ok(installed[0].clone());
        };
        let wanted = wanted.trim().to_owned();
        installed
            .iter()
            .find(|programs| programs.version == wanted)
            .cloned()
            .ok_or_else(|| {
                let found: Vec<&str> = installed
                    .iter()
                    .map(|programs| programs.version.as_str())
                    .collect();
                StartError::OtherVersion {
                    data: data.to_path_buf(),
                    wanted,
                    found: found.join(", "),
                }
            })
    }

    fn postgres_versions(&self) -> Vec<PostgresPrograms> {
        self.directories
            .iter()
            .filter(|directory| {
                is_executable(&directory.join("initdb"))
                    && is_executable(&directory.join("postgres"))
            })
            .filter_map(|directory| {
                let postgres = directory.join("postgres");
                let version = major_version(&postgres)?;
                Some(PostgresPrograms {
                    initdb: directory.join("initdb"),
                    postgres,
                    version,
                })
            })
            .collect()
    }
}

/// Every program of this name: those in PATH first, then those of the PostgreSQL versions that are
/// installed, the newest first.
pub fn programs_named(name: &str) -> Vec<PathBuf> {
    let search = Search::of_this_machine(&std::env::var_os("PATH").unwrap_or_default());
    search.all(name).collect()
}

/// The major version in `postgres (PostgreSQL) 15.8 (Debian 15.8-0)`.
fn major_version(postgres: &Path) -> Option<String> {
    let output = Command::new(postgres).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_whitespace().nth(2)?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

pub(crate) fn is_executable(file: &Path) -> bool {
    fs::metadata(file)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Search {
        Search {
            directories: vec![],
        }
    }

    #[test]
    fn missing_redis_names_its_packages() {
        let message = nothing().redis().unwrap_err().to_string();

        assert!(message.contains("scripts/install-servers"), "{message}");
        assert!(
            message.contains("apt-get install redis-server"),
            "{message}"
        );
    }

    #[test]
    fn missing_postgres_names_its_packages() {
        let message = nothing()
            .postgres(Path::new("/nowhere"))
            .unwrap_err()
            .to_string();

        assert!(message.contains("scripts/install-servers"), "{message}");
        assert!(message.contains("apt-get install postgresql"), "{message}");
    }

    #[test]
    fn data_of_another_version_is_an_error_that_names_both() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("PG_VERSION"), "7\n").unwrap();

        let error = Search::of_this_machine(OsStr::new(""))
            .postgres(data.path())
            .unwrap_err();

        assert!(
            matches!(error, StartError::OtherVersion { ref wanted, .. } if wanted == "7"),
            "{error}"
        );
    }
}

//! The client programs of PostgreSQL: which there are, and which of them fit a server.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::BackupError;

/// A program and its major version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) version: u32,
}

/// The program `name` of version `needed` or newer. The nearest version is taken: that of the
/// server itself where it is installed.
pub(crate) fn program(name: &'static str, needed: u32) -> Result<Program, BackupError> {
    let installed = embedded::programs_named(name).into_iter();
    let installed: Vec<Program> = installed.filter_map(|path| versioned(&path)).collect();
    let found: Vec<String> = installed.iter().map(|it| it.version.to_string()).collect();
    nearest(installed, needed).ok_or_else(|| BackupError::Program {
        program: name,
        needed,
        found: if found.is_empty() {
            "none".to_owned()
        } else {
            found.join(", ")
        },
    })
}

fn nearest(installed: Vec<Program>, needed: u32) -> Option<Program> {
    let fitting = installed.into_iter().filter(|it| it.version >= needed);
    fitting.min_by_key(|it| it.version)
}

fn versioned(path: &Path) -> Option<Program> {
    let output = Command::new(path).arg("--version").output().ok()?;
    let version = major(&String::from_utf8_lossy(&output.stdout))?;
    Some(Program {
        path: path.to_path_buf(),
        version,
    })
}

/// The major version in `pg_dump (PostgreSQL) 15.8 (Debian 15.8-0)`.
fn major(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL) ")?.1;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(version: u32) -> Program {
        Program {
            path: PathBuf::from(format!("/usr/lib/postgresql/{version}/bin/pg_dump")),
            version,
        }
    }

    #[test]
    fn the_version_of_the_server_is_taken_or_the_next_newer() {
        let installed = || vec![program(18), program(15), program(17)];
        for (needed, taken) in [(15, Some(15)), (14, Some(15)), (16, Some(17)), (19, None)] {
            let taken = taken.map(program);
            assert_eq!(nearest(installed(), needed), taken, "{needed}");
        }
    }

    #[test]
    fn versions_are_read_as_the_programs_tell_them() {
        assert_eq!(
            major("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major("psql (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major("busybox\n"), None);
    }

    #[test]
    fn a_missing_version_names_the_package() {
        let missing = super::program("pg_dump", 99).unwrap_err();
        assert!(
            missing.to_string().contains("PostgreSQL 99 or newer"),
            "{missing}"
        );
        assert!(missing.hint().unwrap().contains("postgresql-client-99"));
    }
}

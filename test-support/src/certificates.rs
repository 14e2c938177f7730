//! Certificates of a test's own authority, made by the `openssl` program.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// An authority, and a certificate that it gave to the server at 127.0.0.1.
pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    /// Makes both.
    pub fn make() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Authorities are told apart by their names.
        let name = directory.path().file_name().unwrap().to_string_lossy();
        let of_authority = format!(
            "-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} \
             -keyout authority.key -out authority.pem"
        );
        openssl(directory.path(), "req", &of_authority);
        let of_server = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=server \
                         -x509 -days 2 -addext subjectAltName=IP:127.0.0.1 \
                         -addext basicConstraints=critical,CA:FALSE \
                         -CA authority.pem -CAkey authority.key \
                         -keyout server.key -out server.pem";
        openssl(directory.path(), "req", of_server);
        Self { directory }
    }

    /// The authority's certificate.
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    /// The server's certificate.
    pub fn server(&self) -> PathBuf {
        self.directory.path().join("server.pem")
    }

    /// The server's key.
    pub fn key(&self) -> PathBuf {
        self.directory.path().join("server.key")
    }
}

fn openssl(directory: &Path, command: &str, arguments: &str) {
    let made = Command::new("openssl")
        .arg(command)
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output();
    let made = made.unwrap_or_else(|error| panic!("openssl: {error}"));
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(
        made.status.success(),
        "openssl {command} {arguments}: {said}"
    );
}

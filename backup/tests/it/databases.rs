//! Databases of a throw-away server, and data directories beside them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use backup::{
    Address, Backup, BackupError, Created, Opener, Protection, Restored, Source, Verified,
};
use contract::pass::PassKey;
use test_support::database::TestDatabase;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Runs a statement, and gives the answer as text.
pub(crate) fn sql(url: &str, statement: &str) -> String {
    // Without the options of another driver.
    let url = url.split('?').next().unwrap();
    let mut command = Command::new("psql");
    command.args([
        "--no-psqlrc",
        "-qtA",
        "-v",
        "ON_ERROR_STOP=1",
        "--dbname",
        url,
    ]);
    let output = command.args(["--command", statement]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{statement}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// An empty database.
pub(crate) fn empty(server: &str) -> String {
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("ropeline_backup_{}_{count}", std::process::id());
    sql(server, &format!("create database {name}"));
    let mut url = url::Url::parse(server).unwrap();
    url.set_path(&name);
    url.into()
}

/// An installation: a database with a room and a sealed ticket key, and a data directory.
pub(crate) struct Installation {
    database: TestDatabase,
    pub(crate) data: tempfile::TempDir,
}

impl Installation {
    pub(crate) async fn make(seed: u8) -> Self {
        let database = TestDatabase::create().await;
        let data = tempfile::tempdir().unwrap();
        let key = PassKey::from_seed([seed; 32]).unwrap();
        fs::write(data.path().join("signing-key.pem"), key.to_pem().unwrap()).unwrap();
        fs::write(data.path().join("admin-token"), "token\n").unwrap();
        let (public, kid) = (format!("{seed:02x}").repeat(32), key.kid());
        let url = database.url();
        for statement in [
            format!("insert into ticket_keys values (1, '\\x{public}', now(), '{kid}')"),
            format!("insert into ticket_key_seals values (1, '{kid}', '\\x00', now())"),
            format!("insert into place_key_seals values ('{kid}', '\\x00', now())"),
        ] {
            sql(&url, &statement);
        }
        Self { database, data }
    }

    pub(crate) fn url(&self) -> String {
        self.database.url()
    }

    fn source(&self) -> Source {
        Source {
            address: Address::parse(&self.url()).unwrap(),
            data_dir: self.data.path().to_path_buf(),
            signing_keys: Vec::new(),
        }
    }

    /// Takes a backup without protection.
    pub(crate) fn back_up(&self, to: &Path, keep: Option<usize>) -> Result<Created, BackupError> {
        backup::create(
            &self.source(),
            to,
            &Protection::Plain,
            keep,
            &mut |_| Ok(()),
        )
    }
}

/// Reads a backup.
pub(crate) fn verified(file: &Path) -> Verified {
    let backup = Backup::open(file).unwrap();
    backup.verify(&Opener::default(), &mut |_| Ok(())).unwrap()
}

/// Restores a backup, unless it is interrupted by `at` bytes of the dump.
pub(crate) fn restored(
    file: &Path,
    url: &str,
    data_dir: &Path,
    interrupted_at: Option<u64>,
) -> Result<Restored, BackupError> {
    let address = Address::parse(url).unwrap();
    verified(file).restore(
        &address,
        data_dir,
        &Opener::default(),
        &mut |bytes| match interrupted_at {
            Some(at) if bytes >= at => Err(std::io::ErrorKind::Other.into()),
            _ => Ok(()),
        },
    )
}

/// Files of a directory, by name.
pub(crate) fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The maintenance database of the server.
pub(crate) fn server() -> String {
    #[expect(clippy::disallowed_methods, reason = "the server of the tests")]
    std::env::var("ROPELINE_TEST_DATABASE_URL").unwrap()
}

/// A place for backups.
pub(crate) fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_path_buf();
    (directory, path)
}

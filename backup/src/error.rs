//! Why something is not backed up or not restored.

use std::io;
use std::path::{Path, PathBuf};

use embedded::StartError;

/// Why something is not backed up or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A program of PostgreSQL is not installed.
    #[error("`{program}` of PostgreSQL {needed} or newer is not installed (found: {found})")]
    Program {
        /// What was looked for.
        program: &'static str,
        /// The oldest version that will do.
        needed: u32,
        /// Versions that are there.
        found: String,
    },
    /// A program of PostgreSQL failed.
    #[error("{program} failed: {said}")]
    Failed {
        /// The program.
        program: &'static str,
        /// The end of what it said.
        said: String,
    },
    /// The URL of the database cannot be used.
    #[error("the database URL cannot be used: {0}")]
    Url(String),
    /// A program of PostgreSQL answered otherwise than expected.
    #[error("the database answered otherwise than expected: {0}")]
    Answer(String),
    /// No gateway has set the database up.
    #[error("the database has nothing of a gateway: there is nothing to back up")]
    NothingThere,
    /// The data directory has no private database.
    #[error("{} has no database, and none is named", .0.display())]
    NoDatabase(PathBuf),
    /// A gateway has the private servers, and they do not answer.
    #[error("the private database of {} starts or stops at present", .0.display())]
    Unready(PathBuf),
    /// A gateway runs where a backup is to be restored to.
    #[error("a gateway runs with the data directory {}", .0.display())]
    GatewayRuns(PathBuf),
    /// None of the signing keys at hand opens what the database has sealed.
    #[error(
        "none of the signing keys that were found ({ours}) is one that the database knows ({theirs}): a backup without one could not be used"
    )]
    KeysMissing {
        /// Ids of the keys that were found.
        ours: String,
        /// Ids of the keys that the database is sealed for.
        theirs: String,
    },
    /// A signing key cannot be read.
    #[error("{} is no signing key", .0.display())]
    NoKey(PathBuf),
    /// The passphrase is empty or short.
    #[error("the passphrase has fewer than {0} characters")]
    ShortPassphrase(usize),
    /// A recipient is none.
    #[error("`{0}` is no recipient: one begins with `age1`")]
    Recipient(String),
    /// A file with identities has none.
    #[error("{} has no identity of age", .0.display())]
    NoIdentity(PathBuf),
    /// The backup is encrypted, and nothing was given to open it.
    #[error("the backup is encrypted {0}")]
    Locked(&'static str),
    /// The passphrase or identity is another one's.
    #[error("the {0} does not open this backup")]
    WrongKey(&'static str),
    /// The file is no backup.
    #[error("{} is no backup of Ropeline", .0.display())]
    NoBackup(PathBuf),
    /// The file is damaged, or its end is missing.
    #[error("the backup is damaged or cut off: {0}")]
    Damaged(String),
    /// The backup has a layout of later versions.
    #[error("the backup has format {0}, which this version does not know")]
    NewerFormat(u32),
    /// The backup has a schema of later versions.
    #[error(
        "the backup is of version {version} with database schema {migration}; this version knows schemas up to {known}"
    )]
    NewerSchema {
        /// The version that wrote it.
        version: String,
        /// Its newest migration.
        migration: i64,
        /// Our newest migration.
        known: i64,
    },
    /// The database to restore into has something.
    #[error("the database is not empty: it has {0}")]
    NotEmpty(String),
    /// The data directory to restore into has other keys or secrets.
    #[error("{} has other contents than the backup: {files}", .directory.display())]
    OtherFiles {
        /// The data directory.
        directory: PathBuf,
        /// The files that differ.
        files: String,
    },
    /// Another restore into the data directory has not been finished.
    #[error("a restore of another backup into {} was begun and not finished", .0.display())]
    OtherRestore(PathBuf),
    /// A file with this name exists.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The private servers do not start.
    #[error("the private servers do not start: {0}")]
    Servers(#[from] StartError),
    /// It was told to stop.
    #[error("stopped before the end")]
    Stopped,
    /// A file could not be used.
    #[error("could not {action} {}: {source}", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl BackupError {
    /// Gives an error of the file system its path and what was tried.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Program { needed, .. } => format!(
                "install the client programs: Debian and Ubuntu `apt-get install postgresql-client-{needed}` \
                 (newer than the distribution's: from apt.postgresql.org), Fedora `dnf install postgresql`, \
                 Alpine `apk add postgresql{needed}-client`, macOS `brew install libpq`"
            ),
            Self::NoDatabase(_) => "name it with --database-url or ROPELINE_DATABASE_URL, or another --data-dir".to_owned(),
            Self::Unready(_) => "try again in a moment".to_owned(),
            Self::GatewayRuns(_) => "stop the gateway, and restore into an empty directory".to_owned(),
            Self::KeysMissing { .. } => "name the files with --signing-keys or ROPELINE_SIGNING_KEYS, \
                 or run this where a gateway runs".to_owned(),
            Self::ShortPassphrase(_) => "make one: openssl rand -base64 32".to_owned(),
            Self::Locked("to a passphrase") => "give it with --passphrase-file or ROPELINE_BACKUP_PASSPHRASE_FILE".to_owned(),
            Self::Locked(_) => "give the file with the identity, which begins with AGE-SECRET-KEY-1, with --identity".to_owned(),
            Self::Damaged(_) => "take another backup or another copy of it; nothing was changed".to_owned(),
            Self::NewerFormat(_) | Self::NewerSchema { .. } => {
                "restore it with the version that wrote it, or a later one".to_owned()
            }
            Self::NotEmpty(_) => "restore into a new database (createdb), or remove this one first (dropdb); \
                 for a private database name another --data-dir".to_owned(),
            Self::OtherFiles { .. } => "restore into an empty directory, or move those files away".to_owned(),
            Self::OtherRestore(_) => "finish that one, or restore into another directory and database".to_owned(),
            Self::Failed { .. }
            | Self::Url(_)
            | Self::Answer(_)
            | Self::NothingThere
            | Self::NoKey(_)
            | Self::Recipient(_)
            | Self::NoIdentity(_)
            | Self::WrongKey(_)
            | Self::NoBackup(_)
            | Self::Exists(_)
            | Self::Servers(_)
            | Self::Stopped
            | Self::File { .. } => return None,
        })
    }

    /// Whether the present state of things does not allow what was asked.
    pub fn is_conflict(&self) -> bool {
        matches!(
            self,
            Self::GatewayRuns(_)
                | Self::NotEmpty(_)
                | Self::OtherFiles { .. }
                | Self::OtherRestore(_)
                | Self::Exists(_)
        )
    }
}

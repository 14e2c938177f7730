//! Reading a backup, and restoring what is in it.
//!
//! The whole file is read and held against its digests before anything is written. Then a note in
//! the data directory says that a restore is under way; while it is there no gateway starts with
//! that directory. The database gets the dump in one transaction, the data directory its files, the
//! signing key last, and the note goes. A restore that ended in between is repeated from its
//! beginning: an empty database is filled, one that has this backup is left as it is.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::address::Address;
use crate::archive::{Contents, read};
use crate::create::installation;
use crate::database::{Database, Restore};
use crate::encryption::Opener;
use crate::error::BackupError;
use crate::kept::{Kept, private_directory, write_private};
use crate::manifest::Manifest;
use crate::progress::Progress;

/// Says in a data directory that a restore into it has not ended. Gateways look for it too.
const UNFINISHED: &str = "restore-unfinished";

/// The file of a backup.
pub struct Backup {
    path: PathBuf,
    file: File,
}

/// A backup whose content is what its manifest says.
pub struct Verified {
    backup: Backup,
    /// What the backup says about itself.
    pub manifest: Manifest,
    kept: Kept,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Files of signing keys that the gateway does not find by itself.
    pub signing_keys: Vec<PathBuf>,
}

impl Backup {
    /// Opens the file.
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let file = File::open(path).map_err(BackupError::file("open", path))?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
        })
    }

    /// Reads all of it, and refuses what is damaged, cut off or of a later version.
    pub fn verify(self, opener: &Opener, progress: Progress<'_>) -> Result<Verified, BackupError> {
        let source = opener.open(&self.file, &self.path)?;
        let mut sink = Passing::new(io::sink(), progress);
        let contents =
            read(source, &mut sink).map_err(|error| sink.stopped.take().unwrap_or(error))?;
        let Contents { manifest, files } = contents;
        manifest.readable_by(newest_migration())?;
        let kept = Kept::from_members(&files)?;
        if kept.key_ids() != manifest.signing_keys {
            return Err(BackupError::Damaged(
                "its signing keys are not those of the manifest".to_owned(),
            ));
        }
        Ok(Verified {
            backup: self,
            manifest,
            kept,
        })
    }
}

/// The newest migration that this program knows.
fn newest_migration() -> i64 {
    migrations::MIGRATOR
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or_default()
}

impl Verified {
    /// Refuses a data directory that the backup cannot go into.
    pub fn fits(&self, data_dir: &Path) -> Result<(), BackupError> {
        self.is_repeated(data_dir, &data_dir.join(UNFINISHED))
            .map(drop)
    }

    /// Restores the backup into an empty database and a data directory without other keys.
    pub fn restore(
        &self,
        address: &Address,
        data_dir: &Path,
        opener: &Opener,
        progress: Progress<'_>,
    ) -> Result<Restored, BackupError> {
        let note = data_dir.join(UNFINISHED);
        let is_repeated = self.is_repeated(data_dir, &note)?;
        let database = Database::new(address.clone())?;
        let objects = database.objects()?;
        if objects.is_empty() {
            private_directory(data_dir)?;
            let noted = write_private(&note, format!("{}\n", self.id()).as_bytes());
            noted.map_err(BackupError::file("write", &note))?;
            self.fill(&database, opener, progress)?;
        } else if !is_repeated || !self.is_in(&database)? {
            return Err(BackupError::NotEmpty(objects.join(", ")));
        }
        let signing_keys = self.kept.write(data_dir)?;
        fs::remove_file(&note).map_err(BackupError::file("remove", &note))?;
        Ok(Restored { signing_keys })
    }

    /// Whether a restore of this backup into the data directory was begun. Refuses a directory with
    /// other contents.
    fn is_repeated(&self, data_dir: &Path, note: &Path) -> Result<bool, BackupError> {
        let differing = self.kept.differing(data_dir)?;
        if !differing.is_empty() {
            return Err(BackupError::OtherFiles {
                directory: data_dir.to_path_buf(),
                files: differing.join(", "),
            });
        }
        match fs::read_to_string(note) {
            Ok(id) if id.trim() == self.id() => Ok(true),
            Ok(_) => Err(BackupError::OtherRestore(data_dir.to_path_buf())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(BackupError::file("read", note)(error)),
        }
    }

    /// What tells this backup from any other.
    fn id(&self) -> String {
        let text = serde_json::to_vec(&self.manifest).unwrap_or_default();
        HEXLOWER.encode(&Sha256::digest(text))
    }

    /// Whether the database has what the backup has.
    fn is_in(&self, database: &Database) -> Result<bool, BackupError> {
        if !database.look()?.is_gateways {
            return Ok(false);
        }
        let installed = database.installed()?;
        let is_same = installation(&installed).ok().as_ref() == Some(&self.manifest.installation);
        Ok(is_same && installed.migration == self.manifest.migration)
    }

    fn fill(
        &self,
        database: &Database,
        opener: &Opener,
        progress: Progress<'_>,
    ) -> Result<(), BackupError> {
        let source = opener.open(&self.backup.file, &self.backup.path)?;
        let restore = database.restore(self.manifest.dump_version)?;
        let mut passing = Passing::new(restore, progress);
        let contents = read(source, &mut passing);
        let Passing { inner, stopped, .. } = passing;
        let restore: Restore = inner;
        match (contents, stopped) {
            (Ok(contents), None) if contents.manifest == self.manifest => restore.finish()?,
            (contents, stopped) => {
                let read = contents.err().unwrap_or_else(|| {
                    BackupError::Damaged("it changed while it was restored".to_owned())
                });
                // When pg_restore ended by itself, what it said is the reason.
                return Err(restore.abandon().or(stopped).unwrap_or(read));
            }
        }
        if !self.is_in(database)? {
            return Err(BackupError::Answer(
                "it has not what was restored".to_owned(),
            ));
        }
        database.analyze();
        Ok(())
    }
}

/// Passes the dump on, and tells how much of it has passed.
struct Passing<'a, W> {
    inner: W,
    bytes: u64,
    progress: Progress<'a>,
    /// Why the one who hears of the progress wants no more.
    stopped: Option<BackupError>,
}

impl<'a, W: Write> Passing<'a, W> {
    fn new(inner: W, progress: Progress<'a>) -> Self {
        Self {
            inner,
            bytes: 0,
            progress,
            stopped: None,
        }
    }
}

impl<W: Write> Write for Passing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = (self.progress)(self.bytes) {
            let kind = error.kind();
            self.stopped = Some(BackupError::Stopped);
            return Err(kind.into());
        }
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

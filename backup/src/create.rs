//! Taking a backup.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use contract::pass::installation_id;
use data_encoding::HEXLOWER;
use time::{OffsetDateTime, UtcDateTime};

use crate::address::Address;
use crate::archive::ArchiveWriter;
use crate::database::{Database, Dump, Installed};
use crate::encryption::{Protection, buffered};
use crate::error::BackupError;
use crate::kept::Kept;
use crate::manifest::{FORMAT, Manifest};
use crate::name::{BackupName, outdated};
use crate::progress::Progress;

/// What is backed up.
pub struct Source {
    /// The database.
    pub address: Address,
    /// The data directory of a gateway.
    pub data_dir: PathBuf,
    /// Files of signing keys outside it.
    pub signing_keys: Vec<PathBuf>,
}

/// A backup that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The file.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// What it says about itself.
    pub manifest: Manifest,
    /// Older backups that were removed.
    pub removed: Vec<PathBuf>,
}

/// Takes a backup. `to` is a directory, or the name of a file that does not exist. With `keep`,
/// older backups of the same installation in that directory go, so that so many are left.
pub fn create(
    source: &Source,
    to: &Path,
    protection: &Protection,
    keep: Option<usize>,
    progress: Progress<'_>,
) -> Result<Created, BackupError> {
    let directory = if to.is_dir() {
        to
    } else if to.exists() {
        return Err(BackupError::Exists(to.to_path_buf()));
    } else {
        parent_of(to)
    };
    let database = Database::new(source.address.clone())?;
    let look = database.look()?;
    if !look.is_gateways {
        return Err(BackupError::NothingThere);
    }
    let earlier = Kept::read(&source.data_dir, &source.signing_keys)?;
    let mut unfinished = tempfile::Builder::new()
        .prefix(".ropeline-")
        .suffix(".partial")
        .tempfile_in(directory)
        .map_err(BackupError::file("write in", directory))?;
    let mut dump = database.dump(&look)?;
    let taken_at = UtcDateTime::from_unix_timestamp(dump.taken_at);
    let taken_at = taken_at.map_err(|error| BackupError::Answer(error.to_string()))?;
    let installation = installation(&dump.installed)?;
    let name = BackupName::new(&installation, taken_at, protection.is_encrypted());
    let file = if to.is_dir() {
        to.join(name.to_string())
    } else {
        to.to_path_buf()
    };
    let unwritten = || BackupError::file("write", &file);
    let handle = unfinished.as_file_mut().try_clone().map_err(unwritten())?;
    let sealed = protection.seal(buffered(handle)).map_err(unwritten())?;
    let modified = dump.taken_at.unsigned_abs();
    let mut archive = ArchiveWriter::begin(sealed, modified).map_err(unwritten())?;
    archive.database(&mut dump, progress).map_err(unwritten())?;
    let kept = Kept::read(&source.data_dir, &source.signing_keys)?.or_earlier(earlier);
    opens(&kept, &dump.installed)?;
    for (name, content) in kept.members() {
        archive.file(&name, content).map_err(unwritten())?;
    }
    let manifest = manifest(&dump, &kept, installation, taken_at, look.server_version);
    dump.finish()?;
    let (sealed, manifest) = archive.finish(manifest).map_err(unwritten())?;
    let buffered = sealed.finish().map_err(unwritten())?;
    let whole = buffered
        .into_inner()
        .map_err(io::IntoInnerError::into_error);
    let whole = whole.map_err(unwritten())?;
    let bytes = saved(&whole).map_err(unwritten())?;
    let persisted = unfinished.persist_noclobber(&file);
    persisted.map_err(|error| BackupError::file("write", &file)(error.error))?;
    if let Ok(directory) = File::open(directory) {
        directory.sync_all().map_err(unwritten())?;
    }
    let removed = match keep {
        Some(keep) => remove_outdated(directory, &name, keep)?,
        None => Vec::new(),
    };
    Ok(Created {
        file,
        bytes,
        manifest,
        removed,
    })
}

fn saved(file: &File) -> io::Result<u64> {
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

fn parent_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The id of the installation that a database has.
pub(crate) fn installation(installed: &Installed) -> Result<String, BackupError> {
    let first = installed
        .ticket_keys
        .first()
        .ok_or(BackupError::NothingThere)?;
    let public = HEXLOWER.decode(first.as_bytes()).ok();
    let public = public.and_then(|public| <[u8; 32]>::try_from(public).ok());
    let public = public.ok_or_else(|| BackupError::Answer(format!("`{first}` is no key")))?;
    Ok(installation_id(&public))
}

/// Refuses keys of which none opens what the database has sealed.
fn opens(kept: &Kept, installed: &Installed) -> Result<(), BackupError> {
    let ours = kept.key_ids();
    if ours.iter().any(|key| installed.sealed_for.contains(key)) {
        return Ok(());
    }
    Err(BackupError::KeysMissing {
        ours: if ours.is_empty() {
            "none".to_owned()
        } else {
            ours.join(", ")
        },
        theirs: installed.sealed_for.join(", "),
    })
}

fn manifest(
    dump: &Dump,
    kept: &Kept,
    installation: String,
    taken_at: UtcDateTime,
    server_version: u32,
) -> Manifest {
    Manifest {
        format: FORMAT,
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        taken_at: OffsetDateTime::from(taken_at),
        installation,
        migration: dump.installed.migration,
        server_version,
        dump_version: dump.version,
        signing_keys: kept.key_ids(),
        members: std::collections::BTreeMap::new(),
    }
}

fn remove_outdated(
    directory: &Path,
    newest: &BackupName,
    keep: usize,
) -> Result<Vec<PathBuf>, BackupError> {
    let entries = fs::read_dir(directory).map_err(BackupError::file("list", directory))?;
    let files: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let outdated = outdated(files.iter().map(String::as_str), newest, keep);
    let paths: Vec<PathBuf> = outdated
        .iter()
        .map(|name| directory.join(name.to_string()))
        .collect();
    for path in &paths {
        fs::remove_file(path).map_err(BackupError::file("remove", path))?;
    }
    Ok(paths)
}

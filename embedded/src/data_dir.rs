//! The directory that holds the servers' data.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use nix::unistd::Gid;

use crate::account::Account;
use crate::error::StartError;
use crate::secret;

/// Where servers' data goes when the account cannot enter the data directory.
const SYSTEM_PLACE: &str = "/var/lib/ropeline";
/// File in the data directory that names the place the data went to.
const POINTER: &str = "servers-location";
/// File in the data directory that is locked while servers run.
pub(crate) const LOCK: &str = "servers.lock";

/// A claimed data directory: as long as this lives, no other process starts servers there.
#[derive(Debug)]
pub(crate) struct DataDir {
    /// Passwords, pid files, logs: read and written by us only.
    own: PathBuf,
    /// The servers' directories, each owned by `account`.
    place: PathBuf,
    account: Account,
    _claim: Claim,
}

impl DataDir {
    /// Creates the directory where needed and claims it.
    pub(crate) fn claim(path: &Path) -> Result<DataDir, StartError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(StartError::file("create", path))?;
        let own = path
            .canonicalize()
            .map_err(StartError::file("resolve", path))?;
        let claim = claim_file(&own)?;
        let pointed = read_pointer(&own)?;
        let account = Account::choose(existing_data(pointed.as_deref().unwrap_or(&own)).as_ref())?;
        let place = match pointed {
            Some(place) => place,
            None => choose_place(&own, account)?,
        };
        Ok(DataDir {
            own,
            place,
            account,
            _claim: claim,
        })
    }

    pub(crate) fn account(&self) -> Account {
        self.account
    }

    /// A file only we read and write.
    pub(crate) fn own_file(&self, name: &str) -> PathBuf {
        self.own.join(name)
    }

    /// The directory of one server, owned by the account it runs as.
    pub(crate) fn server_dir(&self, name: &str) -> Result<PathBuf, StartError> {
        let dir = self.place.join(name);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(StartError::file("create", &dir))?;
        self.account.own(&dir)?;
        Ok(dir)
    }

    /// Removes data that went elsewhere; the data directory itself belongs to the caller.
    pub(crate) fn discard_elsewhere(&self) {
        if self.place != self.own
            && let Err(error) = fs::remove_dir_all(&self.place)
        {
            tracing::warn!(place = %self.place.display(), %error, "could not remove throw-away data");
        }
    }
}

/// The lock of a data directory. It is given up explicitly: closing the file is not enough while a
/// process that was forked a moment ago has not yet executed its program and still shares it.
#[derive(Debug)]
struct Claim(File);

impl Drop for Claim {
    fn drop(&mut self) {
        // The file is closed next, which gives it up too.
        let _closed_next = self.0.unlock();
    }
}

fn claim_file(own: &Path) -> Result<Claim, StartError> {
    let path = own.join(LOCK);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(StartError::file("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(Claim(file)),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse {
            data_dir: own.to_path_buf(),
        }),
        Err(TryLockError::Error(error)) => Err(StartError::file("lock", &path)(error)),
    }
}

/// The owner of data that is already there decides who runs the servers.
fn existing_data(place: &Path) -> Option<fs::Metadata> {
    ["postgres", "redis"]
        .iter()
        .find_map(|name| fs::metadata(place.join(name)).ok())
}

/// The place that the servers' data went to, if that is not the data directory.
pub(crate) fn read_pointer(own: &Path) -> Result<Option<PathBuf>, StartError> {
    let pointer = own.join(POINTER);
    match fs::read_to_string(&pointer) {
        Ok(text) => {
            let place = PathBuf::from(text.trim());
            if place.is_absolute() && place.is_dir() {
                Ok(Some(place))
            } else {
                Err(StartError::Damaged { path: pointer })
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StartError::file("read", &pointer)(error)),
    }
}

/// The data directory itself, or a place elsewhere when the account cannot enter it.
fn choose_place(own: &Path, account: Account) -> Result<PathBuf, StartError> {
    open_to_group(own, account)?;
    let blocked = own.ancestors().find(|directory| {
        !fs::metadata(directory).is_ok_and(|metadata| account.may_enter(&metadata))
    });
    let Some(blocked) = blocked else {
        return Ok(own.to_path_buf());
    };
    let place = Path::new(SYSTEM_PLACE).join(secret::random_hex(8)?);
    DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(&place)
        .map_err(StartError::file("create", &place))?;
    secret::write_private(&own.join(POINTER), &place.display().to_string())?;
    tracing::warn!(
        data_dir = %own.display(),
        blocked_by = %blocked.display(),
        place = %place.display(),
        "the servers' data goes elsewhere: the account they run as cannot enter the data directory"
    );
    Ok(place)
}

/// Lets the account's group pass through a data directory that only root may enter, without letting it list or read anything.
fn open_to_group(own: &Path, account: Account) -> Result<(), StartError> {
    let Account::Other { gid, .. } = account else {
        return Ok(());
    };
    let metadata = fs::metadata(own).map_err(StartError::file("read", own))?;
    if metadata.uid() != 0 || metadata.mode() & 0o077 != 0 {
        return Ok(());
    }
    nix::unistd::chown(own, None, Some(Gid::from_raw(gid)))
        .map_err(|errno| StartError::file("change the group of", own)(errno.into()))?;
    fs::set_permissions(own, fs::Permissions::from_mode(0o710))
        .map_err(StartError::file("change the mode of", own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_claim_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::claim(dir.path()).unwrap();

        let refused = DataDir::claim(dir.path()).unwrap_err();

        assert!(matches!(refused, StartError::InUse { .. }));
        assert!(refused.to_string().contains("in use by another process"));
        drop(first);
        DataDir::claim(dir.path()).unwrap();
    }

    #[test]
    fn data_behind_a_closed_directory_goes_elsewhere_and_is_found_again() {
        if !nix::unistd::geteuid().is_root() {
            return; // Only root runs servers as another account.
        }
        let dir = tempfile::tempdir().unwrap();
        let closed = dir.path().join("closed");
        DirBuilder::new().mode(0o700).create(&closed).unwrap();
        let data_dir = closed.join("data");

        let first = DataDir::claim(&data_dir).unwrap();
        let place = first.place.clone();
        drop(first);
        let again = DataDir::claim(&data_dir).unwrap();

        assert!(place.starts_with(SYSTEM_PLACE));
        assert_eq!(again.place, place);
        fs::remove_dir_all(place).unwrap();
    }
}

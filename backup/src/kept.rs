//! The files of a data directory that a backup keeps, and how they come back.
//!
//! They are read before the dump begins and after it has ended: a key that came or went while the
//! dump ran is in one of the two, so whichever keys the dump is sealed for, those that were there are
//! in the backup.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use contract::pass::PassKey;

use crate::archive::{FILES, SIGNING_KEYS};
use crate::error::BackupError;

/// The signing key that a gateway generates and looks for.
pub(crate) const SIGNING_KEY: &str = "signing-key.pem";
/// What a data directory has of an installation, in the order in which it is restored: a directory
/// without the signing key is not taken for a whole one.
const NAMES: [&str; 4] = [
    "payment-secret",
    "payment-webhook-secret",
    "admin-token",
    SIGNING_KEY,
];
/// Where signing keys beside that one are restored to.
const OTHER_KEYS: &str = "signing-keys";

/// Files of an installation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Files of the data directory, by name.
    files: BTreeMap<String, Vec<u8>>,
    /// Signing keys as PEM, by id.
    keys: BTreeMap<String, Vec<u8>>,
}

impl Kept {
    /// Reads what is there: the files of the data directory, and the signing keys that are
    /// configured.
    pub(crate) fn read(data_dir: &Path, signing_keys: &[PathBuf]) -> Result<Self, BackupError> {
        let mut kept = Self::default();
        for name in NAMES {
            let path = data_dir.join(name);
            if let Some(content) = read_if_there(&path)? {
                if name == SIGNING_KEY {
                    kept.keys.insert(key_id(&content, &path)?, content.clone());
                }
                kept.files.insert(name.to_owned(), content);
            }
        }
        for path in signing_keys {
            let content = fs::read(path).map_err(BackupError::file("read", path))?;
            kept.keys.insert(key_id(&content, path)?, content);
        }
        Ok(kept)
    }

    /// Adds what was there earlier and is not any more.
    pub(crate) fn or_earlier(mut self, earlier: Self) -> Self {
        for (name, content) in earlier.files {
            self.files.entry(name).or_insert(content);
        }
        for (id, key) in earlier.keys {
            self.keys.entry(id).or_insert(key);
        }
        self
    }

    /// What a backup has of them, by the names of its members.
    pub(crate) fn from_members(members: &BTreeMap<String, Vec<u8>>) -> Result<Self, BackupError> {
        let mut kept = Self::default();
        for (name, content) in members {
            if let Some(file) = name.strip_prefix(FILES) {
                if !NAMES.contains(&file) {
                    return Err(BackupError::Damaged(format!(
                        "`{name}` is not expected there"
                    )));
                }
                kept.files.insert(file.to_owned(), content.clone());
            } else if let Some(file) = name.strip_prefix(SIGNING_KEYS) {
                let id = key_id(content, Path::new(name))?;
                if file != format!("{id}.pem") {
                    return Err(BackupError::Damaged(format!("`{name}` is the key {id}")));
                }
                kept.keys.insert(id, content.clone());
            }
        }
        Ok(kept)
    }

    /// The names and contents of the members of a backup.
    pub(crate) fn members(&self) -> impl Iterator<Item = (String, &[u8])> {
        let files = self.files.iter();
        let files = files.map(|(name, content)| (format!("{FILES}{name}"), &**content));
        let keys = self.keys.iter();
        files.chain(keys.map(|(id, pem)| (format!("{SIGNING_KEYS}{id}.pem"), &**pem)))
    }

    /// Ids of the signing keys.
    pub(crate) fn key_ids(&self) -> Vec<String> {
        self.keys.keys().cloned().collect()
    }

    /// Names of files in the data directory that have another content than these.
    pub(crate) fn differing(&self, data_dir: &Path) -> Result<Vec<String>, BackupError> {
        let mut differing = Vec::new();
        for (path, content) in self.places(data_dir) {
            let present = read_if_there(&path)?;
            if present.is_some_and(|present| present.trim_ascii() != content.trim_ascii()) {
                let name = path.strip_prefix(data_dir).unwrap_or(&path);
                differing.push(name.display().to_string());
            }
        }
        // A gateway would take this key, which may be none of the backup's, for the one it has.
        if !self.files.contains_key(SIGNING_KEY)
            && let Some(content) = read_if_there(&data_dir.join(SIGNING_KEY))?
            && !self
                .keys
                .contains_key(&key_id(&content, &data_dir.join(SIGNING_KEY))?)
        {
            differing.push(SIGNING_KEY.to_owned());
        }
        Ok(differing)
    }

    /// Writes the files. Returns those of signing keys that the gateway has to be told of.
    pub(crate) fn write(&self, data_dir: &Path) -> Result<Vec<PathBuf>, BackupError> {
        for (path, content) in self.places(data_dir) {
            if let Some(parent) = path.parent() {
                private_directory(parent)?;
            }
            write_private(&path, content).map_err(BackupError::file("write", &path))?;
        }
        if let Ok(directory) = File::open(data_dir) {
            directory
                .sync_all()
                .map_err(BackupError::file("save", data_dir))?;
        }
        Ok(self.other_keys(data_dir).map(|(path, _)| path).collect())
    }

    /// Where each file goes, the signing key last.
    fn places<'a>(&'a self, data_dir: &'a Path) -> impl Iterator<Item = (PathBuf, &'a [u8])> {
        let own = NAMES.iter().filter_map(move |name| {
            let content = self.files.get(*name)?;
            Some((data_dir.join(name), &**content))
        });
        self.other_keys(data_dir).chain(own)
    }

    fn other_keys<'a>(&'a self, data_dir: &'a Path) -> impl Iterator<Item = (PathBuf, &'a [u8])> {
        let generated = self.files.get(SIGNING_KEY);
        let others = self
            .keys
            .iter()
            .filter(move |(_, pem)| Some(*pem) != generated);
        others.map(move |(id, pem)| {
            let file = data_dir.join(OTHER_KEYS).join(format!("{id}.pem"));
            (file, &**pem)
        })
    }
}

fn key_id(pem: &[u8], path: &Path) -> Result<String, BackupError> {
    let key = PassKey::from_pem(&String::from_utf8_lossy(pem));
    let key = key.map_err(|_| BackupError::NoKey(path.to_path_buf()))?;
    Ok(key.kid().to_owned())
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, BackupError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(BackupError::file("read", path)(error)),
    }
}

/// Makes a directory as gateways make their data directory: other users may pass through it.
pub(crate) fn private_directory(path: &Path) -> Result<(), BackupError> {
    let made = DirBuilder::new().recursive(true).mode(0o711).create(path);
    made.map_err(BackupError::file("create", path))
}

/// Writes a file that its owner alone can read, whole or not at all.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("restoring");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn pem(seed: u8) -> Vec<u8> {
        let key = PassKey::from_seed([seed; 32]).unwrap();
        key.to_pem().unwrap().into_bytes()
    }

    fn directory(seed: u8) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(SIGNING_KEY), pem(seed)).unwrap();
        fs::write(dir.path().join("admin-token"), "token\n").unwrap();
        fs::write(dir.path().join("admin.json"), "{}").unwrap();
        dir
    }

    fn members(kept: &Kept) -> BTreeMap<String, Vec<u8>> {
        let members = kept.members();
        members
            .map(|(name, content)| (name, content.to_vec()))
            .collect()
    }

    #[test]
    fn files_come_back_as_they_were_and_for_their_owner_alone() {
        let dir = directory(1);
        let kept = Kept::read(dir.path(), &[]).unwrap();
        let read = Kept::from_members(&members(&kept)).unwrap();
        assert_eq!(read, kept);
        let empty = tempfile::tempdir().unwrap();
        let to = empty.path().join("data");
        assert_eq!(read.differing(&to).unwrap(), Vec::<String>::new());
        assert_eq!(read.write(&to).unwrap(), Vec::<PathBuf>::new());
        assert_eq!(Kept::read(&to, &[]).unwrap(), kept);
        assert!(
            !to.join("admin.json").exists(),
            "it tells where the old gateway listened"
        );
        let mode = fs::metadata(to.join(SIGNING_KEY))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        // Again, and beside itself: nothing differs.
        assert_eq!(read.differing(&to).unwrap(), Vec::<String>::new());
        read.write(&to).unwrap();
    }

    #[test]
    fn keys_that_come_or_go_during_the_dump_are_kept_both() {
        let dir = directory(1);
        let before = Kept::read(dir.path(), &[]).unwrap();
        fs::write(dir.path().join(SIGNING_KEY), pem(2)).unwrap();
        fs::remove_file(dir.path().join("admin-token")).unwrap();
        let after = Kept::read(dir.path(), &[]).unwrap();
        let kept = after.or_earlier(before);
        assert_eq!(kept.key_ids().len(), 2);
        assert_eq!(
            kept.files[SIGNING_KEY],
            pem(2),
            "the newer one is the gateway's"
        );
        assert_eq!(kept.files["admin-token"], b"token\n");
        let empty = tempfile::tempdir().unwrap();
        let told = kept.write(empty.path()).unwrap();
        assert_eq!(fs::read(&told[0]).unwrap(), pem(1));
    }

    #[test]
    fn a_directory_with_other_contents_is_told_apart() {
        let kept = Kept::read(directory(1).path(), &[]).unwrap();
        let other = directory(2);
        assert_eq!(kept.differing(other.path()).unwrap(), [SIGNING_KEY]);
        fs::write(other.path().join("admin-token"), "another\n").unwrap();
        let differing = kept.differing(other.path()).unwrap();
        assert_eq!(differing, ["admin-token", SIGNING_KEY]);
    }

    #[test]
    fn configured_keys_are_kept_and_a_generated_one_beside_them_is_not_taken_for_one() {
        let keys = directory(3);
        let configured = [keys.path().join(SIGNING_KEY)];
        let without = tempfile::tempdir().unwrap();
        let kept = Kept::read(without.path(), &configured).unwrap();
        assert_eq!(kept.key_ids().len(), 1);
        let differing = kept.differing(directory(4).path()).unwrap();
        assert_eq!(differing, [SIGNING_KEY]);
        assert!(kept.differing(directory(3).path()).unwrap().is_empty());
        let told = kept.write(without.path()).unwrap();
        assert_eq!(told.len(), 1);
        assert!(!without.path().join(SIGNING_KEY).exists());
    }

    #[test]
    fn a_key_under_another_name_is_damage() {
        let kept = Kept::read(directory(1).path(), &[]).unwrap();
        let mut members = members(&kept);
        members.insert(format!("{SIGNING_KEYS}0011223344556677.pem"), pem(2));
        assert!(Kept::from_members(&members).is_err());
    }
}

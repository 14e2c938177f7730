//! The archive inside a backup: a tar file whose members come in one order, each held against its
//! size and digest.
//!
//! First comes a line with the format, so that a reader of another version stops before it
//! misunderstands anything. The dump comes in parts, because tar wants to know sizes beforehand and
//! nobody knows that of a dump. The manifest comes last, so an archive without one is cut off.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::error::BackupError;
use crate::manifest::{DATABASE, FORMAT, Manifest, Member};
use crate::progress::Progress;

/// The first member, so that a tar file begins with this text.
pub(crate) const HEAD: &str = "ropeline-backup";
/// The last member.
const MANIFEST: &str = "manifest.json";
/// Where the parts of the dump are.
const PARTS: &str = "database/";
/// Where the kept files are.
pub(crate) const FILES: &str = "files/";
/// Where the signing keys are, by their ids.
pub(crate) const SIGNING_KEYS: &str = "signing-keys/";
/// How much of the dump is in memory at once.
const PART_BYTES: usize = 1 << 20;
/// A kept file, or the manifest, is not as large as that.
const SMALL_BYTES_MAX: u64 = 1 << 20;
const BLOCK_BYTES: u64 = 512;
/// What tar ends with.
const TRAILER_BYTES: u64 = 2 * BLOCK_BYTES;

/// Writes an archive.
pub(crate) struct ArchiveWriter<W: Write> {
    tar: tar::Builder<W>,
    members: BTreeMap<String, Member>,
    modified: u64,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins an archive. `modified` is the time that extracted files get, in seconds.
    pub(crate) fn begin(out: W, modified: u64) -> io::Result<Self> {
        let mut writer = Self {
            tar: tar::Builder::new(out),
            members: BTreeMap::new(),
            modified,
        };
        writer.append(HEAD, format!("{HEAD} {FORMAT}\n").as_bytes())?;
        Ok(writer)
    }

    /// Adds the dump. `progress` hears how many bytes there are so far.
    pub(crate) fn database(
        &mut self,
        mut dump: impl Read,
        progress: Progress<'_>,
    ) -> io::Result<()> {
        let mut digest = Sha256::new();
        let mut bytes = 0;
        for index in 0.. {
            let mut part = Vec::new();
            (&mut dump).take(PART_BYTES as u64).read_to_end(&mut part)?;
            if part.is_empty() {
                break;
            }
            digest.update(&part);
            bytes += part.len() as u64;
            self.append(&part_name(index), &part)?;
            progress(bytes)?;
        }
        self.members
            .insert(DATABASE.to_owned(), member(bytes, digest));
        Ok(())
    }

    /// Adds a small file.
    pub(crate) fn file(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.append(name, content)?;
        let digest = Sha256::new_with_prefix(content);
        let member = member(content.len() as u64, digest);
        self.members.insert(name.to_owned(), member);
        Ok(())
    }

    /// Adds the manifest, whose members are filled in, and the end.
    pub(crate) fn finish(mut self, mut manifest: Manifest) -> io::Result<(W, Manifest)> {
        manifest.members = std::mem::take(&mut self.members);
        let text = serde_json::to_vec_pretty(&manifest)?;
        self.append(MANIFEST, &text)?;
        Ok((self.tar.into_inner()?, manifest))
    }

    fn append(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o600);
        header.set_mtime(self.modified);
        header.set_size(content.len() as u64);
        self.tar.append_data(&mut header, name, content)
    }
}

/// What is in an archive.
pub(crate) struct Contents {
    /// What it says about itself.
    pub(crate) manifest: Manifest,
    /// The small files, by name.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

/// Reads an archive to its last byte and holds it against its manifest. The dump goes to `dump` on
/// the way, before it is known whether the archive is whole.
pub(crate) fn read(source: impl Read, mut dump: impl Write) -> Result<Contents, BackupError> {
    let mut source = Counting {
        inner: source,
        bytes: 0,
    };
    let mut reading = Reading::default();
    let mut archive = tar::Archive::new(&mut source);
    let mut end = 0;
    for entry in archive.entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let size = entry.size();
        end = entry.raw_file_position() + size.next_multiple_of(BLOCK_BYTES);
        reading.entry(entry, &mut dump)?;
    }
    let mut rest = Vec::new();
    (&mut source)
        .take(TRAILER_BYTES + 1)
        .read_to_end(&mut rest)
        .map_err(damaged)?;
    if source.bytes != end + TRAILER_BYTES || rest.iter().any(|byte| *byte != 0) {
        return Err(BackupError::Damaged(
            "its end is missing or has something added".to_owned(),
        ));
    }
    reading.contents()
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    has_head: bool,
    parts: u32,
    dump_bytes: u64,
    dump_digest: Sha256,
    files: BTreeMap<String, Vec<u8>>,
    manifest: Option<Manifest>,
}

impl Reading {
    fn entry(
        &mut self,
        mut entry: tar::Entry<'_, impl Read>,
        dump: &mut impl Write,
    ) -> Result<(), BackupError> {
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !self.has_head {
            return self.head(&name, entry);
        }
        let unexpected = || BackupError::Damaged(format!("`{name}` is not expected there"));
        if self.manifest.is_some() || entry.header().entry_type() != tar::EntryType::Regular {
            return Err(unexpected());
        }
        if name.starts_with(PARTS) {
            if name != part_name(self.parts) || entry.size() > PART_BYTES as u64 {
                return Err(unexpected());
            }
            self.parts += 1;
            let part = small(&mut entry, &name)?;
            self.dump_digest.update(&part);
            self.dump_bytes += part.len() as u64;
            return dump.write_all(&part).map_err(|error| BackupError::Failed {
                program: "pg_restore",
                said: error.to_string(),
            });
        }
        let content = small(&mut entry, &name)?;
        if name == MANIFEST {
            let manifest = serde_json::from_slice(&content);
            self.manifest = Some(manifest.map_err(|error| damaged(error.into()))?);
            return Ok(());
        }
        let is_kept = [FILES, SIGNING_KEYS]
            .iter()
            .any(|place| name.strip_prefix(place).is_some_and(is_plain_name));
        if !is_kept || self.files.insert(name.clone(), content).is_some() {
            return Err(unexpected());
        }
        Ok(())
    }

    fn head(
        &mut self,
        name: &str,
        mut entry: tar::Entry<'_, impl Read>,
    ) -> Result<(), BackupError> {
        let content = small(&mut entry, name)?;
        let text = String::from_utf8_lossy(&content);
        let format = text
            .strip_prefix(HEAD)
            .and_then(|rest| rest.trim().parse().ok());
        match format {
            Some(FORMAT) if name == HEAD => {
                self.has_head = true;
                Ok(())
            }
            Some(newer) if name == HEAD && newer > FORMAT => Err(BackupError::NewerFormat(newer)),
            _ => Err(BackupError::Damaged(
                "it does not begin as a backup does".to_owned(),
            )),
        }
    }

    fn contents(self) -> Result<Contents, BackupError> {
        let cut = || BackupError::Damaged("it has no manifest".to_owned());
        let manifest = self.manifest.ok_or_else(cut)?;
        let mut members: BTreeMap<String, Member> = self
            .files
            .iter()
            .map(|(name, content)| {
                let digest = Sha256::new_with_prefix(content);
                (name.clone(), member(content.len() as u64, digest))
            })
            .collect();
        members.insert(
            DATABASE.to_owned(),
            member(self.dump_bytes, self.dump_digest),
        );
        if members != manifest.members {
            let names: Vec<&str> = members
                .iter()
                .filter(|(name, member)| manifest.members.get(*name) != Some(member))
                .map(|(name, _)| &**name)
                .chain(
                    manifest
                        .members
                        .keys()
                        .filter(|name| !members.contains_key(*name))
                        .map(|name| &**name),
                )
                .collect();
            let names = names.join(", ");
            return Err(BackupError::Damaged(format!(
                "{names}: not what the manifest says"
            )));
        }
        Ok(Contents {
            manifest,
            files: self.files,
        })
    }
}

fn small(entry: &mut impl Read, name: &str) -> Result<Vec<u8>, BackupError> {
    let mut content = Vec::new();
    entry
        .take(SMALL_BYTES_MAX + 1)
        .read_to_end(&mut content)
        .map_err(damaged)?;
    if content.len() as u64 > SMALL_BYTES_MAX {
        return Err(BackupError::Damaged(format!("`{name}` is too large")));
    }
    Ok(content)
}

/// Whether a file of this name is below its directory wherever it is written.
fn is_plain_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(is_plain)
}

fn part_name(index: u32) -> String {
    format!("{PARTS}{index:08}")
}

fn member(bytes: u64, digest: Sha256) -> Member {
    Member {
        bytes,
        sha256: HEXLOWER.encode(&digest.finalize()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn damaged(error: io::Error) -> BackupError {
    BackupError::Damaged(error.to_string())
}

/// Counts what is read.
struct Counting<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encryption::{Opener, Protection, buffered};
    use crate::manifest::tests::manifest;
    use proptest::prelude::*;
    use std::fs;
    use std::io::Seek as _;
    use std::path::Path;

    /// More than a part, and no multiple of a block.
    fn dump() -> Vec<u8> {
        (0..=250).cycle().take(PART_BYTES + 777).collect()
    }

    fn archive(dump: &[u8]) -> Vec<u8> {
        let mut writer = ArchiveWriter::begin(Vec::new(), 1_790_000_000).unwrap();
        writer.database(dump, &mut |_| Ok(())).unwrap();
        writer.file("files/admin-token", b"token\n").unwrap();
        writer
            .file("signing-keys/0011223344556677.pem", b"pem")
            .unwrap();
        writer.finish(manifest()).unwrap().0
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        for bytes in [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1] {
            let dump = &dump()[..bytes.min(PART_BYTES)];
            let mut read_dump = Vec::new();
            let contents = read(&*archive(dump), &mut read_dump).unwrap();
            assert_eq!(read_dump, dump);
            assert_eq!(contents.files["files/admin-token"], b"token\n");
            assert_eq!(contents.files.len(), 2);
            assert_eq!(contents.manifest.members.len(), 3);
            assert_eq!(contents.manifest.database_bytes(), dump.len() as u64);
        }
    }

    #[test]
    fn a_dump_of_many_parts_is_read_whole() {
        let dump = dump();
        let mut read_dump = Vec::new();
        read(&*archive(&dump), &mut read_dump).unwrap();
        assert!(read_dump == dump);
    }

    #[test]
    fn an_archive_that_ends_early_or_late_is_refused() {
        let whole = archive(b"dump");
        for end in 0..whole.len() {
            assert!(
                read(&whole[..end], io::sink()).is_err(),
                "cut at {end} of {}",
                whole.len()
            );
        }
        let longer = [&*whole, &[0; 512]].concat();
        assert!(read(&*longer, io::sink()).is_err());
    }

    #[test]
    fn a_flipped_bit_is_refused_or_changes_nothing() {
        let whole = archive(b"dump");
        let expected = read(&*whole, io::sink()).unwrap();
        let mut refused = 0;
        for index in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[index] ^= 1 << (index % 8);
            let mut dump = Vec::new();
            match read(&*flipped, &mut dump) {
                Err(_) => refused += 1,
                Ok(contents) => {
                    assert_eq!(dump, b"dump", "byte {index}");
                    assert_eq!(contents.files, expected.files, "byte {index}");
                    assert_eq!(contents.manifest.members, expected.manifest.members);
                }
            }
        }
        // Every byte of a header and of a member counts; the rest fills blocks.
        assert!(refused > 5 * 300, "{refused}");
    }

    #[test]
    fn members_that_are_missing_added_or_swapped_are_refused() {
        let with = |write: &dyn Fn(&mut ArchiveWriter<Vec<u8>>)| {
            let mut writer = ArchiveWriter::begin(Vec::new(), 0).unwrap();
            writer.database(io::empty(), &mut |_| Ok(())).unwrap();
            write(&mut writer);
            let whole = writer.finish(manifest()).unwrap().0;
            read(&*whole, io::sink()).map(|contents| contents.files.len())
        };
        assert_eq!(with(&|it| it.file("files/a", b"1").unwrap()).unwrap(), 1);
        let without_entry = |it: &mut ArchiveWriter<Vec<u8>>| it.append("files/a", b"1").unwrap();
        assert!(
            with(&without_entry).is_err(),
            "the manifest does not know it"
        );
        let added = |it: &mut ArchiveWriter<Vec<u8>>| {
            it.file("files/a", b"1").unwrap();
            it.members
                .insert("files/b".to_owned(), it.members["files/a"].clone());
        };
        assert!(with(&added).is_err(), "the manifest knows more");
        let swapped = |it: &mut ArchiveWriter<Vec<u8>>| {
            it.append("database/00000001", b"2").unwrap();
            it.append("database/00000000", b"1").unwrap();
        };
        assert!(with(&swapped).is_err());
        for name in [
            "files/.hidden",
            "files/a/b",
            "elsewhere",
            "files/",
            "ropeline-backup",
        ] {
            assert!(with(&|it| it.file(name, b"1").unwrap()).is_err(), "{name}");
        }
    }

    #[test]
    fn an_archive_of_a_later_format_is_named_as_such() {
        let mut writer = ArchiveWriter::begin(Vec::new(), 0).unwrap();
        writer.tar = tar::Builder::new(Vec::new());
        writer.append(HEAD, b"ropeline-backup 2\n").unwrap();
        let whole = writer.finish(manifest()).unwrap().0;
        let refused = read(&*whole, io::sink()).err().unwrap();
        assert!(matches!(refused, BackupError::NewerFormat(2)), "{refused}");
    }

    /// An archive in a file, encrypted for the identity that is written beside it.
    fn encrypted(directory: &Path) -> (fs::File, Opener) {
        let identity = age::x25519::Identity::generate();
        let key = directory.join("identity");
        fs::write(
            &key,
            age::secrecy::ExposeSecret::expose_secret(&identity.to_string()),
        )
        .unwrap();
        let protection = Protection::recipients(&[identity.to_public().to_string()]).unwrap();
        let file = tempfile::tempfile_in(directory).unwrap();
        let mut sealed = protection.seal(buffered(file)).unwrap();
        // More than one chunk of age.
        sealed.write_all(&archive(&dump()[..100_000])).unwrap();
        let mut opener = Opener::default();
        opener.identities_in(&key).unwrap();
        (sealed.finish().unwrap().into_inner().unwrap(), opener)
    }

    fn read_file(file: &fs::File, opener: &Opener) -> Result<Contents, BackupError> {
        read(opener.open(file, Path::new("backup"))?, io::sink())
    }

    #[test]
    fn only_what_it_was_encrypted_for_opens_a_backup() {
        let directory = tempfile::tempdir().unwrap();
        let (file, opener) = encrypted(directory.path());
        read_file(&file, &opener).unwrap();
        let (_, other) = encrypted(directory.path());
        let refused = read_file(&file, &other).err().unwrap();
        assert!(
            matches!(refused, BackupError::WrongKey("identity")),
            "{refused}"
        );
        let refused = read_file(&file, &Opener::default()).err().unwrap();
        assert!(matches!(refused, BackupError::Locked(_)), "{refused}");
    }

    #[test]
    fn a_passphrase_opens_what_it_closed() {
        let directory = tempfile::tempdir().unwrap();
        let passphrase = directory.path().join("passphrase");
        fs::write(&passphrase, "short\n").unwrap();
        assert!(Protection::passphrase_in(&passphrase).is_err());
        fs::write(&passphrase, "correct horse battery\n").unwrap();
        let protection = Protection::passphrase_in(&passphrase).unwrap();
        let file = tempfile::tempfile_in(directory.path()).unwrap();
        let mut sealed = protection.seal(buffered(file)).unwrap();
        sealed.write_all(&archive(b"dump")).unwrap();
        let file = sealed.finish().unwrap().into_inner().unwrap();
        let mut opener = Opener::default();
        opener.passphrase_in(&passphrase).unwrap();
        read_file(&file, &opener).unwrap();
        fs::write(&passphrase, "correct horse batteries").unwrap();
        opener.passphrase_in(&passphrase).unwrap();
        let refused = read_file(&file, &opener).err().unwrap();
        assert!(
            matches!(refused, BackupError::WrongKey("passphrase")),
            "{refused}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn damage_anywhere_in_an_encrypted_backup_is_refused(place: prop::sample::Index, cut: bool) {
            let directory = tempfile::tempdir().unwrap();
            let (mut file, opener) = encrypted(directory.path());
            file.rewind().unwrap();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            let index = place.index(bytes.len());
            if cut {
                bytes.truncate(index);
            } else {
                bytes[index] ^= 0x10;
            }
            let damaged = directory.path().join("damaged");
            fs::write(&damaged, bytes).unwrap();
            prop_assert!(read_file(&fs::File::open(&damaged).unwrap(), &opener).is_err());
        }
    }
}

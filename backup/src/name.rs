//! Names of backup files, and which of them are old enough to go.

use std::collections::BTreeSet;
use std::fmt;

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{PrimitiveDateTime, UtcDateTime};

/// UTC, so that names sort by time.
const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");
/// How much of the id of an installation is in the name.
const INSTALLATION_CHARS: usize = 8;
const PREFIX: &str = "ropeline-";

/// The name of a backup: `ropeline-0011aabb-20261201T041500Z.tar.age`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BackupName {
    /// The beginning of the id of the installation.
    installation: String,
    /// When the backup was taken.
    taken_at: PrimitiveDateTime,
    /// Whether the file is encrypted.
    encrypted: bool,
}

impl BackupName {
    /// The name of a backup of this installation, whose id is in hexadecimal.
    pub(crate) fn new(installation: &str, taken_at: UtcDateTime, encrypted: bool) -> Self {
        let whole = taken_at.truncate_to_second();
        Self {
            installation: installation.chars().take(INSTALLATION_CHARS).collect(),
            taken_at: PrimitiveDateTime::new(whole.date(), whole.time()),
            encrypted,
        }
    }

    /// The name that a file has, if it is that of a backup.
    pub(crate) fn parse(file: &str) -> Option<Self> {
        let (stem, encrypted) = match file.strip_suffix(".tar.age") {
            Some(stem) => (stem, true),
            None => (file.strip_suffix(".tar")?, false),
        };
        let (installation, time) = stem.strip_prefix(PREFIX)?.split_once('-')?;
        let is_id = installation.len() == INSTALLATION_CHARS
            && installation
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let name = Self {
            installation: is_id.then(|| installation.to_owned())?,
            taken_at: PrimitiveDateTime::parse(time, TIME).ok()?,
            encrypted,
        };
        // There is one way to write each name.
        (name.to_string() == file).then_some(name)
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.taken_at.format(TIME).map_err(|_| fmt::Error)?;
        let end = if self.encrypted { ".tar.age" } else { ".tar" };
        write!(f, "{PREFIX}{}-{time}{end}", self.installation)
    }
}

/// The backups among `files` that are not among the newest `keep` of the installation that `newest`
/// is of. Files that are no backups of it are never among them, and neither is `newest`.
pub(crate) fn outdated<'a>(
    files: impl Iterator<Item = &'a str>,
    newest: &BackupName,
    keep: usize,
) -> Vec<BackupName> {
    let ours = files.filter_map(BackupName::parse);
    let ours = ours.filter(|name| name.installation == newest.installation && name != newest);
    let mut by_time: Vec<BackupName> = ours.collect::<BTreeSet<_>>().into_iter().collect();
    by_time.sort_by_key(|name| std::cmp::Reverse(name.taken_at));
    by_time.split_off(keep.saturating_sub(1).min(by_time.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "0011aabbccddeeff0011aabbccddeeff";

    fn at(seconds: i64) -> UtcDateTime {
        UtcDateTime::from_unix_timestamp(seconds).unwrap()
    }

    #[test]
    fn a_name_tells_the_installation_and_the_time() {
        let name = BackupName::new(ID, at(1_790_000_000), true);
        assert_eq!(
            name.to_string(),
            "ropeline-0011aabb-20260921T141320Z.tar.age"
        );
        let plain = BackupName::new(ID, at(1_790_000_000), false);
        assert_eq!(plain.to_string(), "ropeline-0011aabb-20260921T141320Z.tar");
    }

    #[test]
    fn other_files_are_no_backups() {
        for file in [
            "",
            "ropeline",
            "ropeline-0011aabb-20260921T141320Z.tar.age.partial",
            "ropeline-0011AABB-20260921T141320Z.tar.age",
            "ropeline-0011aab-20260921T141320Z.tar.age",
            "ropeline-0011aabb-20261321T133320Z.tar.age",
            "ropeline-0011aabb-20260921T141320Z.zip",
            "backup-0011aabb-20260921T141320Z.tar.age",
            "ropeline-0011aabb-20260921T133320.tar",
        ] {
            assert_eq!(BackupName::parse(file), None, "{file}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_read_as_it_was_written(seconds in 0..4_000_000_000_i64, encrypted: bool) {
            let name = BackupName::new(ID, at(seconds), encrypted);
            prop_assert_eq!(BackupName::parse(&name.to_string()), Some(name));
        }

        #[test]
        fn the_newest_stay_and_nothing_of_others_goes(
            times in prop::collection::btree_set(0..1_000_000_i64, 0..20),
            keep in 1..10_usize,
        ) {
            let newest = BackupName::new(ID, at(2_000_000), true);
            let ours: Vec<String> = times.iter()
                .map(|seconds| BackupName::new(ID, at(*seconds), true).to_string()).collect();
            let theirs = BackupName::new("ffffffffffff", at(1), true).to_string();
            let present = newest.to_string();
            let files = ours.iter().map(String::as_str).chain([&*theirs, "notes.txt", &*present]);
            let gone = outdated(files, &newest, keep);
            prop_assert_eq!(gone.len(), (ours.len() + 1).saturating_sub(keep));
            let stays = ours.len() - gone.len();
            // All that go are older than all that stay.
            let oldest: Vec<_> = ours[..gone.len()].iter().map(|file| BackupName::parse(file).unwrap()).collect();
            prop_assert_eq!(gone.into_iter().rev().collect::<Vec<_>>(), oldest);
            prop_assert!(stays < keep);
        }
    }
}

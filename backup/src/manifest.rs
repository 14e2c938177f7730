//! What a backup says about itself: its last member, written when all others are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::BackupError;

/// The layout of backups that this program writes, and the newest that it reads.
pub(crate) const FORMAT: u32 = 1;
/// The member with the dump, as the manifest names it; the archive has it in parts.
pub(crate) const DATABASE: &str = "database.dump";

/// What a backup says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The layout of the archive.
    pub format: u32,
    /// The version of the program that wrote it.
    pub program_version: String,
    /// When the database was as it is in the backup.
    #[serde(with = "time::serde::rfc3339")]
    pub taken_at: OffsetDateTime,
    /// The id of the installation.
    pub installation: String,
    /// The newest migration of the database.
    pub migration: i64,
    /// The major version of the server that the dump is of.
    pub server_version: u32,
    /// The major version of the `pg_dump` that made the dump.
    pub dump_version: u32,
    /// Ids of the signing keys in the backup.
    pub signing_keys: Vec<String>,
    /// Every member but this one, by its name.
    pub members: BTreeMap<String, Member>,
}

/// The size and digest of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Refuses what this program would restore wrongly.
    pub(crate) fn readable_by(&self, newest_migration: i64) -> Result<(), BackupError> {
        if self.format > FORMAT {
            return Err(BackupError::NewerFormat(self.format));
        }
        if self.migration > newest_migration {
            return Err(BackupError::NewerSchema {
                version: self.program_version.clone(),
                migration: self.migration,
                known: newest_migration,
            });
        }
        Ok(())
    }

    /// When the database was as it is in the backup, as text.
    pub fn taken_at_text(&self) -> String {
        let text = self.taken_at.format(&Rfc3339);
        text.unwrap_or_else(|_| self.taken_at.to_string())
    }

    /// The size of the dump.
    pub fn database_bytes(&self) -> u64 {
        self.members.get(DATABASE).map_or(0, |member| member.bytes)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use time::macros::datetime;

    /// A manifest without members.
    pub(crate) fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            program_version: "0.1.0".to_owned(),
            taken_at: datetime!(2026-12-01 4:15 UTC),
            installation: "00112233445566778899aabbccddeeff".to_owned(),
            migration: 20_261_201_000_100,
            server_version: 15,
            dump_version: 15,
            signing_keys: vec!["0011223344556677".to_owned()],
            members: BTreeMap::new(),
        }
    }

    #[test]
    fn only_what_this_program_knows_is_readable() {
        let manifest = manifest();
        manifest.readable_by(manifest.migration).unwrap();
        manifest.readable_by(manifest.migration + 1).unwrap();
        let refused = manifest.readable_by(manifest.migration - 1).unwrap_err();
        assert!(matches!(refused, BackupError::NewerSchema { .. }));
        let newer = Manifest {
            format: FORMAT + 1,
            ..manifest
        };
        let refused = newer.readable_by(i64::MAX).unwrap_err();
        assert!(matches!(refused, BackupError::NewerFormat(2)));
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let written = serde_json::to_string(&manifest()).unwrap();
        assert!(
            written.contains("\"takenAt\":\"2026-12-01T04:15:00Z\""),
            "{written}"
        );
        assert_eq!(manifest().taken_at_text(), "2026-12-01T04:15:00Z");
        let read: Manifest = serde_json::from_str(&written).unwrap();
        assert_eq!(read, manifest());
    }
}

//! A checked show file, ready to be imported.

use contract::Timestamp;
use contract::booking::ShowFile;
use sha2::{Digest, Sha256};
use show_file::{CheckedShow, Fault};

/// A show file without faults.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ShowDraft {
    pub(crate) show: CheckedShow,
    /// SHA-256 of the file.
    pub(crate) content_hash: [u8; 32],
}

impl ShowDraft {
    pub(crate) fn new(file: ShowFile, now: Timestamp) -> Result<Self, Vec<Fault>> {
        let text = serde_json::to_vec(&file).map_err(|error| {
            vec![Fault {
                path: ".".to_owned(),
                what: error.to_string(),
            }]
        })?;
        let show = show_file::check(file, now)?;
        Ok(Self {
            show,
            content_hash: Sha256::digest(text).into(),
        })
    }
}

//! The files that are checked.

use std::fs;
use std::path::{Path, PathBuf};

/// Directories that hold nothing of ours, or only what tools write.
pub(crate) const SKIPPED: [&str; 9] = [
    ".bench",
    ".demo",
    ".git",
    ".ropeline",
    ".sqlx",
    "dist",
    "node_modules",
    "proptest-regressions",
    "target",
];

/// A file: its path from the root of the repository, with slashes, and its text.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    pub(crate) fn has_ending(&self, ending: &str) -> bool {
        self.name()
            .rsplit_once('.')
            .is_some_and(|(_, found)| found == ending)
    }

    pub(crate) fn is_source(&self) -> bool {
        ["js", "lua", "rs", "sql"]
            .iter()
            .any(|ending| self.has_ending(ending))
    }

    /// What goes into the product: no tests.
    pub(crate) fn is_product_code(&self) -> bool {
        self.has_ending("rs") && !self.path.contains("/tests/")
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every text file of the repository.
pub(crate) fn files() -> Vec<File> {
    let mut found = Vec::new();
    collect(&root(), "", &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 100, "the repository was not found");
    found
}

#[expect(clippy::unwrap_used, reason = "a repository that cannot be read fails")]
fn collect(dir: &Path, prefix: &str, found: &mut Vec<File>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
            collect(&entry.path(), &format!("{path}/"), found);
        } else if kind.is_file() {
            // Pictures are no text.
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            found.push(File { path, text });
        }
    }
}

#[track_caller]
pub(crate) fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Words of letters, digits and underscores.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

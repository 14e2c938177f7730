//! What is wrong in a show file.

use std::fmt;

/// Something wrong in a show file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field, such as `sections[2].rows[0]`; `.` for the file as a whole.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
}

impl Fault {
    /// A fault of the file as a whole.
    pub(crate) fn of_file(what: impl Into<String>) -> Self {
        Self::new(".", what)
    }

    pub(crate) fn new(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            what: what.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "." => f.write_str(&self.what),
            path => write!(f, "{path}: {}", self.what),
        }
    }
}

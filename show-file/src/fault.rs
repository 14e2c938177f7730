//! What is wrong in a show file.

/// Something wrong in a show file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field, such as `sections[2].rows[0]`; `.` for the file as a whole.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
}

impl Fault {
    pub(crate) fn new(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            what: what.into(),
        }
    }
}

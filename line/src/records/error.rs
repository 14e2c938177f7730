//! Why the database could not do what was asked.

use thiserror::Error;

/// Why the database could not do what was asked.
#[derive(Debug, Error)]
pub enum RecordsError {
    /// It cannot be reached; nothing was done.
    #[error("the database does not answer")]
    Unavailable(#[source] sqlx::Error),
    /// It did not finish in time. A write may have happened or may still happen.
    #[error("the database did not finish in time")]
    Timeout,
    /// A stored row says something that no version of this program writes.
    #[error("the table {table} holds something unreadable: {detail}")]
    Corrupt {
        /// Where.
        table: &'static str,
        /// What.
        detail: String,
    },
    /// The request contradicts what is stored.
    #[error("{0}")]
    Conflict(String),
    /// The database refused a statement: a mistake of ours.
    #[error("the database refused the statement")]
    Refused(#[source] sqlx::Error),
}

impl RecordsError {
    /// The variant as a metric's label.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Timeout => "timeout",
            Self::Corrupt { .. } => "corrupt",
            Self::Conflict(_) => "conflict",
            Self::Refused(_) => "refused",
        }
    }

    /// Whether the same call may succeed a little later. A [`RecordsError::Timeout`] of a write
    /// may only be repeated when the write is idempotent.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Timeout)
    }
}

/// SQLSTATEs that mean "not now": cancelled by a timeout, lock not available, shutting down,
/// too many connections, serialisation failure, deadlock, and a server that takes no writes: a
/// primary that was demoted, or that is kept from writing for a while.
const PASSING_STATES: [&str; 9] = [
    "57014", "55P03", "57P01", "57P02", "57P03", "53300", "40001", "40P01", "25006",
];

impl From<sqlx::Error> for RecordsError {
    fn from(error: sqlx::Error) -> Self {
        let state = error
            .as_database_error()
            .and_then(|refused| refused.code().map(std::borrow::Cow::into_owned));
        match (&error, state.as_deref()) {
            (_, Some("57014" | "55P03")) => Self::Timeout,
            // Class 08 is a broken connection, class 25P03 an idle transaction cut off.
            (_, Some(state))
                if PASSING_STATES.contains(&state)
                    || state.starts_with("08")
                    || state == "25P03" =>
            {
                Self::Unavailable(error)
            }
            (
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed,
                _,
            ) => Self::Unavailable(error),
            (sqlx::Error::ColumnDecode { source, index }, _) => Self::Corrupt {
                table: "unknown",
                detail: format!("column {index}: {source}"),
            },
            _ => Self::Refused(error),
        }
    }
}

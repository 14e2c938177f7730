//! What failed, for background work and for fans.

use contract::{Problem, ProblemCode};

use crate::records::RecordsError;
use crate::store::StoreError;

/// Why a round of background work was not done.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The line's store.
    #[error("the line's store failed")]
    Store(#[from] StoreError),
    /// The durable records.
    #[error("the records failed")]
    Records(#[from] RecordsError),
}

/// The problem that a store error is to a fan.
pub fn line_problem(error: &StoreError) -> Problem {
    match error {
        StoreError::Corrupt(what) => {
            tracing::error!(%what, "the line's store is corrupt");
            Problem::new(ProblemCode::Internal)
        }
        StoreError::Unavailable(_) | StoreError::Timeout | StoreError::NoRoom => {
            Problem::new(ProblemCode::LineUnavailable)
                .detail("Your place is safe. Keep this page open; it tries again by itself.")
        }
    }
}

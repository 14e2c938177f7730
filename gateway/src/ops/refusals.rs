//! The answer when the records refuse.

use contract::{Problem, ProblemCode};
use line::records::RecordsError;
use web::ApiError;

/// The answer when the records refuse.
pub(super) fn refused(error: RecordsError) -> ApiError {
    match error {
        RecordsError::Unavailable(cause) => {
            tracing::warn!(%cause, "the database does not answer");
            ProblemCode::DatabaseUnavailable.into()
        }
        RecordsError::Timeout => Problem::new(ProblemCode::DatabaseUnavailable)
            .detail("The outcome is not known yet. Look at the present state before trying again.")
            .into(),
        RecordsError::Conflict(detail) => Problem::new(ProblemCode::Conflict).detail(detail).into(),
        error @ (RecordsError::Corrupt { .. } | RecordsError::Refused(_)) => {
            ApiError::internal(&format!("{error}: {error:?}"))
        }
    }
}

//! Maps outcomes and errors to problem documents.

use contract::{Problem, ProblemCode, RoomId, ShowId};
use web::ApiError;

use crate::database::StoreError;
use crate::money::FailureReason;

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Timeout | StoreError::Contended(_) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "no answer from the database"
                );
                ProblemCode::DatabaseUnavailable.into()
            }
            StoreError::Corrupt { .. } | StoreError::Bug(_) | StoreError::TaskBroke => {
                tracing::error!(error = &error as &dyn std::error::Error, "request failed");
                ProblemCode::Internal.into()
            }
        }
    }
}

pub(crate) fn not_found() -> ApiError {
    ProblemCode::NotFound.into()
}

pub(crate) fn invalid(field: &str, problem: &str) -> ApiError {
    Problem::new(ProblemCode::ValidationFailed)
        .detail(format!("{field}: {problem}"))
        .with("field", field)
        .into()
}

pub(crate) fn pass_required(room: &RoomId, show: &ShowId) -> ApiError {
    Problem::new(ProblemCode::PassRequired)
        .detail("This show is behind a waiting room. Join the line first.")
        .with(
            "joinUrl",
            format!("/_line/rooms/{room}?to=/shows/{show}/seats"),
        )
        .into()
}

pub(crate) fn payment_failed(reason: FailureReason) -> ApiError {
    Problem::new(ProblemCode::PaymentFailed)
        .with("reason", reason.as_str())
        .with("retryable", reason.retryable())
        .into()
}

pub(crate) fn payment_unavailable(reason: FailureReason, retry_after: u32) -> ApiError {
    Problem::new(ProblemCode::PaymentUnavailable)
        .detail("Nothing was charged. The same request again continues where this one stopped.")
        .with("reason", reason.as_str())
        .with("retryable", true)
        .retry_after(retry_after)
        .into()
}

pub(crate) fn hold_expired(refunding: bool) -> ApiError {
    let problem = Problem::new(ProblemCode::HoldExpired);
    if refunding {
        problem
            .detail("The money came too late for the seats and goes back in full.")
            .with("refunding", true)
            .into()
    } else {
        problem.into()
    }
}

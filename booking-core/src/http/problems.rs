//! Maps outcomes and errors to problem documents.

use contract::coupon::CouponReason;
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

pub(crate) fn coupon_not_valid(reason: CouponReason) -> ApiError {
    let why = match reason {
        CouponReason::Unknown => "There is no such coupon.",
        CouponReason::TooManyTries => {
            "Too many codes that do not exist were tried. You can pay without one."
        }
        CouponReason::NotYetValid => "It cannot be used yet.",
        CouponReason::Expired => "It has expired.",
        CouponReason::UsedUp => "It has been used as often as it can be.",
        CouponReason::UsedByCustomer => "It was used with this e-mail address already.",
        CouponReason::NotFirstBooking => "It is for a first booking only.",
        CouponReason::OtherShow => "It is for another show.",
        CouponReason::OtherCategory => "It is for seats of another category.",
        CouponReason::OtherCurrency => "It is in another currency.",
        CouponReason::MinimumOrder => "The order is too small for it.",
        CouponReason::NothingToPay => {
            "The coupon is for some ways to pay, and there would be nothing to pay."
        }
        CouponReason::TooLittleLeft => "It would leave less than can be paid.",
        CouponReason::NotApplicable => "It cannot be used for these seats. Hold them once more.",
    };
    Problem::new(ProblemCode::CouponNotValid)
        .detail(why)
        .with("reason", serde_json::json!(reason))
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

//! Payments: one resolver moves all money.
//!
//! The provider is only ever asked, never believed: a confirmation, a webhook, a poll and the end
//! of a hold all call [`resolve`](resolver), which fetches the intent and decides under the locks
//! of hold and payment. Callers race harmlessly.

mod decision;
mod failure;
pub mod provider;
pub(crate) mod questions;
pub(crate) mod reconcile;
pub(crate) mod refunds;
pub(crate) mod resolver;
pub(crate) mod returned;
pub(crate) mod signature;
pub(crate) mod start;
pub(crate) mod stripe;
pub(crate) mod webhooks;

pub use failure::FailureReason;
pub use reconcile::ReconcileReport;

use serde::{Deserialize, Serialize};

/// What became of money that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Disposition {
    /// It paid for a booking.
    Booked,
    /// It goes back.
    AutoRefund,
}

/// How a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum RefundStatus {
    /// Nothing is known to have reached the provider.
    Requested,
    /// The provider has it.
    Submitted,
    /// The money went back.
    Succeeded,
    /// Refused; will be tried again.
    Failed,
    /// Refused too often; a person has to look.
    NeedsOps,
}

impl RefundStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "REQUESTED",
            Self::Submitted => "SUBMITTED",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::NeedsOps => "NEEDS_OPS",
        }
    }
}

//! Disputes: a customer's bank asks for money back.

use contract::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{ChargeId, DisputeId, IntentId};

/// A dispute.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Dispute {
    pub(crate) id: DisputeId,
    pub(crate) intent: IntentId,
    pub(crate) charge: ChargeId,
    pub(crate) amount_minor: u64,
    pub(crate) currency: String,
    pub(crate) status: DisputeStatus,
    pub(crate) created_at: Timestamp,
}

/// The status of a dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DisputeStatus {
    WarningNeedsResponse,
    WarningClosed,
    NeedsResponse,
    UnderReview,
    Won,
    Lost,
}

impl DisputeStatus {
    /// The text in Stripe's API.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::WarningNeedsResponse => "warning_needs_response",
            Self::WarningClosed => "warning_closed",
            Self::NeedsResponse => "needs_response",
            Self::UnderReview => "under_review",
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }

    /// Whether the bank has taken the money from the merchant.
    pub(crate) const fn takes_money(self) -> bool {
        matches!(self, Self::NeedsResponse | Self::UnderReview | Self::Lost)
    }

    /// Whether the status is final.
    pub(crate) const fn is_closed(self) -> bool {
        matches!(self, Self::WarningClosed | Self::Won | Self::Lost)
    }
}

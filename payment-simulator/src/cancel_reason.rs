//! Cancellation reasons, in Stripe's words.

use serde::{Deserialize, Serialize};

/// Why an intent was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CancelReason {
    Duplicate,
    Fraudulent,
    RequestedByCustomer,
    Abandoned,
}

impl CancelReason {
    /// The text in Stripe's API.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Fraudulent => "fraudulent",
            Self::RequestedByCustomer => "requested_by_customer",
            Self::Abandoned => "abandoned",
        }
    }

    /// The reason with this text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [
            Self::Duplicate,
            Self::Fraudulent,
            Self::RequestedByCustomer,
            Self::Abandoned,
        ]
        .into_iter()
        .find(|reason| reason.as_str() == text)
    }
}

//! The state of a delivery of an event to a subscription. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// State of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum DeliveryStatus {
    /// It waits for its next attempt.
    Due,
    /// The receiver has it.
    Delivered,
    /// A dead letter: it was tried for three days.
    Failed,
}

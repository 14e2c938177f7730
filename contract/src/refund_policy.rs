//! The refund policy of a show, as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const fn yes() -> bool {
    true
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks with a reference"
)]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks with a reference"
)]
const fn is_nothing(amount_minor: &i64) -> bool {
    *amount_minor == 0
}

/// What a fan who cancels gets back. Hours are counted back from the start of the show, as they
/// pass: clocks that are changed meanwhile do not matter. Without a policy fans cannot cancel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefundPolicy {
    /// Until so many hours before the start the whole price goes back, less the kept fee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_until_hours: Option<u32>,
    /// Later a share of the price goes back, less the kept fee; the earliest limit first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<RefundShare>,
    /// What the seller keeps of each ticket, minor units.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub kept_fee_minor: i64,
    /// What the seller keeps of each ticket instead, percent of its price, rounded up.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub kept_fee_percent: u32,
    /// Whether some tickets of a booking can be returned and the others kept; true when absent.
    #[serde(default = "yes")]
    pub single_tickets: bool,
    /// Whether a one-time code from a mail is needed to cancel; false when absent.
    #[serde(default)]
    pub code_required: bool,
}

/// A share of the price that goes back until a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefundShare {
    /// Until so many hours before the start.
    pub until_hours: u32,
    /// Percent of the price, rounded down.
    pub percent: u32,
}

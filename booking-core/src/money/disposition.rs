//! What becomes of money that was taken.

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

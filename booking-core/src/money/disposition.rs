//! The disposition of captured money.

use serde::{Deserialize, Serialize};

/// The disposition of captured money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Disposition {
    /// It paid for a booking.
    Booked,
    /// It is given back.
    AutoRefund,
}

//! What a confirmation comes to, and under which key its answer is stored.

use contract::RoomId;
use contract::booking::Booking;

use crate::money::FailureReason;
use crate::store::idempotency::{KeyUse, StoredAnswer};

/// The outcome of a confirmation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfirmOutcome {
    /// The hold became a booking.
    Booked {
        /// The booking.
        booking: Box<Booking>,
        /// The room of the show. The gateway ends the customer's session there.
        ends_session: Option<RoomId>,
    },
    /// The outcome of the payment is not known yet.
    Processing,
    /// The payment failed.
    Failed(FailureReason),
    /// The hold ended first. Captured money is given back.
    HoldEnded {
        /// Whether money was captured, which is given back.
        refunding: bool,
    },
    /// The hold does not exist or is not the customer's.
    NotFound,
    /// The payment does not belong to this hold.
    UnknownPayment,
}

/// Confirms a purchase once for all repeats of a request.
#[derive(Clone, Debug)]
pub(crate) struct ConfirmKey {
    pub(crate) key_use: KeyUse,
    /// The response to a repeat, stored with the booking.
    pub(crate) answer_of: fn(&Booking) -> StoredAnswer,
}

/// The outcome of a confirmation that may carry a key.
#[derive(Clone, Debug)]
pub(crate) struct Confirmed {
    pub(crate) outcome: ConfirmOutcome,
    /// Whether the response is stored under the key.
    pub(crate) is_answered: bool,
}

impl From<ConfirmOutcome> for Confirmed {
    fn from(outcome: ConfirmOutcome) -> Self {
        Self {
            outcome,
            is_answered: false,
        }
    }
}

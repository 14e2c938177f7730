//! What whoever asks about a payment hears.

use std::sync::Arc;

use super::provider::ProviderError;
use crate::database::StoreError;
use crate::store::bookings::BookingRow;
use crate::store::holds::HoldRow;
use crate::store::payments::PaymentRow;

/// Hold and payment after a resolution.
#[derive(Clone, Debug)]
pub(crate) struct Resolution {
    pub(crate) hold: HoldRow,
    pub(crate) payment: PaymentRow,
    /// The booking that was made of the hold, if it was read with it.
    pub(crate) booking: Option<BookingRow>,
    /// Why the provider could not be asked, if it could not.
    pub(crate) unanswered: Option<ProviderError>,
}

/// What all hear who asked together.
pub(crate) type Answer = Arc<Result<Option<Resolution>, StoreError>>;

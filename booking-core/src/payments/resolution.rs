//! The result of resolving a payment.

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
    /// The booking of the hold, if there is one.
    pub(crate) booking: Option<BookingRow>,
    /// Why the provider could not be asked; `None` if it was.
    pub(crate) unanswered: Option<ProviderError>,
    /// The principal and the key whose answer was stored with the booking.
    pub(crate) answered: Option<(String, String)>,
}

/// The result that all callers of one question share.
pub(crate) type Answer = Arc<Result<Option<Resolution>, StoreError>>;

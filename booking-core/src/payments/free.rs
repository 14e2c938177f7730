//! Payments of nothing: no provider is asked. Starting one is paying it, and it is settled as any
//! other is: by the confirmation, or by the poller if the customer has gone. Pure.

use super::provider::{CancelReason, Intent, IntentStatus};
use crate::money::FailureReason;
use crate::store::payments::PaymentRow;

/// What the intent of such a payment would be: paid, unless the payment is to be closed first.
pub(super) fn intent(payment: &PaymentRow, cancel: Option<CancelReason>) -> Intent {
    let status = match cancel {
        None => IntentStatus::Succeeded,
        Some(CancelReason::RequestedByCustomer) => {
            IntentStatus::Cancelled(FailureReason::UserCancelled)
        }
        Some(CancelReason::Superseded | CancelReason::Abandoned | CancelReason::NotAccepted) => {
            IntentStatus::Cancelled(FailureReason::DuplicateTransaction)
        }
    };
    Intent {
        id: String::new(),
        client_secret: String::new(),
        redirect_url: None,
        charge_id: None,
        status,
        received_minor: 0,
        currency: payment.currency.clone(),
        others: Vec::new(),
        tries: Vec::new(),
        kind: None,
    }
}

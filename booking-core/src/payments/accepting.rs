//! Money of a payment whose price is for some kinds of payments: what it was paid with is asked for,
//! and what a bank has agreed to is taken only if it fits.

use super::lane::AboutHold;
use super::provider::{CancelReason, Intent, IntentStatus, ProviderError};
use crate::money::FailureReason;
use crate::money::payment_kind::is_accepted;
use crate::store::payments::PaymentRow;

/// The intent with what it was paid with, if that matters. What the provider will not tell is of no
/// kind, and so fits no price that is for some kinds.
pub(super) async fn with_kind(
    provider: AboutHold<'_>,
    payment: &PaymentRow,
    mut intent: Intent,
) -> Result<Intent, ProviderError> {
    let has_money = matches!(
        intent.status,
        IntentStatus::Succeeded | IntentStatus::Authorized
    );
    if has_money && !payment.accepts.is_empty() {
        intent.kind = match provider.kind_of(charge_of(&intent)).await {
            Ok(kind) => kind,
            Err(ProviderError::Refused { .. } | ProviderError::Unreadable(_)) => None,
            Err(error) => return Err(error),
        };
    }
    Ok(intent)
}

/// Takes the money of an intent that the bank has agreed to; leaves it if it is of another kind than
/// the price is for, or if the intent is to be closed for `reason`.
///
/// The intent as it was, when the provider does not answer and the money is wanted: that the bank has
/// agreed is known, so that the hold can get more time for it.
pub(super) async fn take_or_leave(
    provider: AboutHold<'_>,
    payment: &PaymentRow,
    intent: Intent,
    reason: Option<CancelReason>,
) -> Result<Intent, ProviderError> {
    let agreed = intent.clone();
    match taken_or_left(provider, payment, intent, reason).await {
        Err(error) if reason.is_none() => {
            tracing::warn!(
                %error, payment = %payment.payment_id,
                "the bank has agreed, and the money could not be taken yet"
            );
            Ok(agreed)
        }
        changed => changed,
    }
}

async fn taken_or_left(
    provider: AboutHold<'_>,
    payment: &PaymentRow,
    intent: Intent,
    reason: Option<CancelReason>,
) -> Result<Intent, ProviderError> {
    // What is closed anyway is closed whatever it was paid with.
    let intent = match reason {
        None => with_kind(provider, payment, intent).await?,
        Some(_) => intent,
    };
    let fits = is_accepted(&payment.accepts, intent.kind.as_ref());
    let leave = reason.or((!fits).then_some(CancelReason::NotAccepted));
    let changed = match leave {
        None => provider.capture(charge_of(&intent)).await,
        // Not the page, which is over: the money alone can be left.
        Some(reason) => provider.cancel_intent(charge_of(&intent), reason).await,
    };
    match changed {
        Ok(changed) => Ok(Intent {
            status: match changed.status {
                IntentStatus::Cancelled(_) if leave == Some(CancelReason::NotAccepted) => {
                    IntentStatus::Cancelled(FailureReason::CouponPayment)
                }
                status => status,
            },
            received_minor: changed.received_minor,
            currency: changed.currency,
            ..intent
        }),
        // Somebody else did it meanwhile.
        Err(ProviderError::Refused { .. } | ProviderError::Busy) => {
            let found = provider.fetch_intent(&intent.id).await?;
            with_kind(provider, payment, found).await
        }
        // It is left with the next look, unless it was; why, is known only here.
        Err(_) if leave == Some(CancelReason::NotAccepted) => Ok(Intent {
            status: IntentStatus::Unpaid(Some(FailureReason::CouponPayment)),
            ..intent
        }),
        Err(error) => Err(error),
    }
}

/// The provider's id of the money.
fn charge_of(intent: &Intent) -> &str {
    intent.charge_id.as_deref().unwrap_or(&intent.id)
}

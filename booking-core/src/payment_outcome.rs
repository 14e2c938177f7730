//! The response to a customer who starts a payment.

use contract::PaymentId;
use contract::booking::Payment;
use contract::coupon::CouponReason;

use crate::core::Core;
use crate::money::FailureReason;
use crate::payments::provider::{PaymentProvider, ProviderError};
use crate::payments::start::PaymentStart;

/// The outcome of a request to pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentOutcome {
    /// The customer can pay this payment.
    Started(Payment),
    /// The e-mail address is not valid.
    InvalidEmail,
    /// The hold does not exist or is not the customer's.
    NotFound,
    /// The hold has ended.
    HoldEnded,
    /// The provider refused, or the hold has had its last attempt.
    Failed(FailureReason),
    /// The coupon cannot be used.
    CouponNotValid(CouponReason),
    /// The provider does not answer. A repeated request continues this one.
    Unanswered {
        /// The reason to show.
        reason: FailureReason,
        /// Seconds to wait.
        retry_after: u32,
    },
}

impl PaymentOutcome {
    pub(crate) fn provider_silent() -> Self {
        Self::Unanswered {
            reason: FailureReason::NetworkTimeout,
            retry_after: 2,
        }
    }
}

impl Core {
    pub(crate) fn payment_outcome(&self, started: PaymentStart) -> PaymentOutcome {
        match started {
            PaymentStart::Started(payment) => {
                let payment = *payment;
                let payment_id = payment.payment_id;
                let intent_id = payment.intent_id.unwrap_or_default();
                let client_secret = payment.client_secret.unwrap_or_default();
                let provider = self.providers.find(&payment.provider);
                let of_intent =
                    || provider.and_then(|provider| provider.page(&intent_id, &client_secret));
                let page = payment.redirect_url.or_else(of_intent);
                PaymentOutcome::Started(Payment {
                    redirect_url: page.clone(),
                    pay_url: page,
                    payment_intent_id: PaymentId::new(payment_id),
                    client_secret,
                    amount_minor: payment.amount_minor,
                    currency: payment.currency,
                    status: payment.status,
                })
            }
            PaymentStart::NotFound => PaymentOutcome::NotFound,
            PaymentStart::HoldEnded => PaymentOutcome::HoldEnded,
            PaymentStart::Failed(reason) => PaymentOutcome::Failed(reason),
            PaymentStart::CouponNotValid(reason) => PaymentOutcome::CouponNotValid(reason),
            PaymentStart::Unanswered(error) => unanswered(&error),
        }
    }
}

fn unanswered(error: &ProviderError) -> PaymentOutcome {
    let (reason, retry_after) = match error {
        ProviderError::RateLimited { retry_after } => (
            FailureReason::GatewayRateLimit,
            u32::try_from(retry_after.as_secs())
                .unwrap_or(u32::MAX)
                .max(1),
        ),
        ProviderError::Busy => (FailureReason::DuplicateTransaction, 1),
        ProviderError::NotSent(_)
        | ProviderError::NotConfigured(_)
        | ProviderError::Unavailable(_)
        | ProviderError::Unreadable(_) => (FailureReason::GatewayDown, 2),
        ProviderError::Refused { reason, .. } => (*reason, 2),
    };
    PaymentOutcome::Unanswered {
        reason,
        retry_after,
    }
}

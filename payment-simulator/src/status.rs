//! The states of a payment intent, and the webhooks that tell of a change.

use serde::{Deserialize, Serialize};

/// The status of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    Processing,
    /// The bank has agreed, and the money waits for the merchant.
    RequiresCapture,
    Succeeded,
    Canceled,
}

/// The webhook after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Succeeded,
    PaymentFailed,
    Processing,
    RequiresAction,
    /// The money waits for the merchant.
    Capturable,
    Canceled,
}

impl Status {
    /// The text in Stripe's API.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::Processing => "processing",
            Self::RequiresCapture => "requires_capture",
            Self::Succeeded => "succeeded",
            Self::Canceled => "canceled",
        }
    }
}

impl Notice {
    /// The event type in Stripe's API.
    pub(crate) const fn event_type(self) -> &'static str {
        match self {
            Self::Succeeded => "payment_intent.succeeded",
            Self::PaymentFailed => "payment_intent.payment_failed",
            Self::Processing => "payment_intent.processing",
            Self::RequiresAction => "payment_intent.requires_action",
            Self::Capturable => "payment_intent.amount_capturable_updated",
            Self::Canceled => "payment_intent.canceled",
        }
    }

    /// Whether it ends the attempt.
    pub(crate) const fn ends_attempt(self) -> bool {
        match self {
            Self::Succeeded | Self::PaymentFailed | Self::Capturable | Self::Canceled => true,
            Self::Processing | Self::RequiresAction => false,
        }
    }
}

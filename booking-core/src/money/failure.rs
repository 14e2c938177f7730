//! The ways in which a payment can fail.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $retryable:literal;)+) => {
        /// Why a payment failed or is held up.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum FailureReason {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl FailureReason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text in the API and the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Whether the customer may try again on the same hold.
            pub const fn retryable(self) -> bool {
                match self { $(Self::$variant => $retryable),+ }
            }
        }
    };
}

reasons! {
    /// The account has too little.
    InsufficientFunds = "insufficient-funds", true;
    /// No answer from the provider in time.
    NetworkTimeout = "network-timeout", true;
    /// The provider is down.
    GatewayDown = "gateway-down", true;
    /// Number or security code are wrong, or the bank refuses the card.
    InvalidCard = "invalid-card", true;
    /// The card has expired.
    ExpiredCard = "expired-card", true;
    /// The bank or the provider suspects fraud.
    Fraud = "fraud", false;
    /// The customer was not authenticated.
    ThreeDSecure = "3ds", true;
    /// The bank is still working on it.
    Processing = "processing", true;
    /// The bank did not answer.
    BankTimeout = "bank-timeout", true;
    /// The provider wants fewer requests.
    GatewayRateLimit = "gateway-rate-limit", true;
    /// The same payment was made before.
    DuplicateTransaction = "duplicate-transaction", true;
    /// The card cannot pay in this currency.
    CurrencyConversion = "currency-conversion", true;
    /// The provider took another amount than was asked.
    AmountMismatch = "amount-mismatch", false;
    /// The coupon is for other kinds of payments: the money was not taken, or goes back.
    CouponPayment = "coupon-payment-method", true;
    /// The hold ended first.
    SessionExpired = "session-expired", false;
    /// The customer gave up.
    UserCancelled = "user-cancelled", false;
}

impl FailureReason {
    /// Whether it is a fault of a bank, a network or the provider, which says nothing about the
    /// customer or the card.
    pub(crate) const fn is_a_fault(self) -> bool {
        matches!(
            self,
            Self::NetworkTimeout
                | Self::GatewayDown
                | Self::Processing
                | Self::BankTimeout
                | Self::GatewayRateLimit
        )
    }

    /// The reason behind a provider's error `code` and, for cards, the bank's `decline_code`.
    pub(crate) fn from_codes(code: &str, decline_code: Option<&str>) -> Self {
        match decline_code.unwrap_or(code) {
            "insufficient_funds" | "withdrawal_count_limit_exceeded" => Self::InsufficientFunds,
            "expired_card" => Self::ExpiredCard,
            "fraudulent" | "lost_card" | "stolen_card" | "merchant_blacklist"
            | "highest_risk_level" | "security_violation" | "pickup_card" => Self::Fraud,
            "authentication_required"
            | "payment_intent_authentication_failure"
            | "authentication_not_handled" => Self::ThreeDSecure,
            "issuer_not_available"
            | "try_again_later"
            | "reenter_transaction"
            | "issuer_timeout" => Self::BankTimeout,
            "processing_error" => Self::Processing,
            "currency_not_supported" | "invalid_currency" | "currency_conversion_failed" => {
                Self::CurrencyConversion
            }
            "duplicate_transaction" | "idempotency_key_in_use" | "idempotency_error" => {
                Self::DuplicateTransaction
            }
            "rate_limit" | "rate_limit_error" | "lock_timeout" => Self::GatewayRateLimit,
            "amount_too_small" | "amount_too_large" | "amount_mismatch" => Self::AmountMismatch,
            "api_connection_error" | "network_timeout" => Self::NetworkTimeout,
            "api_error" | "gateway_down" => Self::GatewayDown,
            "payment_intent_payment_attempt_expired" => Self::SessionExpired,
            "user_cancelled" | "canceled" => Self::UserCancelled,
            // Wrong numbers and every decline that the bank does not explain: another card helps.
            _ => Self::InvalidCard,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_sixteen_and_each_has_one_spelling() {
        assert_eq!(FailureReason::ALL.len(), 16);
        for reason in FailureReason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }

    #[test]
    fn provider_codes_are_understood() {
        for (code, decline_code, reason) in [
            (
                "card_declined",
                Some("insufficient_funds"),
                "insufficient-funds",
            ),
            ("card_declined", Some("generic_decline"), "invalid-card"),
            ("card_declined", Some("fraudulent"), "fraud"),
            ("card_declined", None, "invalid-card"),
            ("incorrect_cvc", None, "invalid-card"),
            ("expired_card", None, "expired-card"),
            ("card_declined", Some("processing_error"), "processing"),
            ("payment_intent_authentication_failure", None, "3ds"),
            (
                "card_declined",
                Some("currency_not_supported"),
                "currency-conversion",
            ),
        ] {
            let found = FailureReason::from_codes(code, decline_code);
            assert_eq!(found.as_str(), reason, "{code} {decline_code:?}");
        }
    }
}

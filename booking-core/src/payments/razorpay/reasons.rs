//! What Razorpay's errors mean: its `code`, and the `reason` that it documents for each failure.

use crate::money::FailureReason;

/// Documented reasons, and what they are for us.
#[rustfmt::skip]
const REASONS: &[(FailureReason, &[&str])] = &[
    (FailureReason::InsufficientFunds, &[
        "insufficient_funds", "credit_limit_exceeded", "funds_blocked_by_mandate",
        "transaction_daily_count_exceeded", "transaction_daily_limit_exceeded",
        "transaction_frequency_limit_exceeded", "transaction_limit_exceeded",
    ]),
    (FailureReason::NetworkTimeout, &["request_timed_out"]),
    (FailureReason::GatewayDown, &[
        "capture_failed", "gateway_technical_error", "invalid_response_from_gateway",
        "psp_not_available", "server_error", "upi_app_technical_error", "vpa_resolution_failed",
    ]),
    (FailureReason::InvalidCard, &[
        "bank_account_invalid", "card_declined", "card_network_not_enabled", "card_not_enrolled",
        "card_disabled_for_online_payments", "card_number_invalid", "card_type_invalid",
        "debit_declined", "debit_instrument_blocked", "debit_instrument_inactive",
        "incorrect_card_details", "incorrect_cardholder_name", "incorrect_cvv", "invalid_vpa",
        "payment_declined", "payment_failed",
    ]),
    (FailureReason::ExpiredCard, &["card_expired", "incorrect_card_expiry_date"]),
    (FailureReason::Fraud, &["compliance_violation", "payment_risk_check_failed"]),
    (FailureReason::ThreeDSecure, &[
        "authentication_failed", "incorrect_atm_pin", "incorrect_otp", "incorrect_pin",
        "invalid_otp", "otp_attempts_exceeded", "otp_expired", "pin_attempts_exceeded",
        "pin_not_set",
    ]),
    (FailureReason::Processing, &[
        "collect_request_pending", "deemed_transaction", "payment_pending",
        "payment_pending_approval",
    ]),
    (FailureReason::BankTimeout, &[
        "bank_cutoff_in_progress", "bank_not_available", "bank_technical_error",
        "issuer_technical_error", "verification_failed",
    ]),
    (FailureReason::GatewayRateLimit, &["payment_declined_due_to_high_traffic"]),
    (FailureReason::DuplicateTransaction, &[
        "duplicate_refund_id", "duplicate_request", "duplicate_rrn_found", "order_already_paid",
    ]),
    (FailureReason::CurrencyConversion, &[
        "international_transaction_not_allowed", "invalid_currency",
    ]),
    (FailureReason::AmountMismatch, &[
        "amount_less_than_minimum_amount", "invalid_amount", "order_amount_mismatch",
        "payment_amount_tampered",
    ]),
    (FailureReason::SessionExpired, &[
        "payment_collect_request_expired", "payment_session_expired", "payment_timed_out",
    ]),
    (FailureReason::UserCancelled, &["payment_cancelled"]),
];

/// The reason behind an error's `code` and `reason`.
pub(super) fn reason(code: &str, reason: Option<&str>) -> FailureReason {
    let named = reason.unwrap_or_default();
    let known = REASONS.iter().find(|(_, words)| words.contains(&named));
    match (known, code) {
        (Some((reason, _)), _) => *reason,
        // The bank's side failed without saying how.
        (None, "GATEWAY_ERROR") => FailureReason::BankTimeout,
        (None, "SERVER_ERROR") => FailureReason::GatewayDown,
        // Another way to pay helps.
        (None, _) => FailureReason::InvalidCard,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_failure_has_a_reason_and_each_reason_one_meaning() {
        let found: HashSet<_> = REASONS.iter().map(|(reason, _)| *reason).collect();
        // What a coupon is not for, no provider says.
        assert!(!found.contains(&FailureReason::CouponPayment));
        assert_eq!(found.len() + 1, FailureReason::ALL.len());
        let words: Vec<_> = REASONS.iter().flat_map(|(_, words)| *words).collect();
        assert_eq!(words.iter().collect::<HashSet<_>>().len(), words.len());
    }

    #[test]
    fn a_code_says_what_an_unknown_reason_does_not() {
        for (code, named, means) in [
            (
                "BAD_REQUEST_ERROR",
                Some("insufficient_funds"),
                "insufficient-funds",
            ),
            (
                "GATEWAY_ERROR",
                Some("payment_timed_out"),
                "session-expired",
            ),
            ("GATEWAY_ERROR", None, "bank-timeout"),
            ("SERVER_ERROR", Some("unheard_of"), "gateway-down"),
            ("BAD_REQUEST_ERROR", Some("unheard_of"), "invalid-card"),
        ] {
            assert_eq!(reason(code, named).as_str(), means, "{code} {named:?}");
        }
    }
}

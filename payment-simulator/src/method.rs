//! Test payment methods and their behaviour.
//!
//! One table has three users: a confirm names a method, the pay page lists them, and a queued fault
//! applies a method's behaviour to one call.

use serde::{Deserialize, Serialize};

/// Refunds to it are pending before they succeed, as Stripe documents.
pub(crate) const REFUND_PENDING: &str = "pm_card_pendingRefund";
/// Refunds to it succeed and fail later, as Stripe documents.
pub(crate) const REFUND_FAILS: &str = "pm_card_refundFail";
/// The first refund of a payment is pending and fails, the next succeeds.
pub(crate) const REFUND_FAILS_ONCE: &str = "pm_sim_refund_fails_once";

/// A payment method a customer can pay with.
#[derive(Debug)]
pub(crate) struct TestMethod {
    /// The value of `payment_method`.
    pub(crate) id: &'static str,
    /// Its card token, for `payment_method_data[card][token]`.
    pub(crate) token: Option<&'static str>,
    /// Its card number, for `payment_method_data[card][number]`.
    pub(crate) number: Option<&'static str>,
    /// Its name on the pay page.
    pub(crate) title: &'static str,
    /// Its behaviour.
    pub(crate) behaviour: Behaviour,
}

/// The effects on the call, the bank and the webhooks. The three are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Behaviour {
    pub(crate) call: CallFault,
    pub(crate) bank: BankOutcome,
    pub(crate) webhooks: WebhookPlan,
}

/// The effect on the HTTP call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallFault {
    /// The call is answered.
    None,
    /// The call takes effect, but its response comes after the client's timeout.
    AnswerHeld,
    /// The call has no effect, and its response comes after the client's timeout.
    RequestLost,
    /// 503 without effect.
    GatewayDown,
    /// 429 without effect.
    RateLimited,
    /// 409 without effect.
    KeyInUse,
    /// 400 without effect.
    CurrencyUnsupported,
}

/// The decision of the bank on a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BankOutcome {
    /// Captures the money.
    Approve,
    /// Captures another amount.
    ApproveOther,
    /// Declines.
    Decline(Decline),
    /// Requires the customer to authenticate.
    Authenticate,
    /// Captures the money after the settlement delay.
    ProcessThenApprove,
    /// Declines after the settlement delay.
    ProcessThenDecline(Decline),
    /// Decides only after the intent is cancelled, and then captures the money.
    ApproveAfterCancel,
    /// Declines, but captures the money after the settlement delay.
    DeclineThenApprove,
    /// Reports that the customer cancelled at the bank.
    CustomerCancels,
}

/// The plan for the webhooks about an intent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WebhookPlan {
    /// Once, at once, in order.
    #[default]
    Prompt,
    /// Never.
    Dropped,
    /// Each event five times, at once.
    Duplicated,
    /// The final event first, the others after it.
    Reordered,
    /// After the webhook delay.
    Delayed,
}

/// The reason of a decline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Decline {
    Generic,
    InsufficientFunds,
    ExpiredCard,
    IncorrectCvc,
    IncorrectNumber,
    ProcessingError,
    Fraudulent,
    CurrencyNotSupported,
    DuplicateTransaction,
    IssuerNotAvailable,
    AuthenticationFailed,
}

/// The texts of a decline in an error response.
pub(crate) struct DeclineWords {
    pub(crate) code: &'static str,
    pub(crate) decline_code: Option<&'static str>,
    pub(crate) message: &'static str,
}

impl Decline {
    /// Stripe's codes, and a sentence for the customer.
    pub(crate) const fn words(self) -> DeclineWords {
        let (code, decline_code, message) = match self {
            Self::Generic => (
                "card_declined",
                "generic_decline",
                "Your card was declined.",
            ),
            Self::InsufficientFunds => (
                "card_declined",
                "insufficient_funds",
                "Your card has insufficient funds.",
            ),
            Self::ExpiredCard => ("expired_card", "expired_card", "Your card has expired."),
            Self::IncorrectCvc => (
                "incorrect_cvc",
                "incorrect_cvc",
                "Your card's security code is incorrect.",
            ),
            Self::IncorrectNumber => (
                "incorrect_number",
                "incorrect_number",
                "Your card number is incorrect.",
            ),
            Self::ProcessingError => (
                "processing_error",
                "processing_error",
                "An error occurred while processing your card. Try again in a little bit.",
            ),
            Self::Fraudulent => ("card_declined", "fraudulent", "Your card was declined."),
            Self::CurrencyNotSupported => (
                "card_declined",
                "currency_not_supported",
                "Your card does not support this currency.",
            ),
            Self::DuplicateTransaction => (
                "card_declined",
                "duplicate_transaction",
                "The same amount was charged to this card moments ago.",
            ),
            Self::IssuerNotAvailable => (
                "card_declined",
                "issuer_not_available",
                "Your bank could not be reached, so the payment was not authorised.",
            ),
            Self::AuthenticationFailed => {
                return DeclineWords {
                    code: "payment_intent_authentication_failure",
                    decline_code: None,
                    message: "We could not authenticate your payment method. \
                              Choose another and try again.",
                };
            }
        };
        DeclineWords {
            code,
            decline_code: Some(decline_code),
            message,
        }
    }
}

const fn bank(bank: BankOutcome) -> Behaviour {
    Behaviour {
        call: CallFault::None,
        bank,
        webhooks: WebhookPlan::Prompt,
    }
}

const fn call(call: CallFault, bank: BankOutcome) -> Behaviour {
    Behaviour {
        call,
        bank,
        webhooks: WebhookPlan::Prompt,
    }
}

const fn news(webhooks: WebhookPlan, bank: BankOutcome) -> Behaviour {
    Behaviour {
        call: CallFault::None,
        bank,
        webhooks,
    }
}

const fn card(
    id: &'static str,
    token: &'static str,
    number: &'static str,
    title: &'static str,
    outcome: BankOutcome,
) -> TestMethod {
    TestMethod {
        id,
        token: Some(token),
        number: Some(number),
        title,
        behaviour: bank(outcome),
    }
}

const fn own(id: &'static str, title: &'static str, behaviour: Behaviour) -> TestMethod {
    TestMethod {
        id,
        token: None,
        number: None,
        title,
        behaviour,
    }
}

/// Cards with the names, tokens, numbers and outcomes of Stripe's documentation, successes first.
pub(crate) const CARDS: &[TestMethod] = &[
    card(
        "pm_card_visa",
        "tok_visa",
        "4242424242424242",
        "Visa: succeeds",
        BankOutcome::Approve,
    ),
    card(
        "pm_card_mastercard",
        "tok_mastercard",
        "5555555555554444",
        "Mastercard: succeeds",
        BankOutcome::Approve,
    ),
    card(
        "pm_card_visa_debit",
        "tok_visa_debit",
        "4000056655665556",
        "Visa debit: succeeds",
        BankOutcome::Approve,
    ),
    card(
        "pm_card_amex",
        "tok_amex",
        "378282246310005",
        "American Express: succeeds",
        BankOutcome::Approve,
    ),
    card(
        "pm_card_fr",
        "tok_fr",
        "4000002500000003",
        "Visa of France: succeeds",
        BankOutcome::Approve,
    ),
    card(
        "pm_card_riskLevelElevated",
        "tok_riskLevelElevated",
        "4000000000009235",
        "Elevated risk: succeeds",
        BankOutcome::Approve,
    ),
    card(
        "pm_card_riskLevelHighest",
        "tok_riskLevelHighest",
        "4000000000004954",
        "Highest risk: succeeds",
        BankOutcome::Approve,
    ),
    card(
        "pm_card_threeDSecure2Required",
        "tok_threeDSecure2Required",
        "4000000000003220",
        "Asks you to approve at your bank",
        BankOutcome::Authenticate,
    ),
    card(
        REFUND_PENDING,
        "tok_pendingRefund",
        "4000000000007726",
        "Succeeds; refunds take their time",
        BankOutcome::Approve,
    ),
    card(
        REFUND_FAILS,
        "tok_refundFail",
        "4000000000005126",
        "Succeeds; refunds fail later",
        BankOutcome::Approve,
    ),
    card(
        "pm_card_chargeDeclined",
        "tok_chargeDeclined",
        "4000000000000002",
        "Declined",
        BankOutcome::Decline(Decline::Generic),
    ),
    card(
        "pm_card_chargeDeclinedInsufficientFunds",
        "tok_chargeDeclinedInsufficientFunds",
        "4000000000009995",
        "Declined: insufficient funds",
        BankOutcome::Decline(Decline::InsufficientFunds),
    ),
    card(
        "pm_card_chargeDeclinedExpiredCard",
        "tok_chargeDeclinedExpiredCard",
        "4000000000000069",
        "Declined: expired card",
        BankOutcome::Decline(Decline::ExpiredCard),
    ),
    card(
        "pm_card_chargeDeclinedIncorrectCvc",
        "tok_chargeDeclinedIncorrectCvc",
        "4000000000000127",
        "Declined: wrong security code",
        BankOutcome::Decline(Decline::IncorrectCvc),
    ),
    card(
        "pm_card_chargeDeclinedProcessingError",
        "tok_chargeDeclinedProcessingError",
        "4000000000000119",
        "Declined: processing error",
        BankOutcome::Decline(Decline::ProcessingError),
    ),
    card(
        "pm_card_chargeDeclinedFraudulent",
        "tok_chargeDeclinedFraudulent",
        "4100000000000019",
        "Declined: suspected fraud",
        BankOutcome::Decline(Decline::Fraudulent),
    ),
];

/// Methods of the simulator's own, for outcomes that none of Stripe's cards has.
pub(crate) const SIMULATED: &[TestMethod] = &[
    own(
        REFUND_FAILS_ONCE,
        "Succeeds; the first refund fails",
        bank(BankOutcome::Approve),
    ),
    own(
        "pm_sim_invalid_number",
        "Declined: invalid card number",
        bank(BankOutcome::Decline(Decline::IncorrectNumber)),
    ),
    own(
        "pm_sim_processing_succeeds",
        "Bank takes its time, then succeeds",
        bank(BankOutcome::ProcessThenApprove),
    ),
    own(
        "pm_sim_bank_timeout_succeeds",
        "Bank does not answer, later succeeds",
        bank(BankOutcome::ProcessThenApprove),
    ),
    own(
        "pm_sim_bank_timeout_fails",
        "Bank does not answer, later declines",
        bank(BankOutcome::ProcessThenDecline(Decline::IssuerNotAvailable)),
    ),
    own(
        "pm_sim_timeout_charged",
        "Answer comes too late, card is charged",
        call(CallFault::AnswerHeld, BankOutcome::Approve),
    ),
    own(
        "pm_sim_timeout_declined",
        "Answer comes too late, card is not charged",
        call(
            CallFault::AnswerHeld,
            BankOutcome::Decline(Decline::Generic),
        ),
    ),
    own(
        "pm_sim_request_lost",
        "Request is lost on the way",
        call(CallFault::RequestLost, BankOutcome::Approve),
    ),
    own(
        "pm_sim_gateway_down",
        "Payment provider is down",
        call(CallFault::GatewayDown, BankOutcome::Approve),
    ),
    own(
        "pm_sim_rate_limited",
        "Payment provider is overloaded",
        call(CallFault::RateLimited, BankOutcome::Approve),
    ),
    own(
        "pm_sim_key_in_use",
        "Same request is already running",
        call(CallFault::KeyInUse, BankOutcome::Approve),
    ),
    own(
        "pm_sim_duplicate_transaction",
        "Declined: duplicate transaction",
        bank(BankOutcome::Decline(Decline::DuplicateTransaction)),
    ),
    own(
        "pm_sim_currency_declined",
        "Declined: card does not support the currency",
        bank(BankOutcome::Decline(Decline::CurrencyNotSupported)),
    ),
    own(
        "pm_sim_currency_unsupported",
        "Provider does not support the currency",
        call(CallFault::CurrencyUnsupported, BankOutcome::Approve),
    ),
    own(
        "pm_sim_amount_mismatch",
        "Another amount is charged",
        bank(BankOutcome::ApproveOther),
    ),
    own(
        "pm_sim_late_success_after_cancel",
        "Succeeds only after you gave up waiting",
        bank(BankOutcome::ApproveAfterCancel),
    ),
    own(
        "pm_sim_late_success_after_decline",
        "Declined, later succeeds all the same",
        bank(BankOutcome::DeclineThenApprove),
    ),
    own(
        "pm_sim_customer_cancels",
        "You cancel at your bank",
        bank(BankOutcome::CustomerCancels),
    ),
    own(
        "pm_sim_webhooks_dropped",
        "Succeeds, the shop is never told",
        news(WebhookPlan::Dropped, BankOutcome::Approve),
    ),
    own(
        "pm_sim_webhooks_duplicated",
        "Succeeds, the shop is told five times",
        news(WebhookPlan::Duplicated, BankOutcome::Approve),
    ),
    own(
        "pm_sim_webhooks_reordered",
        "Succeeds, the shop is told in the wrong order",
        news(WebhookPlan::Reordered, BankOutcome::ProcessThenApprove),
    ),
    own(
        "pm_sim_webhooks_delayed",
        "Succeeds, the shop is told late",
        news(WebhookPlan::Delayed, BankOutcome::Approve),
    ),
];

impl TestMethod {
    fn all() -> impl Iterator<Item = &'static Self> {
        CARDS.iter().chain(SIMULATED)
    }

    /// The method with this id.
    pub(crate) fn named(id: &str) -> Option<&'static Self> {
        Self::all().find(|method| method.id == id)
    }

    /// The method with this card token.
    pub(crate) fn of_token(token: &str) -> Option<&'static Self> {
        Self::all().find(|method| method.token == Some(token))
    }

    /// The method with this card number. Spaces are ignored.
    pub(crate) fn of_number(number: &str) -> Option<&'static Self> {
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        Self::all().find(|method| method.number == Some(digits.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_first_method_succeeds() {
        assert_eq!(CARDS[0].behaviour, bank(BankOutcome::Approve));
    }

    #[test]
    fn names_tokens_and_numbers_are_unique() {
        let mut seen = HashSet::new();
        for method in TestMethod::all() {
            for name in [Some(method.id), method.token, method.number]
                .into_iter()
                .flatten()
            {
                assert!(seen.insert(name), "{name}");
            }
        }
    }

    #[test]
    fn a_method_is_found_by_each_of_its_names() {
        let id = "pm_card_chargeDeclinedExpiredCard";
        assert_eq!(TestMethod::named(id).unwrap().id, id);
        let token = TestMethod::of_token("tok_chargeDeclinedExpiredCard");
        assert_eq!(token.unwrap().id, id);
        assert_eq!(TestMethod::of_number("4000 0000 0000 0069").unwrap().id, id);
        assert!(TestMethod::named("pm_card_unknown").is_none());
    }
}

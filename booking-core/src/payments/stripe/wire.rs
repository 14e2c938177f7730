//! What Stripe's API answers with, and what it means.

use std::collections::HashMap;

use contract::HoldId;
use contract::coupon::PaymentKind;
use serde::Deserialize;
use serde_json::Value;
use show_file::currency;

use crate::money::FailureReason;
use crate::payments::provider::{
    Intent, IntentStatus, ListedIntent, Origin, ProviderDispute, ProviderPage, ProviderRefund,
    ProviderRefundStatus, Try,
};

#[derive(Debug, Default, Deserialize)]
pub(super) struct WireErrorBody {
    #[serde(default)]
    pub(super) error: WireError,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct WireError {
    code: Option<String>,
    decline_code: Option<String>,
    pub(super) message: Option<String>,
}

impl WireError {
    pub(super) fn reason(&self) -> FailureReason {
        FailureReason::from_codes(
            self.code.as_deref().unwrap_or_default(),
            self.decline_code.as_deref(),
        )
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct WireIntent {
    id: String,
    #[serde(default)]
    client_secret: Option<String>,
    status: String,
    currency: String,
    #[serde(default)]
    amount_received: i64,
    #[serde(default)]
    last_payment_error: Option<WireError>,
    #[serde(default)]
    cancellation_reason: Option<String>,
    #[serde(default)]
    metadata: HashMap<String, String>,
    #[serde(default)]
    latest_charge: Option<WireLatestCharge>,
}

/// The charge of the last try as its id or as a whole.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum WireLatestCharge {
    Whole(Box<WireCharge>),
    #[expect(dead_code, reason = "an id says nothing of the charge")]
    Id(String),
}

/// A try to pay.
#[derive(Debug, Deserialize)]
struct WireCharge {
    id: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    failure_code: Option<String>,
    #[serde(default)]
    outcome: Value,
    #[serde(default)]
    payment_method_details: Value,
}

impl WireIntent {
    /// What the last try was made with, if it is told.
    pub(super) fn kind(self) -> Option<PaymentKind> {
        let Some(WireLatestCharge::Whole(charge)) = self.latest_charge else {
            return None;
        };
        let details = &charge.payment_method_details;
        let method = details["type"].as_str()?;
        let told = |name: &str| details[method][name].as_str().map(str::to_owned);
        Some(PaymentKind {
            method: method.to_owned(),
            network: told("brand").or(told("network")),
            funding: told("funding"),
            // Cards have an issuer for some accounts only, other ways a bank.
            issuer: told("issuer").or(told("bank")).or(told("bank_name")),
        })
    }
}

impl From<WireCharge> for Try {
    fn from(charge: WireCharge) -> Self {
        let details = &charge.payment_method_details;
        let kind = details["type"].as_str().unwrap_or_default();
        // Cards and bank accounts have one.
        let fingerprint = details[kind]["fingerprint"].as_str();
        Self {
            id: charge.id,
            declined: charge.status == "failed" && {
                let code = charge.failure_code.as_deref().unwrap_or_default();
                let said = charge.outcome["reason"].as_str();
                ![Some(code), said]
                    .into_iter()
                    .flatten()
                    .any(|code| FailureReason::from_codes(code, None).is_a_fault())
            },
            instrument: fingerprint.map(|text| format!("{kind}:{text}")),
            country: details[kind]["country"].as_str().map(str::to_owned),
            risk: match charge.outcome["risk_level"].as_str() {
                Some("elevated") => 1,
                Some("highest") => 2,
                _ => 0,
            },
        }
    }
}

impl From<WireIntent> for Intent {
    fn from(intent: WireIntent) -> Self {
        let status = match intent.status.as_str() {
            "succeeded" => IntentStatus::Succeeded,
            "processing" => IntentStatus::Processing,
            "requires_capture" => IntentStatus::Authorized,
            "requires_action" => IntentStatus::RequiresAction,
            "canceled" => IntentStatus::Cancelled(match intent.cancellation_reason.as_deref() {
                Some("abandoned" | "automatic" | "void_invoice") => FailureReason::SessionExpired,
                Some("duplicate") => FailureReason::DuplicateTransaction,
                Some("fraudulent") => FailureReason::Fraud,
                _ => FailureReason::UserCancelled,
            }),
            _ => IntentStatus::Unpaid(intent.last_payment_error.as_ref().map(WireError::reason)),
        };
        let currency = intent.currency.to_uppercase();
        Self {
            id: intent.id,
            client_secret: intent.client_secret.unwrap_or_default(),
            redirect_url: None,
            charge_id: None,
            status,
            received_minor: currency::from_provider(intent.amount_received, &currency),
            currency,
            others: Vec::new(),
            tries: match intent.latest_charge {
                Some(WireLatestCharge::Whole(charge)) => vec![Try::from(*charge)],
                Some(WireLatestCharge::Id(_)) | None => Vec::new(),
            },
            kind: None,
        }
    }
}

impl From<WireIntent> for ListedIntent {
    fn from(mut intent: WireIntent) -> Self {
        let hold_id = intent.metadata.get("hold_id");
        let hold_id = hold_id.and_then(|id| id.parse::<HoldId>().ok());
        let attempt = intent.metadata.get("attempt");
        let attempt = attempt.and_then(|number| number.parse().ok());
        Self {
            origin: Some(Origin {
                attempt: hold_id.map(HoldId::uuid).zip(attempt),
                return_url: intent.metadata.remove("return_url"),
            }),
            intent: intent.into(),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct WireList<T> {
    pub(super) data: Vec<T>,
    #[serde(default)]
    has_more: bool,
}

/// Something that a list names, by which the next page is asked for.
pub(super) trait Named {
    fn id(&self) -> &str;
}

macro_rules! named {
    ($($wire:ty),+) => {
        $(impl Named for $wire {
            fn id(&self) -> &str {
                &self.id
            }
        })+
    };
}

named!(WireIntent, WireRefund, WireDispute);

impl<T: Named, U: From<T>> From<WireList<T>> for ProviderPage<U> {
    fn from(list: WireList<T>) -> Self {
        let end = list.data.last().filter(|_| list.has_more);
        Self {
            next: end.map(|item| item.id().to_owned()),
            items: list.data.into_iter().map(U::from).collect(),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct WireRefund {
    id: String,
    status: String,
    amount: i64,
    currency: String,
    #[serde(default)]
    payment_intent: Option<String>,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

impl From<WireRefund> for ProviderRefund {
    fn from(mut refund: WireRefund) -> Self {
        let currency = refund.currency.to_uppercase();
        Self {
            id: refund.id,
            status: match refund.status.as_str() {
                "succeeded" => ProviderRefundStatus::Succeeded,
                "failed" | "canceled" => ProviderRefundStatus::Failed,
                _ => ProviderRefundStatus::Pending,
            },
            refund_id: refund.metadata.remove("refund_id"),
            intent_id: refund.payment_intent,
            amount_minor: currency::from_provider(refund.amount, &currency),
            currency,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct WireDispute {
    id: String,
    status: String,
    amount: i64,
    currency: String,
    #[serde(default)]
    payment_intent: Option<String>,
}

impl From<WireDispute> for ProviderDispute {
    fn from(dispute: WireDispute) -> Self {
        let currency = dispute.currency.to_uppercase();
        Self {
            id: dispute.id,
            taken: !(dispute.status == "won" || dispute.status.starts_with("warning_")),
            intent_id: dispute.payment_intent,
            amount_minor: currency::from_provider(dispute.amount, &currency),
            currency,
        }
    }
}

/// A checkout session, with its payment intent if that was expanded.
#[derive(Debug, Deserialize)]
pub(super) struct WireSession {
    id: String,
    #[serde(default)]
    status: Option<String>,
    payment_status: String,
    #[serde(default)]
    amount_total: Option<i64>,
    #[serde(default)]
    currency: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    payment_intent: Option<WireExpanded>,
}

/// A payment intent as its id or as a whole.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum WireExpanded {
    Id(String),
    Whole(Box<WireIntent>),
}

impl From<WireSession> for Intent {
    fn from(session: WireSession) -> Self {
        let currency = session.currency.unwrap_or_default().to_uppercase();
        let total = currency::from_provider(session.amount_total.unwrap_or(0), &currency);
        let is_paid = session.payment_status != "unpaid";
        let (charge_id, inner) = match session.payment_intent {
            None => (None, None),
            Some(WireExpanded::Id(id)) => (Some(id), None),
            Some(WireExpanded::Whole(intent)) => {
                (Some(intent.id.clone()), Some(Intent::from(*intent)))
            }
        };
        let received = match &inner {
            Some(inner) => inner.received_minor,
            None if is_paid => total,
            None => 0,
        };
        let currency = inner
            .as_ref()
            .map_or(currency, |inner| inner.currency.clone());
        let tries = inner.as_ref().map(|inner| inner.tries.clone());
        let inner = inner.map(|inner| inner.status);
        let status = match (session.status.as_deref(), inner) {
            (_, Some(settled @ (IntentStatus::Succeeded | IntentStatus::Authorized))) => settled,
            // A customer who has begun may still finish, whatever became of the page.
            (
                Some("expired"),
                Some(begun @ (IntentStatus::Processing | IntentStatus::RequiresAction)),
            ) => begun,
            (Some("expired"), _) => IntentStatus::Cancelled(FailureReason::SessionExpired),
            (Some("complete"), _) if is_paid => IntentStatus::Succeeded,
            // A delayed way to pay that failed after the page was left: nobody can pay here again.
            (Some("complete"), Some(IntentStatus::Unpaid(reason))) => {
                IntentStatus::Cancelled(reason.unwrap_or(FailureReason::InvalidCard))
            }
            (Some("complete"), Some(IntentStatus::Cancelled(reason))) => {
                IntentStatus::Cancelled(reason)
            }
            (Some("complete"), _) => IntentStatus::Processing,
            // The page offers to pay again after a failure. A payment intent that is cancelled
            // below an open page is none that this page can be paid with.
            (_, Some(IntentStatus::Cancelled(reason))) => IntentStatus::Unpaid(Some(reason)),
            (_, Some(status)) => status,
            (_, None) => IntentStatus::Unpaid(None),
        };
        Self {
            id: session.id,
            client_secret: String::new(),
            redirect_url: session.url,
            charge_id,
            status,
            received_minor: received,
            currency,
            // A session is paid by one payment intent.
            others: Vec::new(),
            tries: tries.unwrap_or_default(),
            kind: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(session: Value) -> Intent {
        serde_json::from_value::<WireSession>(session)
            .unwrap()
            .into()
    }

    #[test]
    fn an_inquiry_and_a_dispute_that_was_won_take_no_money() {
        for (status, taken) in [
            ("needs_response", true),
            ("under_review", true),
            ("lost", true),
            ("won", false),
            ("warning_needs_response", false),
            ("warning_closed", false),
        ] {
            let dispute = json!({"id": "dp_1", "status": status, "amount": 500, "currency": "inr"});
            let told: ProviderDispute = serde_json::from_value::<WireDispute>(dispute)
                .unwrap()
                .into();
            assert_eq!(told.taken, taken, "{status}");
        }
    }

    #[test]
    fn a_fault_of_the_bank_is_no_decline() {
        for (status, code, reason, declined) in [
            ("succeeded", None, None, false),
            (
                "failed",
                Some("card_declined"),
                Some("insufficient_funds"),
                true,
            ),
            (
                "failed",
                Some("card_declined"),
                Some("generic_decline"),
                true,
            ),
            ("failed", Some("expired_card"), None, true),
            (
                "failed",
                Some("card_declined"),
                Some("issuer_not_available"),
                false,
            ),
            (
                "failed",
                Some("card_declined"),
                Some("try_again_later"),
                false,
            ),
            (
                "failed",
                Some("processing_error"),
                Some("processing_error"),
                false,
            ),
            ("failed", Some("processing_error"), None, false),
        ] {
            let charge = json!({"id": "ch_1", "status": status, "failure_code": code,
                "outcome": {"reason": reason}});
            let told = Try::from(serde_json::from_value::<WireCharge>(charge.clone()).unwrap());
            assert_eq!(told.declined, declined, "{charge}");
        }
    }

    #[test]
    fn a_session_is_what_its_page_and_its_intent_say() {
        use IntentStatus::{Authorized, Cancelled, Processing, RequiresAction, Succeeded, Unpaid};
        let declined = json!({"code": "card_declined", "decline_code": "insufficient_funds"});
        for (status, paid, inner, means) in [
            ("open", "unpaid", Value::Null, Unpaid(None)),
            ("open", "unpaid", json!("requires_action"), RequiresAction),
            (
                "open",
                "unpaid",
                json!("requires_payment_method"),
                Unpaid(Some(FailureReason::InsufficientFunds)),
            ),
            ("open", "unpaid", json!("processing"), Processing),
            // Somebody was at the bank when the page was closed: nothing is proven.
            ("expired", "unpaid", json!("processing"), Processing),
            (
                "expired",
                "unpaid",
                json!("requires_action"),
                RequiresAction,
            ),
            // The money came while the page was being closed.
            ("expired", "unpaid", json!("succeeded"), Succeeded),
            (
                "expired",
                "unpaid",
                Value::Null,
                Cancelled(FailureReason::SessionExpired),
            ),
            ("complete", "paid", json!("succeeded"), Succeeded),
            // The bank has agreed, and the money waits to be taken.
            ("complete", "unpaid", json!("requires_capture"), Authorized),
            ("expired", "unpaid", json!("requires_capture"), Authorized),
            ("complete", "unpaid", json!("processing"), Processing),
            (
                "complete",
                "unpaid",
                json!("requires_payment_method"),
                Cancelled(FailureReason::InsufficientFunds),
            ),
        ] {
            let intent = match inner {
                Value::Null => Value::Null,
                status => json!({"id": "pi_1", "status": status, "currency": "inr",
                    "amount_received": if status == "succeeded" { 500 } else { 0 },
                    "last_payment_error": declined}),
            };
            let found = read(
                json!({"id": "cs_1", "status": status, "payment_status": paid,
                "currency": "inr", "amount_total": 500, "payment_intent": intent}),
            );
            assert_eq!(found.status, means, "{status} {intent}");
            let received = if means == Succeeded { 500 } else { 0 };
            assert_eq!(found.received_minor, received, "{status} {intent}");
            assert_eq!(found.charge_id.is_some(), !intent.is_null());
        }
        let unexpanded = read(
            json!({"id": "cs_1", "status": "complete", "payment_status": "paid",
            "currency": "inr", "amount_total": 500, "payment_intent": "pi_1"}),
        );
        assert_eq!(
            (unexpanded.status, unexpanded.received_minor),
            (Succeeded, 500)
        );
        assert_eq!(unexpanded.charge_id.as_deref(), Some("pi_1"));
    }
}

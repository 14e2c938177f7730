//! What Razorpay's API answers with, and what it means.

use contract::HoldId;
use contract::coupon::PaymentKind;
use serde::Deserialize;
use serde_json::Value;

use super::reasons;
use crate::money::FailureReason;
use crate::payments::provider::{
    Charge, Intent, IntentStatus, ListedIntent, Origin, ProviderDispute, ProviderRefund,
    ProviderRefundStatus, Try,
};

/// What ids of payment links begin with.
const LINK_PREFIX: &str = "plink_";

#[derive(Debug, Default, Deserialize)]
pub(super) struct WireErrorBody {
    #[serde(default)]
    pub(super) error: WireError,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct WireError {
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

impl WireError {
    pub(super) fn reason(&self) -> FailureReason {
        reasons::reason(&self.code, self.reason.as_deref())
    }

    /// Whether it refuses a payment link because its reference id has one already.
    pub(super) fn says_link_exists(&self) -> bool {
        let description = self.description.as_deref().unwrap_or_default();
        let description = description.to_ascii_lowercase();
        let is_taken = ["already exists", "already attempted"];
        description.contains("reference")
            && is_taken.iter().any(|words| description.contains(words))
    }
}

/// A payment link.
#[derive(Debug, Deserialize)]
pub(super) struct WireLink {
    pub(super) id: String,
    status: String,
    currency: String,
    #[serde(default)]
    short_url: Option<String>,
    /// The order of its payments, from when a customer opens it.
    #[serde(default)]
    order_id: Option<String>,
    /// The captured ones; no list before there is one.
    #[serde(default)]
    payments: Value,
    #[serde(default)]
    pub(super) reference_id: Option<String>,
    #[serde(default)]
    notes: Value,
}

/// A page of links.
#[derive(Debug, Deserialize)]
pub(super) struct WireLinks {
    pub(super) payment_links: Vec<WireLink>,
}

/// A page of anything else.
#[derive(Debug, Deserialize)]
pub(super) struct WireCollection<T> {
    pub(super) items: Vec<T>,
}

/// A payment: one attempt of a customer.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct WirePayment {
    pub(super) id: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    status: String,
    /// Whether the money was ever taken; false for a `refunded` one that Razorpay gave back itself.
    #[serde(default)]
    captured: Option<bool>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    error_code: Option<String>,
    #[serde(default)]
    error_reason: Option<String>,
    #[serde(default)]
    pub(super) created_at: i64,
    #[serde(default)]
    international: bool,
    #[serde(default)]
    vpa: Option<String>,
    #[serde(default)]
    card_id: Option<String>,
    #[serde(default)]
    card: Value,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    bank: Option<String>,
    #[serde(default)]
    wallet: Option<String>,
}

impl WirePayment {
    /// What it was made with, if it is told.
    pub(super) fn kind(self) -> Option<PaymentKind> {
        let told = |name: &str| {
            let text = self.card[name].as_str().filter(|text| !text.is_empty());
            text.map(str::to_owned)
        };
        Some(PaymentKind {
            method: self.method?,
            network: told("network"),
            funding: told("type"),
            issuer: told("issuer").or(self.bank).or(self.wallet),
        })
    }

    /// What stands for the account or card. The last digits alone belong to many cards, so they count
    /// only with the name on the card.
    fn instrument(&self) -> Option<String> {
        let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        if let Some(vpa) = given(self.vpa.as_deref()) {
            return Some(format!("vpa:{}", vpa.to_lowercase()));
        }
        let part = |name: &str| given(self.card[name].as_str());
        if let (Some(name), Some(last4)) = (part("name"), part("last4")) {
            let rest = ["network", "issuer", "type"].map(|name| part(name).unwrap_or_default());
            return Some(format!(
                "card:{last4}:{}:{}",
                rest.join(":"),
                name.to_lowercase()
            ));
        }
        given(self.card_id.as_deref()).map(|id| format!("card_id:{id}"))
    }

    /// The customer's try, once it has ended.
    fn tried(&self) -> Option<Try> {
        let is_over = self.has_money() || self.is_authorized() || self.status == "failed";
        is_over.then(|| Try {
            id: self.id.clone(),
            declined: self.status == "failed" && !self.failure().is_a_fault(),
            instrument: self.instrument(),
            country: self.international.then(|| "ZZ".to_owned()),
            // Razorpay tells no judgement of its own.
            risk: 0,
        })
    }

    /// Whether the bank has agreed and the money is not taken yet.
    pub(super) fn is_authorized(&self) -> bool {
        self.status == "authorized"
    }

    /// Whether money was captured, also if it went back since. What a bank agreed to and nobody
    /// captured is `refunded` in the end too.
    pub(super) fn has_money(&self) -> bool {
        match self.status.as_str() {
            "captured" => true,
            "refunded" => self.captured != Some(false),
            _ => false,
        }
    }

    pub(super) fn charge(&self) -> Charge {
        Charge {
            id: self.id.clone(),
            amount_minor: self.amount,
            currency: self.currency.to_uppercase(),
        }
    }

    fn is_under_way(&self) -> bool {
        matches!(self.status.as_str(), "created" | "pending" | "authorized")
    }

    fn failure(&self) -> FailureReason {
        let code = self.error_code.as_deref().unwrap_or_default();
        reasons::reason(code, self.error_reason.as_deref())
    }
}

impl WireLink {
    /// The order whose payments are the link's, once there is one.
    pub(super) fn order(&self) -> Option<&str> {
        self.order_id.as_deref().filter(|id| !id.is_empty())
    }

    /// The captured payments that it names itself.
    pub(super) fn named_payments(&self) -> Vec<WirePayment> {
        let named = self.payments.as_array().map_or(&[][..], Vec::as_slice);
        let read = |payment: &Value| {
            Some(WirePayment {
                id: payment["payment_id"].as_str()?.to_owned(),
                amount: payment["amount"].as_i64()?,
                currency: self.currency.clone(),
                status: payment["status"].as_str()?.to_owned(),
                captured: None,
                description: None,
                error_code: None,
                error_reason: None,
                created_at: payment["created_at"].as_i64().unwrap_or(0),
                international: false,
                vpa: None,
                card_id: None,
                card: Value::Null,
                method: None,
                bank: None,
                wallet: None,
            })
        };
        named.iter().filter_map(read).collect()
    }

    pub(super) fn origin(&self) -> Origin {
        origin(&self.notes)
    }

    /// The intent, of the link and the payments made for it, in any order.
    pub(super) fn with(self, mut payments: Vec<WirePayment>) -> Intent {
        payments.sort_by_key(|payment| std::cmp::Reverse(payment.created_at));
        // The first that is still here is what the customer paid; further ones were paid by mistake.
        let mut taken: Vec<&WirePayment> = payments.iter().filter(|it| it.has_money()).collect();
        taken.sort_by(|a, b| {
            let order = |it: &WirePayment| (it.status == "refunded", it.created_at);
            order(a).cmp(&order(b)).then_with(|| a.id.cmp(&b.id))
        });
        let mut taken = taken.into_iter().map(WirePayment::charge);
        let charge = taken.next();
        let others: Vec<Charge> = taken.collect();
        let under_way = payments.iter().any(WirePayment::is_under_way);
        let status = match self.status.as_str() {
            _ if charge.is_some() => IntentStatus::Succeeded,
            // A customer who has begun may still finish, whatever became of the link.
            "cancelled" | "expired" | "paid" | "partially_paid" if under_way => {
                IntentStatus::Processing
            }
            // Only we cancel links: who asked us to is known by the caller alone.
            "cancelled" | "expired" => IntentStatus::Cancelled(FailureReason::SessionExpired),
            // Paid, and the payment is not told yet.
            "paid" | "partially_paid" => IntentStatus::Processing,
            _ => match payments.first() {
                None => IntentStatus::Unpaid(None),
                Some(payment) if payment.is_authorized() => IntentStatus::Processing,
                Some(payment) if payment.is_under_way() => IntentStatus::RequiresAction,
                Some(payment) => IntentStatus::Unpaid(Some(payment.failure())),
            },
        };
        Intent {
            received_minor: charge.as_ref().map_or(0, |charge| charge.amount_minor),
            charge_id: charge.map(|charge| charge.id),
            others,
            currency: self.currency.to_uppercase(),
            status,
            client_secret: String::new(),
            redirect_url: self.short_url,
            id: self.id,
            tries: payments.iter().filter_map(WirePayment::tried).collect(),
            kind: None,
        }
    }
}

/// The payment of a link that is to be captured: the first that a bank has agreed to, unless one has
/// money already.
pub(super) fn to_capture(payments: &mut [WirePayment]) -> Option<&mut WirePayment> {
    if payments.iter().any(WirePayment::has_money) {
        return None;
    }
    let agreed = payments
        .iter_mut()
        .filter(|payment| payment.is_authorized());
    agreed.min_by_key(|payment| payment.created_at)
}

/// Whose something is, from its notes. Empty notes are a list.
fn origin(notes: &Value) -> Origin {
    let hold = notes["hold_id"].as_str();
    let hold = hold.and_then(|id| id.parse::<HoldId>().ok());
    let attempt = notes["attempt"].as_str();
    let attempt = attempt.and_then(|number| number.parse().ok());
    Origin {
        attempt: hold.map(HoldId::uuid).zip(attempt),
        return_url: notes["return_url"].as_str().map(str::to_owned),
    }
}

/// The hold and the attempt in the notes of a link.
pub(super) fn attempt(notes: &Value) -> Option<(uuid::Uuid, i32)> {
    origin(notes).attempt
}

/// The link that a payment was made for: its description is the link's id, written `#…`.
pub(super) fn link_of(description: Option<&str>) -> Option<String> {
    let id = description?.strip_prefix('#')?;
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then(|| format!("{LINK_PREFIX}{id}"))
}

impl From<WirePayment> for ListedIntent {
    fn from(payment: WirePayment) -> Self {
        let link = link_of(payment.description.as_deref());
        let status = if payment.has_money() {
            IntentStatus::Succeeded
        } else if payment.is_under_way() {
            IntentStatus::Processing
        } else {
            IntentStatus::Unpaid(Some(payment.failure()))
        };
        Self {
            // Payments without a link were made by others.
            origin: link.is_none().then(Origin::default),
            intent: Intent {
                received_minor: if payment.has_money() {
                    payment.amount
                } else {
                    0
                },
                currency: payment.currency.to_uppercase(),
                id: link.unwrap_or_else(|| payment.id.clone()),
                charge_id: Some(payment.id),
                client_secret: String::new(),
                redirect_url: None,
                status,
                others: Vec::new(),
                tries: Vec::new(),
                kind: None,
            },
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct WireRefund {
    id: String,
    payment_id: String,
    amount: i64,
    currency: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    notes: Value,
    #[serde(default)]
    pub(super) created_at: i64,
}

impl From<WireRefund> for ProviderRefund {
    fn from(refund: WireRefund) -> Self {
        Self {
            status: match refund.status.as_deref() {
                Some("processed") => ProviderRefundStatus::Succeeded,
                Some("failed") => ProviderRefundStatus::Failed,
                _ => ProviderRefundStatus::Pending,
            },
            refund_id: refund.notes["refund_id"].as_str().map(str::to_owned),
            amount_minor: refund.amount,
            currency: refund.currency.to_uppercase(),
            intent_id: Some(refund.payment_id),
            id: refund.id,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct WireDispute {
    id: String,
    pub(super) payment_id: String,
    amount: i64,
    #[serde(default)]
    amount_deducted: i64,
    currency: String,
    status: String,
    #[serde(default)]
    pub(super) created_at: i64,
}

impl From<WireDispute> for ProviderDispute {
    fn from(dispute: WireDispute) -> Self {
        let is_open = matches!(dispute.status.as_str(), "open" | "under_review");
        Self {
            // The money is deducted at the latest when the dispute is lost.
            taken: dispute.status == "lost" || (is_open && dispute.amount_deducted > 0),
            amount_minor: dispute.amount,
            currency: dispute.currency.to_uppercase(),
            intent_id: Some(dispute.payment_id),
            id: dispute.id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn payment(status: &str, reason: Option<&str>, created_at: i64) -> WirePayment {
        let payment = json!({"id": format!("pay_{created_at}"), "amount": 500, "currency": "INR",
            "status": status, "error_code": "BAD_REQUEST_ERROR", "error_reason": reason,
            "created_at": created_at});
        serde_json::from_value(payment).unwrap()
    }

    fn link(status: &str) -> WireLink {
        let link = json!({"id": "plink_1", "status": status, "currency": "INR",
            "short_url": "https://rzp.io/i/x", "payments": null, "notes": []});
        serde_json::from_value(link).unwrap()
    }

    #[test]
    fn a_link_is_what_its_payments_say() {
        use IntentStatus::{Cancelled, Processing, RequiresAction, Succeeded, Unpaid};
        let funds = || payment("failed", Some("insufficient_funds"), 1);
        let captured = |at| payment("captured", None, at);
        for (status, payments, means) in [
            ("created", vec![], Unpaid(None)),
            ("created", vec![payment("created", None, 1)], RequiresAction),
            ("created", vec![payment("authorized", None, 1)], Processing),
            (
                "created",
                vec![funds()],
                Unpaid(Some(FailureReason::InsufficientFunds)),
            ),
            // The latest attempt counts, also when it is listed first.
            (
                "created",
                vec![payment("failed", Some("card_expired"), 2), funds()],
                Unpaid(Some(FailureReason::ExpiredCard)),
            ),
            ("paid", vec![funds(), captured(2)], Succeeded),
            ("paid", vec![], Processing),
            (
                "cancelled",
                vec![],
                Cancelled(FailureReason::SessionExpired),
            ),
            (
                "expired",
                vec![funds()],
                Cancelled(FailureReason::SessionExpired),
            ),
            // Somebody was at the bank when the link was cancelled: nothing is proven.
            ("cancelled", vec![payment("created", None, 1)], Processing),
            (
                "cancelled",
                vec![payment("authorized", None, 1)],
                Processing,
            ),
            // Failed, and paid after all.
            ("cancelled", vec![captured(1)], Succeeded),
            ("paid", vec![payment("refunded", None, 1)], Succeeded),
        ] {
            let told = format!("{status} {payments:?}");
            let found = link(status).with(payments);
            assert_eq!(found.status, means, "{told}");
            assert_eq!(found.received_minor > 0, means == Succeeded, "{told}");
            assert_eq!(found.charge_id.is_some(), means == Succeeded, "{told}");
        }
    }

    #[test]
    fn a_reference_that_is_taken_is_told_in_two_ways() {
        for (description, exists) in [
            (
                "payment link creation with reference ID already attempted",
                true,
            ),
            (
                "payment link with given reference_id: 0190 already exists",
                true,
            ),
            ("reference_id: the length must be no more than 40.", false),
            ("The item already exists", false),
        ] {
            let body = json!({"error": {"description": description}});
            let body: WireErrorBody = serde_json::from_value(body).unwrap();
            assert_eq!(body.error.says_link_exists(), exists, "{description}");
        }
    }

    #[test]
    fn payments_name_their_link() {
        assert_eq!(link_of(Some("#Ab1")).as_deref(), Some("plink_Ab1"));
        for other in [None, Some(""), Some("#"), Some("Order 1"), Some("#1 / 2")] {
            assert_eq!(link_of(other), None, "{other:?}");
        }
    }

    #[test]
    fn only_what_was_deducted_is_taken() {
        for (status, deducted, taken) in [
            ("open", 0, false),
            ("open", 500, true),
            ("under_review", 500, true),
            ("lost", 0, true),
            ("won", 500, false),
            ("closed", 0, false),
        ] {
            let dispute = json!({"id": "disp_1", "payment_id": "pay_1", "amount": 500,
                "amount_deducted": deducted, "currency": "INR", "status": status});
            let dispute: WireDispute = serde_json::from_value(dispute).unwrap();
            assert_eq!(
                ProviderDispute::from(dispute).taken,
                taken,
                "{status} {deducted}"
            );
        }
    }
}

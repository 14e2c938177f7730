//! Razorpay's JSON objects and events, built from the simulator's records. Pure.

use contract::Timestamp;
use serde_json::{Value, json};

use crate::card;
use crate::dispute::{Dispute, DisputeStatus};
use crate::intent::{Intent, Notice, Status};
use crate::link::Link;
use crate::method::Decline;
use crate::refund::{Refund, RefundState};

/// A payment link with its payments, oldest first.
pub(crate) fn link(link: &Link, payments: &[&Intent], now: Timestamp, base_url: &str) -> Value {
    let is_taken = |payment: &&&Intent| payment.captured_minor() > 0;
    let taken = payments.iter().filter(is_taken);
    let named: Vec<Value> = taken
        .clone()
        .map(|payment| {
            json!({
                "amount": payment.captured_minor(),
                "created_at": payment.created_at.as_unix_seconds(),
                "method": payment.link.as_ref().map(|link| &link.method),
                "payment_id": payment.id,
                "plink_id": link.id,
                "status": "captured",
                "updated_at": payment.created_at.as_unix_seconds(),
            })
        })
        .collect();
    let seconds = |at: Option<Timestamp>| at.map_or(0, Timestamp::as_unix_seconds);
    let status = link.status(payments, now);
    json!({
        "accept_partial": false,
        "amount": link.amount_minor,
        "amount_paid": taken.map(|payment| payment.captured_minor()).sum::<u64>(),
        "callback_method": if link.callback_url.is_some() { "get" } else { "" },
        "callback_url": link.callback_url.as_deref().unwrap_or_default(),
        "cancelled_at": seconds(link.cancelled_at),
        "created_at": link.created_at.as_unix_seconds(),
        "currency": link.currency,
        "customer": {},
        "description": link.description.as_deref().unwrap_or_default(),
        "expire_by": link.expire_by.as_unix_seconds(),
        "expired_at": if status == "expired" { link.expire_by.as_unix_seconds() } else { 0 },
        "first_min_partial_amount": 0,
        "id": link.id,
        "notes": notes(&link.notes),
        "notify": { "email": false, "sms": false, "whatsapp": false },
        // There is an order from when a customer begins to pay.
        "order_id": if payments.is_empty() { String::new() } else { link.order() },
        "payments": if named.is_empty() { Value::Null } else { Value::Array(named) },
        "reference_id": link.reference_id.as_deref().unwrap_or_default(),
        "reminder_enable": false,
        "reminders": [],
        "short_url": format!("{base_url}/razorpay/i/{}", link.id),
        "status": status,
        "updated_at": now.as_unix_seconds(),
        "upi_link": false,
        "user_id": "",
        "whatsapp_link": false,
    })
}

/// Empty notes are a list.
fn notes(notes: &std::collections::BTreeMap<String, String>) -> Value {
    if notes.is_empty() {
        json!([])
    } else {
        json!(notes)
    }
}

fn payment_status(payment: &Intent) -> &'static str {
    match payment.status {
        Status::Succeeded if payment.awaits_capture() => "authorized",
        Status::Succeeded if payment.refunded_minor >= payment.captured_minor() => "refunded",
        Status::Succeeded => "captured",
        Status::RequiresCapture => "authorized",
        Status::Processing | Status::RequiresAction | Status::RequiresConfirmation => "created",
        Status::RequiresPaymentMethod | Status::Canceled => "failed",
    }
}

/// A payment.
pub(crate) fn payment(link: &Link, payment: &Intent) -> Value {
    let method = payment.link.as_ref().map(|link| link.method.as_str());
    let status = payment_status(payment);
    let failure = (status == "failed").then(|| failure(payment));
    let (code, reason, description) = failure.unzip3();
    let agreed = payment.capture.as_ref().map(|capture| capture.amount_minor);
    json!({
        "acquirer_data": {},
        "amount": agreed.unwrap_or(payment.amount_minor),
        "amount_refunded": payment.refunded_minor,
        "bank": (method == Some("netbanking")).then_some("HDFC"),
        "captured": payment.captured_minor() > 0,
        "card_id": (method == Some("card")).then(|| format!("card_{}", card::fingerprint(payment))),
        "contact": "+919000090000",
        "created_at": payment.created_at.as_unix_seconds(),
        "currency": link.currency,
        "description": link.mark(),
        "email": null,
        "entity": "payment",
        "error_code": code,
        "error_description": description,
        "error_reason": reason,
        "error_source": code.map(|_| "customer"),
        "error_step": code.map(|_| "payment_authorization"),
        "fee": null,
        "id": payment.id,
        "international": payment.payment_method.as_deref() == Some("pm_card_fr"),
        "invoice_id": null,
        "method": method,
        "notes": [],
        "order_id": link.order(),
        "refund_status": match status {
            "refunded" => Some("full"),
            _ if payment.refunded_minor > 0 => Some("partial"),
            _ => None,
        },
        "status": status,
        "tax": null,
        "vpa": (method == Some("upi")).then(|| card::vpa(payment)),
        "wallet": (method == Some("wallet")).then_some("payzapp"),
    })
}

/// The card of a payment.
pub(crate) fn card(payment: &Intent) -> Value {
    json!({
        "emi": false,
        "entity": "card",
        "id": format!("card_{}", card::fingerprint(payment)),
        "international": payment.payment_method.as_deref() == Some("pm_card_fr"),
        "issuer": card::issuer(payment),
        "last4": "4242",
        "name": payment.card.as_deref().unwrap_or_default(),
        "network": match card::network(payment) {
            "mastercard" => "MasterCard",
            "amex" => "American Express",
            _ => "Visa",
        },
        "sub_type": "consumer",
        "type": card::funding(payment),
    })
}

/// Three values of an option of three.
trait Unzip3<A, B, C> {
    fn unzip3(self) -> (Option<A>, Option<B>, Option<C>);
}

impl<A, B, C> Unzip3<A, B, C> for Option<(A, B, C)> {
    fn unzip3(self) -> (Option<A>, Option<B>, Option<C>) {
        match self {
            Some((a, b, c)) => (Some(a), Some(b), Some(c)),
            None => (None, None, None),
        }
    }
}

/// Code, reason and description of a failed payment.
fn failure(payment: &Intent) -> (&'static str, &'static str, &'static str) {
    const BAD: &str = "BAD_REQUEST_ERROR";
    const GATEWAY: &str = "GATEWAY_ERROR";
    let Some(failure) = &payment.last_failure else {
        return (
            BAD,
            "payment_cancelled",
            "Payment was cancelled by the customer.",
        );
    };
    let (code, reason) = match failure.decline {
        Decline::Generic => (BAD, "payment_declined"),
        Decline::InsufficientFunds => (BAD, "insufficient_funds"),
        Decline::ExpiredCard => (BAD, "card_expired"),
        Decline::IncorrectCvc => (BAD, "incorrect_cvv"),
        Decline::IncorrectNumber => (BAD, "card_number_invalid"),
        Decline::ProcessingError => (GATEWAY, "payment_pending"),
        Decline::Fraudulent => (BAD, "payment_risk_check_failed"),
        Decline::CurrencyNotSupported => (BAD, "international_transaction_not_allowed"),
        Decline::DuplicateTransaction => (BAD, "duplicate_request"),
        Decline::IssuerNotAvailable => (GATEWAY, "bank_technical_error"),
        Decline::AuthenticationFailed => (BAD, "authentication_failed"),
    };
    (code, reason, failure.decline.words().message)
}

/// A refund.
pub(crate) fn refund(refund: &Refund) -> Value {
    json!({
        "acquirer_data": { "arn": null },
        "amount": refund.amount_minor,
        "batch_id": null,
        "created_at": refund.created_at.as_unix_seconds(),
        "currency": refund.currency.to_uppercase(),
        "entity": "refund",
        "id": refund.id,
        "notes": notes(&refund.metadata),
        "payment_id": refund.intent,
        "receipt": null,
        "speed_processed": "normal",
        "speed_requested": "normal",
        "status": match refund.state() {
            RefundState::Pending => "pending",
            RefundState::Paid => "processed",
            RefundState::Failed => "failed",
        },
    })
}

/// A dispute. The states of Stripe's stand for Razorpay's.
pub(crate) fn dispute(dispute: &Dispute) -> Value {
    let (status, deducted) = match dispute.status {
        DisputeStatus::Won => ("won", 0),
        DisputeStatus::Lost => ("lost", dispute.amount_minor),
        status if status.takes_money() => ("open", dispute.amount_minor),
        status if status.is_closed() => ("closed", 0),
        _ => ("open", 0),
    };
    json!({
        "amount": dispute.amount_minor,
        "amount_deducted": deducted,
        "created_at": dispute.created_at.as_unix_seconds(),
        "currency": dispute.currency.to_uppercase(),
        "entity": "dispute",
        "id": dispute.id,
        "payment_id": dispute.intent,
        "phase": "chargeback",
        "reason_code": "chargeback_authorization",
        "respond_by": dispute.created_at.as_unix_seconds() + 7 * 86_400,
        "status": status,
    })
}

/// A page of anything.
pub(crate) fn collection(items: impl Iterator<Item = Value>) -> Value {
    let items: Vec<Value> = items.collect();
    json!({ "entity": "collection", "count": items.len(), "items": items })
}

/// The events of a change of a payment of `link`, each with its payload.
pub(crate) fn events(
    of: &Link,
    changed: &Intent,
    notice: Notice,
    now: Timestamp,
) -> Vec<(&'static str, Value)> {
    let shown = json!({ "payment": { "entity": payment(of, changed) } });
    match notice {
        Notice::Succeeded if changed.awaits_capture() => vec![("payment.authorized", shown)],
        Notice::Succeeded => {
            let mut all = shown.clone();
            all["payment_link"] = json!({ "entity": link(of, &[changed], now, "") });
            all["order"] = json!({ "entity": order(of) });
            vec![
                ("payment.authorized", shown.clone()),
                ("payment.captured", shown),
                ("payment_link.paid", all),
            ]
        }
        Notice::PaymentFailed | Notice::Canceled => vec![("payment.failed", shown)],
        Notice::Capturable => vec![("payment.authorized", shown)],
        Notice::Processing | Notice::RequiresAction => Vec::new(),
    }
}

fn order(link: &Link) -> Value {
    json!({
        "amount": link.amount_minor,
        "amount_paid": link.amount_minor,
        "currency": link.currency,
        "entity": "order",
        "id": link.order(),
        "notes": [],
        "receipt": link.reference_id,
        "status": "paid",
    })
}

/// A webhook.
pub(crate) fn event(event_type: &str, payload: &Value, now: Timestamp) -> Value {
    let contains: Vec<&String> = payload
        .as_object()
        .map(|it| it.keys().collect())
        .unwrap_or_default();
    json!({
        "account_id": "acc_Simulator00001",
        "contains": contains,
        "created_at": now.as_unix_seconds(),
        "entity": "event",
        "event": event_type,
        "payload": payload,
    })
}

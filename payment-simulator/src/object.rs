//! Stripe's JSON objects, built from the simulator's records.

use serde_json::{Value, json};

use crate::cancel_reason::CancelReason;
use crate::card;
use crate::dispute::Dispute;
use crate::id::{EventId, RequestId};
use crate::intent::{Failure, Intent, Status};
use crate::refund::{Refund, RefundState};

/// The API version of these objects.
const API_VERSION: &str = "2024-06-20";

/// A payment intent. `base_url` is the prefix of its page URLs.
pub(crate) fn intent(intent: &Intent, base_url: &str) -> Value {
    json!({
        "id": intent.id,
        "object": "payment_intent",
        "amount": intent.amount_minor,
        "amount_capturable": if intent.awaits_capture() { intent.amount_minor } else { 0 },
        "amount_details": { "tip": {} },
        "amount_received": intent.captured_minor(),
        "application": null,
        "application_fee_amount": null,
        "automatic_payment_methods": null,
        "canceled_at": intent.canceled_at.map(contract::Timestamp::as_unix_seconds),
        "cancellation_reason": intent.cancellation_reason.map(CancelReason::as_str),
        "capture_method": if intent.is_manual { "manual" } else { "automatic" },
        "client_secret": intent.client_secret,
        "confirmation_method": "automatic",
        "created": intent.created_at.as_unix_seconds(),
        "currency": intent.currency,
        "customer": null,
        "description": intent.description,
        "last_payment_error": intent.last_failure.as_ref().map(payment_error),
        "latest_charge": intent.latest_charge,
        "livemode": false,
        "metadata": intent.metadata,
        "next_action": next_action(intent, base_url),
        "on_behalf_of": null,
        "payment_method": intent.payment_method,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "processing": null,
        "receipt_email": intent.receipt_email,
        "review": null,
        "setup_future_usage": null,
        "shipping": null,
        "source": null,
        "statement_descriptor": null,
        "statement_descriptor_suffix": null,
        "status": intent.status.as_str(),
        "transfer_data": null,
        "transfer_group": null,
    })
}

/// A payment intent without the fields that need the secret key.
pub(crate) fn public_intent(of: &Intent, base_url: &str) -> Value {
    let mut value = intent(of, base_url);
    if let Some(fields) = value.as_object_mut() {
        fields.remove("metadata");
    }
    value
}

fn payment_error(failure: &Failure) -> Value {
    let words = failure.decline.words();
    json!({
        "type": "card_error",
        "code": words.code,
        "decline_code": words.decline_code,
        "message": words.message,
        "charge": failure.charge,
    })
}

fn next_action(intent: &Intent, base_url: &str) -> Value {
    if intent.status != Status::RequiresAction {
        return Value::Null;
    }
    json!({
        "type": "redirect_to_url",
        "redirect_to_url": {
            "url": bank_page(intent, base_url),
            "return_url": intent.way_back(),
        },
    })
}

/// The URL of the page for the bank's check.
pub(crate) fn bank_page(intent: &Intent, base_url: &str) -> String {
    let secret = &intent.client_secret;
    format!("{base_url}/pay/{}/bank?client_secret={secret}", intent.id)
}

/// A refund.
pub(crate) fn refund(refund: &Refund) -> Value {
    json!({
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount_minor,
        "balance_transaction": null,
        "charge": refund.charge,
        "created": refund.created_at.as_unix_seconds(),
        "currency": refund.currency,
        "metadata": refund.metadata,
        "payment_intent": refund.intent,
        "reason": refund.reason,
        "receipt_number": null,
        "source_transfer_reversal": null,
        "status": match refund.state() {
            RefundState::Pending => "pending",
            RefundState::Paid => "succeeded",
            RefundState::Failed => "failed",
        },
        "transfer_reversal": null,
    })
}

/// A dispute.
pub(crate) fn dispute(dispute: &Dispute) -> Value {
    json!({
        "id": dispute.id,
        "object": "dispute",
        "amount": dispute.amount_minor,
        "charge": dispute.charge,
        "created": dispute.created_at.as_unix_seconds(),
        "currency": dispute.currency,
        "livemode": false,
        "metadata": {},
        "payment_intent": dispute.intent,
        "reason": "fraudulent",
        "status": dispute.status.as_str(),
    })
}

/// The charge of a captured intent, as `charge.refunded` shows it.
pub(crate) fn charge(intent: &Intent) -> Value {
    json!({
        "id": intent.latest_charge,
        "object": "charge",
        "amount": intent.capture.as_ref().map_or(0, |capture| capture.amount_minor),
        "amount_captured": intent.captured_minor(),
        "amount_refunded": intent.refunded_minor,
        "captured": intent.capture.is_some() && !intent.awaits_capture(),
        "created": intent.capture.as_ref().map(|capture| capture.at.as_unix_seconds()),
        "currency": intent.currency,
        "description": intent.description,
        "livemode": false,
        "metadata": intent.metadata,
        "paid": true,
        "payment_intent": intent.id,
        "refunded": intent.refunded_minor > 0 && intent.refunded_minor == intent.captured_minor(),
        "status": "succeeded",
    })
}

/// The charge of the last attempt, which was declined.
pub(crate) fn failed_charge(intent: &Intent) -> Value {
    let failure = intent.last_failure.as_ref();
    let words = failure.map(|failure| failure.decline.words());
    json!({
        "id": failure.map(|failure| &failure.charge),
        "object": "charge",
        "amount": intent.amount_minor,
        "amount_captured": 0,
        "amount_refunded": 0,
        "captured": false,
        "currency": intent.currency,
        "failure_code": words.as_ref().map(|words| words.code),
        "failure_message": words.as_ref().map(|words| words.message),
        "livemode": false,
        "metadata": intent.metadata,
        "paid": false,
        "payment_intent": intent.id,
        "refunded": false,
        "status": "failed",
    })
}

/// The charge of the last try, whatever became of it; null before the first.
pub(crate) fn latest_charge(intent: &Intent) -> Value {
    if intent.latest_charge.is_none() {
        return Value::Null;
    }
    let mut shown = if intent.capture.is_some() {
        charge(intent)
    } else if intent.last_failure.is_some() {
        failed_charge(intent)
    } else {
        let mut pending = charge(intent);
        pending["paid"] = json!(false);
        pending["status"] = json!("pending");
        pending
    };
    let declined = intent.last_failure.is_some() && intent.capture.is_none();
    let risk = card::risk_level(intent);
    shown["outcome"] = json!({
        "network_status": if declined { "declined_by_network" } else { "approved_by_network" },
        "reason": match &intent.last_failure {
            Some(failure) if declined => failure.decline.words().decline_code.map(str::to_owned),
            _ => (risk != "normal").then(|| format!("{risk}_risk_level")),
        },
        "risk_level": risk,
        "risk_score": match risk { "highest" => 85, "elevated" => 70, _ => 12 },
        "type": if declined { "issuer_declined" } else { "authorized" },
    });
    shown["payment_method_details"] = json!({
        "type": "card",
        "card": {
            "brand": card::network(intent),
            "country": card::country(intent),
            "fingerprint": card::fingerprint(intent),
            "funding": card::funding(intent),
            "last4": "4242",
            "network": card::network(intent),
        },
    });
    shown
}

/// A page of a list.
pub(crate) fn list(url: &str, data: &[Value], has_more: bool) -> Value {
    json!({ "object": "list", "url": url, "has_more": has_more, "data": data })
}

/// A webhook event about `object`.
pub(crate) fn event(
    id: &EventId,
    event_type: &str,
    created: contract::Timestamp,
    request: &Cause,
    object: &Value,
) -> Value {
    json!({
        "id": id,
        "object": "event",
        "api_version": API_VERSION,
        "created": created.as_unix_seconds(),
        "data": { "object": object },
        "livemode": false,
        "pending_webhooks": 1,
        "request": { "id": request.request_id, "idempotency_key": request.idempotency_key },
        "type": event_type,
    })
}

/// The request that caused an event; empty when the bank did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cause {
    pub(crate) request_id: Option<RequestId>,
    pub(crate) idempotency_key: Option<String>,
}

/// The URL in `text`, if browsers may be redirected there.
pub(crate) fn web_address(text: &str) -> Option<reqwest::Url> {
    let url = reqwest::Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.host().is_some()).then_some(url)
}

//! Calls about disputes: Stripe's, and test calls that act as a customer's bank.

use serde::Deserialize;

use crate::books::Entry;
use crate::desk::{Caller, Desk, Outcome};
use crate::dispute::{Dispute, DisputeStatus};
use crate::error::ApiError;
use crate::id::{DisputeId, IntentId};
use crate::intent::Intent;
use crate::object;

/// A dispute to open, from a test script.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DisputeRequest {
    payment_intent: String,
    /// The whole charge by default.
    amount: Option<u64>,
    /// `needs_response` by default.
    status: Option<DisputeStatus>,
}

/// A change of a dispute, from a test script.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DisputeChange {
    status: DisputeStatus,
}

/// `POST /_sim/disputes`
pub(crate) fn open(desk: &mut Desk<'_>, wanted: &DisputeRequest) -> Outcome {
    let intent = IntentId::from(wanted.payment_intent.as_str());
    let intent = desk.intent(&intent, &Caller::Merchant)?;
    let Some(capture) = intent.capture.clone() else {
        return Err(ApiError::invalid(
            "payment_intent_unexpected_state",
            "Only money that was taken can be disputed.".to_owned(),
            Some("payment_intent"),
        ));
    };
    let dispute = Dispute {
        id: DisputeId::draw(desk.rng),
        intent: intent.id.clone(),
        charge: capture.charge,
        amount_minor: wanted.amount.unwrap_or(capture.amount_minor),
        currency: intent.currency.clone(),
        status: wanted.status.unwrap_or(DisputeStatus::NeedsResponse),
        created_at: desk.now,
    };
    put(desk, &intent, &dispute, "charge.dispute.created");
    if dispute.status.takes_money() && intent.link.is_none() {
        let shown = object::dispute(&dispute);
        desk.tell(&intent, "charge.dispute.funds_withdrawn", &shown, true);
    }
    Ok(object::dispute(&dispute))
}

/// `POST /_sim/disputes/{id}`
pub(crate) fn decide(desk: &mut Desk<'_>, id: &DisputeId, change: &DisputeChange) -> Outcome {
    let mut dispute = find(desk, id)?.clone();
    let intent = desk.intent(&dispute.intent, &Caller::Merchant)?;
    let took = dispute.status.takes_money();
    dispute.status = change.status;
    let kind = if dispute.status.is_closed() {
        "charge.dispute.closed"
    } else {
        "charge.dispute.updated"
    };
    put(desk, &intent, &dispute, kind);
    let moved = match (took, dispute.status.takes_money()) {
        (true, false) => Some("charge.dispute.funds_reinstated"),
        (false, true) => Some("charge.dispute.funds_withdrawn"),
        (true, true) | (false, false) => None,
    };
    if let Some(kind) = moved.filter(|_| intent.link.is_none()) {
        desk.tell(&intent, kind, &object::dispute(&dispute), true);
    }
    Ok(object::dispute(&dispute))
}

/// `GET /v1/disputes/{id}`
pub(crate) fn retrieve(desk: &Desk<'_>, id: &DisputeId) -> Outcome {
    find(desk, id).map(object::dispute)
}

fn find<'a>(desk: &Desk<'a>, id: &DisputeId) -> Result<&'a Dispute, ApiError> {
    let known = desk.books.disputes().get(id);
    known.ok_or_else(|| ApiError::no_such("dispute", id.as_ref(), "dispute"))
}

fn put(desk: &mut Desk<'_>, intent: &Intent, dispute: &Dispute, kind: &str) {
    desk.entries.push(Entry::Dispute(Box::new(dispute.clone())));
    if intent.link.is_some() {
        let shown = crate::razorpay_object::dispute(dispute);
        let kind = match shown["status"].as_str() {
            Some("won") => "payment.dispute.won",
            Some("lost") => "payment.dispute.lost",
            Some("closed") => "payment.dispute.closed",
            _ => "payment.dispute.created",
        };
        let payload = serde_json::json!({ "dispute": { "entity": shown } });
        desk.tell_razorpay(intent, kind, &payload, true);
        return;
    }
    desk.tell(intent, kind, &object::dispute(dispute), true);
}

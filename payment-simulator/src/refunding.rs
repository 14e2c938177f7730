//! Calls about refunds.

use crate::books::Entry;
use crate::currency;
use crate::desk::{Caller, Desk, Outcome};
use crate::error::ApiError;
use crate::fault::CallName;
use crate::form::Form;
use crate::id::{IntentId, RefundId};
use crate::intent::{Intent, RefundRefused};
use crate::method::REFUND_FAILS_ONCE;
use crate::object;
use crate::payment;
use crate::refund::{Fate, Refund};

const REASONS: &[&str] = &["duplicate", "fraudulent", "requested_by_customer"];

/// `POST /v1/refunds`
pub(crate) fn create(desk: &mut Desk<'_>, form: &Form) -> Outcome {
    form.demand_known(&["amount", "metadata", "payment_intent", "reason"])?;
    form.demand_expandable(&[])?;
    let id = form
        .text(&["payment_intent"])
        .map(IntentId::from)
        .ok_or_else(|| ApiError::missing("payment_intent"))?;
    let wanted_minor = payment::amount(form)?;
    let reason = form.text(&["reason"]);
    if let Some(unknown) = reason.filter(|reason| !REASONS.contains(reason)) {
        return Err(ApiError::invalid(
            "parameter_invalid_string",
            format!("Invalid reason: {unknown}"),
            Some("reason"),
        ));
    }
    let metadata = payment::metadata(form)?;
    let mut intent = desk
        .intent(&id, &Caller::Merchant)
        .map_err(|_| ApiError::no_such("payment_intent", id.as_ref(), "payment_intent"))?;
    desk.strike_call(CallName::Refund, Some(&id), &intent.metadata)?;
    if let Some(wanted) = wanted_minor {
        currency::demand_whole(wanted, &intent.currency)?;
    }
    let amount_minor = intent.refund(wanted_minor).map_err(refused)?;
    let Some(capture) = intent.capture.clone() else {
        return Err(refused(RefundRefused::NothingCaptured));
    };
    let fate = fate(desk, &intent);
    let refund = Refund {
        id: RefundId::draw(desk.rng),
        intent: id,
        charge: capture.charge,
        amount_minor,
        currency: intent.currency.clone(),
        reason: reason.map(str::to_owned),
        metadata,
        created_at: desk.now,
        failed: false,
        fate,
    };
    let shown = object::refund(&refund);
    desk.put_intent(&intent, None);
    desk.entries.push(Entry::Refund(Box::new(refund)));
    desk.tell(&intent, "refund.created", &shown, true);
    desk.tell(&intent, "charge.refunded", &object::charge(&intent), true);
    desk.tell(&intent, "refund.updated", &shown, true);
    Ok(shown)
}

/// What the customer's bank will do with a refund of `intent` that is made now.
pub(crate) fn fate(desk: &Desk<'_>, intent: &Intent) -> Option<Fate> {
    let method = intent.payment_method.as_deref();
    let refunds = desk.books.refunds().iter();
    let earlier = || refunds.filter(|refund| refund.intent == intent.id).count();
    // Counted only where it matters: there may be many refunds.
    let earlier = method
        .filter(|method| *method == REFUND_FAILS_ONCE)
        .map_or(0, |_| earlier());
    Fate::of(method, earlier, desk.now, desk.rules.settle_delay)
}

/// The customer's bank does what it was going to do with a refund.
pub(crate) fn settle(desk: &mut Desk<'_>, id: &RefundId) {
    let Some(mut refund) = desk.books.refunds().get(id).cloned() else {
        return;
    };
    let Some(fate) = refund.fate.take() else {
        return;
    };
    if fate.fails && !refund.failed {
        // What cannot fail any more stays as it is.
        let _ = fail(desk, id);
        return;
    }
    let Ok(intent) = desk.intent(&refund.intent, &Caller::Merchant) else {
        return;
    };
    desk.entries.push(Entry::Refund(Box::new(refund.clone())));
    if desk.is_razorpays(&refund.intent) {
        let shown = crate::razorpay_object::refund(&refund);
        let payload = serde_json::json!({ "refund": { "entity": shown } });
        desk.tell_razorpay(&intent, "refund.processed", &payload, true);
    } else {
        desk.tell(&intent, "refund.updated", &object::refund(&refund), true);
    }
}

/// `POST /_sim/refunds/{id}/fail`: the customer's bank sends the money back.
pub(crate) fn fail(desk: &mut Desk<'_>, id: &RefundId) -> Outcome {
    let known = desk.books.refunds().get(id);
    let mut refund = known
        .cloned()
        .ok_or_else(|| ApiError::no_such("refund", id.as_ref(), "id"))?;
    let mut intent = desk.intent(&refund.intent, &Caller::Merchant)?;
    if !refund.failed {
        refund.failed = true;
        refund.fate = None;
        intent.refunded_minor = intent.refunded_minor.saturating_sub(refund.amount_minor);
        desk.put_intent(&intent, None);
        desk.entries.push(Entry::Refund(Box::new(refund.clone())));
        if desk.is_razorpays(&refund.intent) {
            let shown = crate::razorpay_object::refund(&refund);
            let payload = serde_json::json!({ "refund": { "entity": shown } });
            desk.tell_razorpay(&intent, "refund.failed", &payload, true);
        } else {
            desk.tell(&intent, "refund.failed", &object::refund(&refund), true);
        }
    }
    Ok(object::refund(&refund))
}

/// `GET /v1/refunds/{id}`
pub(crate) fn retrieve(desk: &Desk<'_>, id: &RefundId) -> Outcome {
    desk.books
        .refunds()
        .get(id)
        .map(object::refund)
        .ok_or_else(|| ApiError::no_such("refund", id.as_ref(), "id"))
}

fn refused(refusal: RefundRefused) -> ApiError {
    match refusal {
        RefundRefused::NothingCaptured => ApiError::invalid(
            "payment_intent_unexpected_state",
            "This PaymentIntent does not have a successful charge to refund.".to_owned(),
            Some("payment_intent"),
        ),
        RefundRefused::AllRefunded => ApiError::invalid(
            "charge_already_refunded",
            "This PaymentIntent's charge has already been refunded.".to_owned(),
            Some("payment_intent"),
        ),
        RefundRefused::MoreThanLeft { left_minor } => ApiError::invalid(
            "amount_too_large",
            format!("Refund amount is greater than unrefunded amount on charge ({left_minor})."),
            Some("amount"),
        ),
    }
}

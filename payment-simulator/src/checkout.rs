//! Calls about checkout sessions, and their page.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::Timestamp;
use serde_json::Value;

use crate::books::Entry;
use crate::cancel_reason::CancelReason;
use crate::currency;
use crate::desk::{Caller, Desk, Outcome};
use crate::error::ApiError;
use crate::fault::CallName;
use crate::form::Form;
use crate::id::{IntentId, SessionId, random_text};
use crate::intent::{Intent, Status};
use crate::method::WebhookPlan;
use crate::object;
use crate::payment;
use crate::session::{self, Session};

/// The shortest and the longest life of a session.
const LIFE_MIN: Duration = Duration::from_mins(30);
const LIFE_MAX: Duration = Duration::from_hours(24);
/// How far a caller's clock may be behind ours.
const CLOCK_SLACK: Duration = Duration::from_secs(30);

/// What can be shown in full.
const EXPANDABLE: &[&str] = &["payment_intent", WITH_CHARGE];
const WITH_CHARGE: &str = "payment_intent.latest_charge";

const FIELDS: &[&str] = &[
    "cancel_url",
    "client_reference_id",
    "customer_email",
    "expires_at",
    "line_items",
    "locale",
    "metadata",
    "mode",
    "payment_intent_data",
    "payment_method_types",
    "success_url",
    "ui_mode",
];

/// `POST /v1/checkout/sessions`
pub(crate) fn create(desk: &mut Desk<'_>, form: &Form) -> Outcome {
    form.demand_known(FIELDS)?;
    form.demand_expandable(EXPANDABLE)?;
    if form.text(&["mode"]) != Some("payment") {
        let message = "The simulator knows sessions with mode=payment only.".to_owned();
        return Err(ApiError::invalid(
            "parameter_invalid_string",
            message,
            Some("mode"),
        ));
    }
    let success_url =
        address(form, "success_url")?.ok_or_else(|| ApiError::missing("success_url"))?;
    let item = |field: &str| form.text(&["line_items", "0", "price_data", field]);
    let unit_amount = item("unit_amount").and_then(|text| text.parse::<u64>().ok());
    let unit_amount =
        unit_amount.ok_or_else(|| ApiError::missing("line_items[0][price_data][unit_amount]"))?;
    let quantity = form.text(&["line_items", "0", "quantity"]);
    let quantity = quantity.and_then(|text| text.parse::<u64>().ok());
    let quantity = quantity.ok_or_else(|| ApiError::missing("line_items[0][quantity]"))?;
    let product = form.text(&["line_items", "0", "price_data", "product_data", "name"]);
    let product = product
        .ok_or_else(|| ApiError::missing("line_items[0][price_data][product_data][name]"))?;
    let currency = currency::parse(item("currency"))?;
    let amount_minor = unit_amount.saturating_mul(quantity);
    currency::demand_chargeable(amount_minor, &currency)?;
    payment::demand_cards(form)?;
    let session = Session {
        id: SessionId::draw(desk.rng),
        amount_minor,
        currency,
        product: product.to_owned(),
        metadata: payment::metadata(form)?,
        intent_metadata: intent_metadata(form),
        success_url,
        cancel_url: address(form, "cancel_url")?,
        client_reference_id: form.text(&["client_reference_id"]).map(str::to_owned),
        created_at: desk.now,
        expires_at: expires_at(form, desk.now)?,
        expired_at: None,
        is_manual: payment::is_manual(form.text(&["payment_intent_data", "capture_method"]))?,
        intent: None,
    };
    desk.strike_call(CallName::Create, None, &session.intent_metadata)?;
    desk.entries.push(Entry::Session(Box::new(session.clone())));
    Ok(show(desk, &session, form))
}

/// `GET /v1/checkout/sessions/{id}`
pub(crate) fn retrieve(desk: &mut Desk<'_>, id: &SessionId, form: &Form) -> Outcome {
    form.demand_known(&[])?;
    form.demand_expandable(EXPANDABLE)?;
    let session = find(desk, id)?;
    desk.strike_call(
        CallName::Retrieve,
        session.intent.as_ref(),
        &session.intent_metadata,
    )?;
    Ok(show(desk, &session, form))
}

/// `POST /v1/checkout/sessions/{id}/expire`
pub(crate) fn expire(desk: &mut Desk<'_>, id: &SessionId, form: &Form) -> Outcome {
    form.demand_known(&[])?;
    form.demand_expandable(EXPANDABLE)?;
    let mut session = find(desk, id)?;
    desk.strike_call(
        CallName::Cancel,
        session.intent.as_ref(),
        &session.intent_metadata,
    )?;
    let intent = intent_of(desk, &session);
    let status = session.status(intent.as_ref(), desk.now);
    if status != session::OPEN {
        let message = format!(
            "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout \
             Session has a status of `{status}`."
        );
        return Err(ApiError::invalid(
            "checkout_session_not_open",
            message,
            None,
        ));
    }
    session.expired_at = Some(desk.now);
    desk.entries.push(Entry::Session(Box::new(session.clone())));
    let mut shown_intent = None;
    if let Some(mut intent) = intent {
        if let Ok(notice) = intent.cancel(CancelReason::Abandoned, desk.now) {
            desk.put_intent(&intent, Some(notice));
        }
        shown_intent = Some(intent);
    }
    let base = desk.rules.base_url.clone();
    let mut shown = session::object(&session, shown_intent.as_ref(), desk.now, &base);
    if let Some(intent) = &shown_intent {
        desk.tell(intent, "checkout.session.expired", &shown, true);
        if form.expands("payment_intent") || form.expands(WITH_CHARGE) {
            shown["payment_intent"] = object::intent(intent, &base);
        }
        if form.expands(WITH_CHARGE) {
            shown["payment_intent"]["latest_charge"] = object::latest_charge(intent);
        }
    }
    Ok(shown)
}

/// A customer opens the page: the payment intent is made at the first visit. An error if the page
/// takes no payments any more.
pub(crate) fn open(desk: &mut Desk<'_>, id: &SessionId) -> Result<Intent, ApiError> {
    let mut session = find(desk, id)?;
    let known = intent_of(desk, &session);
    if session.status(known.as_ref(), desk.now) == session::EXPIRED {
        let message = "This page is no longer open.".to_owned();
        return Err(ApiError::invalid(
            "checkout_session_not_open",
            message,
            None,
        ));
    }
    // One that the customer cancelled at the bank is replaced: the page offers to pay again.
    if let Some(intent) = known.filter(|intent| intent.status != Status::Canceled) {
        return Ok(intent);
    }
    let intent_id = IntentId::draw(desk.rng);
    let intent = Intent {
        client_secret: format!("{intent_id}_secret_{}", random_text(desk.rng)),
        id: intent_id.clone(),
        amount_minor: session.amount_minor,
        currency: session.currency.clone(),
        description: Some(session.product.clone()),
        receipt_email: None,
        metadata: session.intent_metadata.clone(),
        return_url: Some(session.success_url.clone()),
        status: Status::RequiresPaymentMethod,
        payment_method: None,
        created_at: desk.now,
        canceled_at: None,
        cancellation_reason: None,
        last_failure: None,
        latest_charge: None,
        capture: None,
        refunded_minor: 0,
        settlement: None,
        webhooks: WebhookPlan::Prompt,
        session: Some(session.id.clone()),
        card: None,
        is_manual: session.is_manual,
        link: None,
    };
    session.intent = Some(intent_id);
    desk.entries.push(Entry::Session(Box::new(session)));
    desk.put_intent(&intent, None);
    desk.tell_created(&intent);
    Ok(intent)
}

/// The address of a customer who leaves the page of `intent` without paying, if it is a session's.
pub(crate) fn way_out(desk: &Desk<'_>, intent: &Intent) -> Option<String> {
    let session = desk.books.sessions().get(intent.session.as_ref()?)?;
    Some(
        session
            .cancel_url
            .clone()
            .unwrap_or_else(|| session.success_url.clone()),
    )
}

fn show(desk: &Desk<'_>, session: &Session, form: &Form) -> Value {
    let intent = intent_of(desk, session);
    let base = &desk.rules.base_url;
    let mut shown = session::object(session, intent.as_ref(), desk.now, base);
    let wanted = form.expands("payment_intent") || form.expands(WITH_CHARGE);
    if let Some(intent) = intent.filter(|_| wanted) {
        shown["payment_intent"] = desk.show(&intent, &Caller::Merchant);
        if form.expands(WITH_CHARGE) {
            shown["payment_intent"]["latest_charge"] = object::latest_charge(&intent);
        }
    }
    shown
}

fn find(desk: &Desk<'_>, id: &SessionId) -> Result<Session, ApiError> {
    let known = desk.books.sessions().get(id).cloned();
    known.ok_or_else(|| ApiError::no_such("checkout.session", id.as_ref(), "session"))
}

fn intent_of(desk: &Desk<'_>, session: &Session) -> Option<Intent> {
    desk.books.intents().get(session.intent.as_ref()?).cloned()
}

fn address(form: &Form, field: &'static str) -> Result<Option<String>, ApiError> {
    let Some(text) = form.text(&[field]) else {
        return Ok(None);
    };
    if object::web_address(text).is_some() {
        return Ok(Some(text.to_owned()));
    }
    let message = "Not a valid URL. It must be absolute and start with http or https.".to_owned();
    Err(ApiError::invalid("url_invalid", message, Some(field)))
}

fn intent_metadata(form: &Form) -> BTreeMap<String, String> {
    form.pairs_below("payment_intent_data", "metadata")
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn expires_at(form: &Form, now: Timestamp) -> Result<Timestamp, ApiError> {
    let Some(seconds) = form.integer("expires_at")? else {
        return Ok(now.plus(LIFE_MAX));
    };
    let at = Timestamp::from_ms(seconds.saturating_mul(1000));
    let earliest = now.plus(LIFE_MIN).minus(CLOCK_SLACK);
    if at < earliest || at > now.plus(LIFE_MAX).plus(CLOCK_SLACK) {
        let message = "The `expires_at` timestamp must be at least 30 minutes and less than 24 \
                       hours from Checkout Session creation."
            .to_owned();
        return Err(ApiError::invalid(
            "parameter_invalid_integer",
            message,
            Some("expires_at"),
        ));
    }
    Ok(at)
}

//! Razorpay's calls, and the page of its payment links.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::Timestamp;
use serde_json::{Value, json};

use crate::books::{Entry, INTENTS_MAX};
use crate::currency;
use crate::desk::{Caller, Desk, Outcome};
use crate::error::ApiError;
use crate::fault::CallName;
use crate::id::{ChargeId, DisputeId, IntentId, LinkId, RefundId, random_text};
use crate::intent::{Intent, LinkPayment, Notice, Status};
use crate::link::{self, Link};
use crate::method::WebhookPlan;
use crate::object::web_address;
use crate::payment;
use crate::razorpay_object as object;
use crate::refund::{Refund, RefundState};

/// The shortest life of a link, and how far a caller's clock may be behind ours.
const LIFE_MIN: Duration = Duration::from_mins(15);
const CLOCK_SLACK: Duration = Duration::from_secs(30);
/// The life of a link that says nothing of it: six months.
const LIFE_DEFAULT: Duration = Duration::from_hours(24 * 180);
/// The least amount, in the smallest unit.
const AMOUNT_MIN: u64 = 100;
const REFERENCE_CHARACTERS_MAX: usize = 40;
const NOTES_MAX: usize = 15;
const NOTE_CHARACTERS_MAX: usize = 255;
/// Items of a page, unless asked otherwise, and the most.
const COUNT_DEFAULT: usize = 10;
const COUNT_MAX: usize = 100;
/// The ways to pay that the page offers.
pub(crate) const METHODS: [(&str, &str); 4] = [
    ("upi", "UPI"),
    ("card", "Card"),
    ("wallet", "Wallet"),
    ("netbanking", "Net banking"),
];

const LINK_FIELDS: &[&str] = &[
    "accept_partial",
    "amount",
    "callback_method",
    "callback_url",
    "currency",
    "customer",
    "description",
    "expire_by",
    "notes",
    "notify",
    "options",
    "reference_id",
    "reminder_enable",
];
const REFUND_FIELDS: &[&str] = &["amount", "notes", "receipt", "speed"];

/// The query of a listing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) from: Option<i64>,
    pub(crate) to: Option<i64>,
    pub(crate) count: Option<usize>,
    pub(crate) skip: Option<usize>,
}

/// A refusal with a reason of Razorpay's.
fn refused(reason: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::invalid(reason, message.into(), None)
}

fn demand_known(body: &Value, known: &[&str]) -> Result<(), ApiError> {
    let fields = body.as_object().ok_or_else(|| {
        refused(
            "input_validation_failed",
            "The request body is no JSON object.",
        )
    })?;
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(refused(
            "input_validation_failed",
            format!("{name} is/are not required and should not be sent"),
        )),
    }
}

fn amount_of(body: &Value) -> Result<Option<u64>, ApiError> {
    match &body["amount"] {
        Value::Null => Ok(None),
        value => {
            let amount = value.as_u64().or_else(|| value.as_str()?.parse().ok());
            let amount = amount.ok_or_else(|| {
                refused("input_validation_failed", "The amount must be an integer.")
            })?;
            if amount < AMOUNT_MIN {
                return Err(refused(
                    "amount_less_than_minimum_amount",
                    "The amount must be at least INR 1.00",
                ));
            }
            Ok(Some(amount))
        }
    }
}

fn notes_of(body: &Value) -> Result<BTreeMap<String, String>, ApiError> {
    let mut notes = BTreeMap::new();
    for (name, value) in body["notes"].as_object().into_iter().flatten() {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        if text.chars().count() > NOTE_CHARACTERS_MAX {
            return Err(refused(
                "input_validation_failed",
                "value: the length must not be greater than 255.",
            ));
        }
        notes.insert(name.clone(), text);
    }
    if notes.len() > NOTES_MAX {
        return Err(refused(
            "input_validation_failed",
            "notes: at most 15 pairs",
        ));
    }
    Ok(notes)
}

/// `POST /v1/payment_links`
pub(crate) fn link_create(desk: &mut Desk<'_>, body: &Value) -> Outcome {
    demand_known(body, LINK_FIELDS)?;
    let amount_minor = amount_of(body)?
        .ok_or_else(|| refused("input_validation_failed", "amount: cannot be blank."))?;
    let code = body["currency"].as_str().unwrap_or("INR");
    let known = currency::parse(Some(code))
        .map_err(|_| refused("invalid_currency", "Currency is not supported"))?;
    currency::demand_whole(amount_minor, &known)
        .map_err(|_| refused("invalid_amount", "The amount is invalid"))?;
    let reference_id = body["reference_id"].as_str().map(str::to_owned);
    if let Some(reference) = &reference_id {
        if reference.chars().count() > REFERENCE_CHARACTERS_MAX {
            return Err(refused(
                "input_validation_failed",
                "reference_id: the length must be no more than 40.",
            ));
        }
        // Razorpay has two texts for it.
        if let Some(known) = desk.books.link_of_reference(reference) {
            let text = if known.payments.is_empty() {
                format!("payment link with given reference_id: {reference} already exists")
            } else {
                "payment link creation with reference ID already attempted".to_owned()
            };
            return Err(refused("input_validation_failed", text));
        }
    }
    let callback_url = body["callback_url"].as_str().map(str::to_owned);
    if callback_url
        .as_deref()
        .is_some_and(|url| web_address(url).is_none())
    {
        return Err(refused("input_validation_failed", "callback_url: invalid"));
    }
    if callback_url.is_some() && body["callback_method"] != "get" {
        return Err(refused(
            "input_validation_failed",
            "callback_method: must be get",
        ));
    }
    let link = Link {
        id: LinkId::draw(desk.rng),
        amount_minor,
        currency: known.to_uppercase(),
        reference_id,
        description: body["description"].as_str().map(str::to_owned),
        notes: notes_of(body)?,
        callback_url,
        created_at: desk.now,
        expire_by: expire_by(body, desk.now)?,
        cancelled_at: None,
        methods: methods_of(body)?,
        payments: Vec::new(),
    };
    desk.strike_call(CallName::Create, None, &link.notes)?;
    desk.entries.push(Entry::Link(Box::new(link.clone())));
    Ok(show(desk, &link))
}

/// The ways to pay that the page of a link shows: those of the blocks in its options, where the
/// others are hidden; `None` for all.
fn methods_of(body: &Value) -> Result<Option<Vec<String>>, ApiError> {
    if body["options"].is_null() {
        return Ok(None);
    }
    let display = &body["options"]["checkout"]["config"]["display"];
    let Some(blocks) = display["blocks"].as_object() else {
        let message = "The simulator knows options.checkout.config.display alone.";
        return Err(refused("input_validation_failed", message));
    };
    let instruments = blocks
        .values()
        .flat_map(|block| block["instruments"].as_array().into_iter().flatten());
    let mut methods = Vec::new();
    for instrument in instruments {
        let method = instrument["method"].as_str().unwrap_or_default();
        if !METHODS.iter().any(|(name, _)| *name == method) {
            return Err(refused(
                "input_validation_failed",
                format!("instrument: the method {method} is invalid"),
            ));
        }
        methods.push(method.to_owned());
    }
    let hides_others = display["preferences"]["show_default_blocks"] == false;
    Ok(hides_others.then_some(methods))
}

fn expire_by(body: &Value, now: Timestamp) -> Result<Timestamp, ApiError> {
    let Some(seconds) = body["expire_by"].as_i64().filter(|seconds| *seconds != 0) else {
        return Ok(now.plus(LIFE_DEFAULT));
    };
    let at = Timestamp::from_ms(seconds.saturating_mul(1000));
    if at < now.plus(LIFE_MIN).minus(CLOCK_SLACK) {
        return Err(refused(
            "input_validation_failed",
            "timestamp must be atleast 15 minutes in future",
        ));
    }
    Ok(at)
}

/// `GET /v1/payment_links/{id}`
pub(crate) fn link_fetch(desk: &mut Desk<'_>, id: &LinkId) -> Outcome {
    let link = find_link(desk, id)?;
    desk.strike_call(CallName::Retrieve, link.payments.last(), &link.notes)?;
    Ok(show(desk, &link))
}

/// `GET /v1/payment_links`
pub(crate) fn link_list(desk: &Desk<'_>, reference: Option<&str>, page: &Page) -> Value {
    let found: Vec<Link> = match reference {
        Some(reference) => desk
            .books
            .link_of_reference(reference)
            .into_iter()
            .cloned()
            .collect(),
        None => page.cut(desk.books.links().iter().cloned().collect(), |link| {
            link.created_at
        }),
    };
    let links: Vec<Value> = found.iter().map(|link| show(desk, link)).collect();
    json!({ "payment_links": links })
}

/// `POST /v1/payment_links/{id}/cancel`
pub(crate) fn link_cancel(desk: &mut Desk<'_>, id: &LinkId) -> Outcome {
    let mut link = find_link(desk, id)?;
    desk.strike_call(CallName::Cancel, link.payments.last(), &link.notes)?;
    let payments = desk.books.payments_of(&link);
    match link.status(&payments, desk.now) {
        "created" => {}
        "paid" => {
            return Err(refused(
                "input_validation_failed",
                "cannot cancel or expire an already paid/partially paid link",
            ));
        }
        _ => {
            return Err(refused(
                "input_validation_failed",
                "cannot cancel or expire an expired link",
            ));
        }
    }
    link.cancelled_at = Some(desk.now);
    desk.entries.push(Entry::Link(Box::new(link.clone())));
    // A payment that the bank decides on only now is decided.
    let last = payments.last().map(|payment| (*payment).clone());
    if let Some(mut payment) = last.filter(|payment| payment.settlement.is_some()) {
        let reason = crate::cancel_reason::CancelReason::Abandoned;
        if payment.cancel(reason, desk.now).is_ok() {
            desk.put_intent(&payment, None);
        }
    }
    let shown = show(desk, &link);
    if let Some(payment) = desk.books.payments_of(&link).last().copied().cloned() {
        let payload = json!({ "payment_link": { "entity": shown } });
        desk.tell_razorpay(&payment, "payment_link.cancelled", &payload, true);
    }
    // The answer names no order, unlike that to a fetch.
    let mut answer = shown;
    if let Some(fields) = answer.as_object_mut() {
        fields.remove("order_id");
    }
    Ok(answer)
}

/// `GET /v1/orders/{id}/payments`
pub(crate) fn order_payments(desk: &mut Desk<'_>, order: &str) -> Outcome {
    let link = link::of_order(order).and_then(|id| desk.books.links().get(&id));
    let link = link.cloned().ok_or_else(no_such)?;
    let payments = desk.books.payments_of(&link);
    let shown = payments
        .iter()
        .rev()
        .map(|payment| object::payment(&link, payment));
    Ok(object::collection(shown))
}

/// `GET /v1/payments`
pub(crate) fn payment_list(desk: &Desk<'_>, page: &Page) -> Value {
    let of_links = desk
        .books
        .intents()
        .iter()
        .filter(|intent| intent.link.is_some());
    let found = page.cut(of_links.cloned().collect(), |payment: &Intent| {
        payment.created_at
    });
    let shown = found.iter().filter_map(|payment| {
        let link = desk.books.links().get(&payment.link.as_ref()?.link)?;
        Some(object::payment(link, payment))
    });
    object::collection(shown)
}

/// `GET /v1/payments/{id}`
pub(crate) fn payment_fetch(desk: &mut Desk<'_>, id: &IntentId, with_card: bool) -> Outcome {
    let (link, payment) = find_payment(desk, id)?;
    let mut shown = object::payment(&link, &payment);
    if with_card && shown["method"] == "card" {
        shown["card"] = object::card(&payment);
    }
    Ok(shown)
}

/// `POST /v1/payments/{id}/capture`
pub(crate) fn payment_capture(desk: &mut Desk<'_>, id: &IntentId, body: &Value) -> Outcome {
    demand_known(body, &["amount", "currency"])?;
    let (link, mut payment) = find_payment(desk, id)?;
    let agreed = payment.capture.as_ref().map(|capture| capture.amount_minor);
    if !payment.awaits_capture() {
        return Err(refused(
            "order_already_paid",
            "This payment has already been captured",
        ));
    }
    if amount_of(body)? != agreed {
        return Err(refused(
            "invalid_amount",
            "Capture amount must be equal to the amount authorized.",
        ));
    }
    if let Some(of_link) = &mut payment.link {
        of_link.awaits_capture = false;
    }
    desk.put_intent(&payment, Some(Notice::Succeeded));
    Ok(object::payment(&link, &payment))
}

/// `POST /v1/payments/{id}/refund`
pub(crate) fn refund_create(desk: &mut Desk<'_>, id: &IntentId, body: &Value) -> Outcome {
    demand_known(body, REFUND_FIELDS)?;
    let (link, mut payment) = find_payment(desk, id)?;
    let wanted = amount_of(body)?;
    let notes = notes_of(body)?;
    desk.strike_call(CallName::Refund, Some(id), &link.notes)?;
    let amount_minor = payment.refund(wanted).map_err(|refusal| {
        use crate::intent::RefundRefused;
        match refusal {
            RefundRefused::NothingCaptured => refused(
                "input_validation_failed",
                "The payment status should be captured for action to be taken",
            ),
            RefundRefused::AllRefunded => refused(
                "input_validation_failed",
                "The payment has been fully refunded already",
            ),
            RefundRefused::MoreThanLeft { .. } => refused(
                "input_validation_failed",
                "The refund amount provided is greater than amount captured",
            ),
        }
    })?;
    let charge = payment
        .capture
        .as_ref()
        .map(|capture| capture.charge.clone());
    let refund = Refund {
        id: RefundId::from(format!("rfnd_{}", random_text(desk.rng)).as_str()),
        intent: payment.id.clone(),
        charge: charge.unwrap_or_else(|| ChargeId::from("")),
        amount_minor,
        currency: payment.currency.clone(),
        reason: None,
        metadata: notes,
        created_at: desk.now,
        failed: false,
        fate: crate::refunding::fate(desk, &payment),
    };
    let is_pending = refund.state() == RefundState::Pending;
    let shown = object::refund(&refund);
    desk.put_intent(&payment, None);
    desk.entries.push(Entry::Refund(Box::new(refund)));
    let payload = json!({
        "refund": { "entity": shown },
        "payment": { "entity": object::payment(&link, &payment) },
    });
    desk.tell_razorpay(&payment, "refund.created", &payload, true);
    if !is_pending {
        desk.tell_razorpay(&payment, "refund.processed", &payload, true);
    }
    Ok(shown)
}

/// `GET /v1/payments/{id}/refunds`, `GET /v1/refunds`
pub(crate) fn refund_list(desk: &Desk<'_>, of: Option<&IntentId>, page: &Page) -> Value {
    let found = desk.books.refunds().iter().filter(|refund| {
        desk.is_razorpays(&refund.intent) && of.is_none_or(|of| refund.intent == *of)
    });
    let found = page.cut(found.cloned().collect(), |refund: &Refund| {
        refund.created_at
    });
    object::collection(found.iter().map(object::refund))
}

/// `GET /v1/refunds/{id}`
pub(crate) fn refund_fetch(desk: &mut Desk<'_>, id: &RefundId) -> Outcome {
    let known = desk.books.refunds().get(id);
    known.map(object::refund).ok_or_else(no_such)
}

/// `GET /v1/disputes`
pub(crate) fn dispute_list(desk: &Desk<'_>, page: &Page) -> Value {
    let known = desk.books.disputes().iter();
    let ours = known.filter(|dispute| desk.is_razorpays(&dispute.intent));
    let found = page.cut(
        ours.cloned().collect(),
        |dispute: &crate::dispute::Dispute| dispute.created_at,
    );
    object::collection(found.iter().map(object::dispute))
}

/// `GET /v1/disputes/{id}`
pub(crate) fn dispute_fetch(desk: &mut Desk<'_>, id: &DisputeId) -> Outcome {
    let known = desk.books.disputes().get(id);
    known.map(object::dispute).ok_or_else(no_such)
}

/// The link for its page, and whether it still takes payments.
pub(crate) fn visit(desk: &Desk<'_>, id: &LinkId) -> Result<(Link, bool), ApiError> {
    let link = find_link(desk, id)?;
    let payments = desk.books.payments_of(&link);
    let is_open = link.status(&payments, desk.now) == "created";
    Ok((link, is_open))
}

/// A customer pays on the page of a link, by `method`, with the ending of a test method.
pub(crate) fn pay(
    desk: &mut Desk<'_>,
    id: &LinkId,
    method: Option<&str>,
    (ending, card): (Option<&str>, Option<&str>),
    payment_id: &mut Option<IntentId>,
) -> Outcome {
    let (mut link, is_open) = visit(desk, id)?;
    if !is_open {
        return Err(refused(
            "payment_session_expired",
            "This page is no longer open.",
        ));
    }
    if desk.books.intents().len() >= INTENTS_MAX {
        return Err(ApiError::provider(
            503,
            "The simulator keeps no more payments.",
        ));
    }
    let method = method.unwrap_or(METHODS[0].0);
    if !METHODS.iter().any(|(name, _)| *name == method) || !link.takes(method) {
        return Err(refused(
            "payment_method_not_enabled",
            "The method is not enabled.",
        ));
    }
    let id = IntentId::from(format!("pay_{}", random_text(desk.rng)).as_str());
    let payment = Intent {
        client_secret: format!("{id}_secret_{}", random_text(desk.rng)),
        id: id.clone(),
        amount_minor: link.amount_minor,
        currency: link.currency.to_lowercase(),
        description: link.description.clone(),
        receipt_email: None,
        metadata: link.notes.clone(),
        return_url: link.callback_url.clone(),
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
        session: None,
        card: card.map(str::to_owned),
        is_manual: false,
        link: Some(LinkPayment {
            link: link.id.clone(),
            method: method.to_owned(),
            awaits_capture: false,
        }),
    };
    link.payments.push(id.clone());
    *payment_id = Some(id);
    desk.entries.push(Entry::Link(Box::new(link)));
    desk.put_intent(&payment, None);
    payment::pay_with(desk, payment, ending, &Caller::Merchant)
}

fn show(desk: &Desk<'_>, link: &Link) -> Value {
    let payments = desk.books.payments_of(link);
    object::link(link, &payments, desk.now, &desk.rules.base_url)
}

fn find_link(desk: &Desk<'_>, id: &LinkId) -> Result<Link, ApiError> {
    desk.books.links().get(id).cloned().ok_or_else(no_such)
}

fn find_payment(desk: &Desk<'_>, id: &IntentId) -> Result<(Link, Intent), ApiError> {
    let payment = desk.books.intents().get(id).ok_or_else(no_such)?;
    let of = payment.link.as_ref().ok_or_else(no_such)?;
    let link = desk.books.links().get(&of.link).ok_or_else(no_such)?;
    Ok((link.clone(), payment.clone()))
}

fn no_such() -> ApiError {
    refused("input_validation_failed", "The id provided does not exist")
}

impl Page {
    /// The records of the page, newest first.
    fn cut<T>(&self, mut records: Vec<T>, created_at: impl Fn(&T) -> Timestamp) -> Vec<T> {
        let (from, to) = (self.from.unwrap_or(i64::MIN), self.to.unwrap_or(i64::MAX));
        records.retain(|record| (from..=to).contains(&created_at(record).as_unix_seconds()));
        records.reverse();
        let count = self.count.unwrap_or(COUNT_DEFAULT).min(COUNT_MAX);
        records
            .into_iter()
            .skip(self.skip.unwrap_or(0))
            .take(count)
            .collect()
    }
}

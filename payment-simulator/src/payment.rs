//! Calls about payment intents: create, retrieve, confirm, cancel, the bank's check and its delayed
//! decisions.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::books::INTENTS_MAX;
use crate::cancel_reason::CancelReason;
use crate::currency;
use crate::desk::{Caller, Desk, Outcome, Strike};
use crate::error::ApiError;
use crate::fault::CallName;
use crate::form::Form;
use crate::id::{ChargeId, IntentId, random_text};
use crate::intent::{Attempt, Intent, Notice, Status, UnexpectedState};
use crate::method::{TestMethod, WebhookPlan};
use crate::object;

/// Largest amount: eight digits in the minor unit, the limit of Stripe's API.
const AMOUNT_MINOR_MAX: i64 = 99_999_999;

/// By how much `pm_sim_amount_mismatch` captures too much, in the minor unit.
const MISMATCH_MINOR: u64 = 100;

const METADATA_PAIRS_MAX: usize = 50;
const METADATA_KEY_CHARACTERS_MAX: usize = 40;
const METADATA_VALUE_CHARACTERS_MAX: usize = 500;

const CREATE_FIELDS: &[&str] = &[
    "amount",
    "automatic_payment_methods",
    "capture_method",
    "confirm",
    "confirmation_method",
    "currency",
    "description",
    "error_on_requires_action",
    "metadata",
    "off_session",
    "payment_method",
    "payment_method_data",
    "payment_method_options",
    "payment_method_types",
    "receipt_email",
    "return_url",
    "setup_future_usage",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_group",
    "use_stripe_sdk",
];

const CONFIRM_FIELDS: &[&str] = &[
    "_stripe_account",
    "_stripe_version",
    "capture_method",
    "client_secret",
    "error_on_requires_action",
    "expected_payment_method_type",
    "key",
    "off_session",
    "payment_method",
    "payment_method_data",
    "payment_method_options",
    "payment_method_types",
    "receipt_email",
    "return_url",
    "setup_future_usage",
    "use_stripe_sdk",
];

/// `POST /v1/payment_intents`
pub(crate) fn create(desk: &mut Desk<'_>, form: &Form) -> Outcome {
    form.demand_known(CREATE_FIELDS)?;
    form.demand_expandable(&[])?;
    let mut intent = draft(desk, form)?;
    let confirm = form.flag("confirm")?;
    if desk.books.intents().len() >= INTENTS_MAX {
        return Err(ApiError::provider(
            503,
            "The simulator keeps no more payment intents.",
        ));
    }
    desk.strike_call(CallName::Create, None, &intent.metadata)?;
    if confirm {
        attempt(desk, &mut intent, &Caller::Merchant)
    } else {
        desk.put_intent(&intent, None);
        desk.tell_created(&intent);
        Ok(desk.show(&intent, &Caller::Merchant))
    }
}

fn draft(desk: &mut Desk<'_>, form: &Form) -> Result<Intent, ApiError> {
    let amount_minor = amount(form)?.ok_or_else(|| ApiError::missing("amount"))?;
    let currency = currency::parse(form.text(&["currency"]))?;
    currency::demand_chargeable(amount_minor, &currency)?;
    let is_manual = is_manual(form.text(&["capture_method"]))?;
    demand_cards(form)?;
    let payment_method = chosen_method(form)?.map(|method| method.id.to_owned());
    let id = IntentId::draw(desk.rng);
    Ok(Intent {
        client_secret: format!("{id}_secret_{}", random_text(desk.rng)),
        id,
        amount_minor,
        currency,
        description: form.text(&["description"]).map(str::to_owned),
        receipt_email: form.text(&["receipt_email"]).map(str::to_owned),
        metadata: metadata(form)?,
        return_url: return_url(form)?,
        status: match payment_method {
            Some(_) => Status::RequiresConfirmation,
            None => Status::RequiresPaymentMethod,
        },
        payment_method,
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
        card: None,
        is_manual,
        link: None,
    })
}

/// Whether a capture method leaves the money for the merchant.
pub(crate) fn is_manual(method: Option<&str>) -> Result<bool, ApiError> {
    match method {
        None | Some("automatic" | "automatic_async") => Ok(false),
        Some("manual") => Ok(true),
        Some(method) => Err(ApiError::invalid(
            "parameter_unknown",
            format!("Invalid capture_method: {method}"),
            Some("capture_method"),
        )),
    }
}

/// The simulator's account knows cards alone.
pub(crate) fn demand_cards(form: &Form) -> Result<(), ApiError> {
    match form.text(&["payment_method_types", "0"]) {
        None | Some("card") => Ok(()),
        Some(other) => Err(ApiError::invalid(
            "parameter_invalid_string",
            format!("The payment method type \"{other}\" is invalid for this account."),
            Some("payment_method_types[0]"),
        )),
    }
}

/// `GET /v1/payment_intents/{id}`
pub(crate) fn retrieve(
    desk: &mut Desk<'_>,
    id: &IntentId,
    form: &Form,
    caller: &Caller,
) -> Outcome {
    form.demand_expandable(&["latest_charge"])?;
    let intent = desk.intent(id, caller)?;
    desk.strike_call(CallName::Retrieve, Some(id), &intent.metadata)?;
    let mut shown = desk.show(&intent, caller);
    if form.expands("latest_charge") {
        shown["latest_charge"] = object::latest_charge(&intent);
    }
    Ok(shown)
}

/// `POST /v1/payment_intents/{id}/confirm`
pub(crate) fn confirm(desk: &mut Desk<'_>, id: &IntentId, form: &Form, caller: &Caller) -> Outcome {
    form.demand_known(CONFIRM_FIELDS)?;
    form.demand_expandable(&[])?;
    let mut intent = desk.intent(id, caller)?;
    if let Some(method) = chosen_method(form)? {
        intent.payment_method = Some(method.id.to_owned());
    }
    let holder = form.text(&["payment_method_data", "billing_details", "name"]);
    intent.card = holder.map(str::to_owned).or(intent.card);
    if let Some(url) = return_url(form)? {
        intent.return_url = Some(url);
    }
    attempt(desk, &mut intent, caller)
}

/// The customer pays on the pay page.
pub(crate) fn pay(
    desk: &mut Desk<'_>,
    id: &IntentId,
    method: Option<&str>,
    card: Option<&str>,
    caller: &Caller,
) -> Outcome {
    let mut intent = desk.intent(id, caller)?;
    intent.card = card.map(str::to_owned);
    pay_with(desk, intent, method, caller)
}

/// The customer pays `intent`.
pub(crate) fn pay_with(
    desk: &mut Desk<'_>,
    mut intent: Intent,
    method: Option<&str>,
    caller: &Caller,
) -> Outcome {
    let method = method.ok_or_else(|| ApiError::missing("payment_method"))?;
    let method = TestMethod::named(method)
        .ok_or_else(|| ApiError::no_such("PaymentMethod", method, "payment_method"))?;
    intent.payment_method = Some(method.id.to_owned());
    attempt(desk, &mut intent, caller)
}

/// Sends the intent to the bank with its payment method.
fn attempt(desk: &mut Desk<'_>, intent: &mut Intent, caller: &Caller) -> Outcome {
    let takes_attempts = matches!(
        intent.status,
        Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction
    );
    if !takes_attempts {
        let refusal = UnexpectedState(intent.status);
        return Err(unexpected(desk, intent, caller, refusal, "confirm"));
    }
    if desk.is_page_closed(intent) {
        return Err(ApiError::unexpected_state(
            "The page of this payment was closed.".to_owned(),
            desk.show(intent, caller),
        ));
    }
    let known = intent.payment_method.as_deref().and_then(TestMethod::named);
    let Some(method) = known else {
        return Err(ApiError::unexpected_state(
            "You cannot confirm this PaymentIntent because it's missing a payment method. \
             Confirm it with one."
                .to_owned(),
            desk.show(intent, caller),
        ));
    };
    let queued = desk.strike(CallName::Confirm, Some(&intent.id), &intent.metadata);
    let strike = queued.unwrap_or(Strike {
        behaviour: method.behaviour,
        delay: None,
        amount_minor: None,
    });
    desk.suffer(strike)?;
    let charge = ChargeId::draw(desk.rng);
    let attempt = Attempt {
        payment_method: method.id.to_owned(),
        bank: strike.behaviour.bank,
        webhooks: strike.behaviour.webhooks,
        other_amount_minor: strike
            .amount_minor
            .unwrap_or(intent.amount_minor.saturating_add(MISMATCH_MINOR)),
        settle_delay: strike.delay.unwrap_or(desk.rules.settle_delay),
        charge: charge.clone(),
        now: desk.now,
    };
    let notice = intent
        .confirm(attempt)
        .map_err(|refusal| unexpected(desk, intent, caller, refusal, "confirm"))?;
    desk.put_intent(intent, Some(notice));
    answer(desk, intent, caller, notice)
}

fn answer(desk: &Desk<'_>, intent: &Intent, caller: &Caller, notice: Notice) -> Outcome {
    let shown = desk.show(intent, caller);
    match &intent.last_failure {
        Some(failure) if notice == Notice::PaymentFailed => Err(ApiError::declined(
            failure.decline,
            failure.charge.to_string(),
            shown,
        )),
        _ => Ok(shown),
    }
}

/// `POST /v1/payment_intents/{id}/capture`
pub(crate) fn capture(desk: &mut Desk<'_>, id: &IntentId, form: &Form) -> Outcome {
    form.demand_known(&[])?;
    form.demand_expandable(&[])?;
    let mut intent = desk.intent(id, &Caller::Merchant)?;
    desk.strike_call(CallName::Capture, Some(id), &intent.metadata)?;
    let notice = intent
        .take_agreed(desk.now)
        .map_err(|refusal| unexpected(desk, &intent, &Caller::Merchant, refusal, "capture"))?;
    desk.put_intent(&intent, Some(notice));
    Ok(desk.show(&intent, &Caller::Merchant))
}

/// `POST /v1/payment_intents/{id}/cancel`
pub(crate) fn cancel(desk: &mut Desk<'_>, id: &IntentId, form: &Form) -> Outcome {
    form.demand_known(&["cancellation_reason"])?;
    let reason = match form.text(&["cancellation_reason"]) {
        None => CancelReason::RequestedByCustomer,
        Some(text) => CancelReason::parse(text).ok_or_else(|| {
            ApiError::invalid(
                "parameter_invalid_string",
                format!("Invalid cancellation_reason: {text}"),
                Some("cancellation_reason"),
            )
        })?,
    };
    let intent = desk.intent(id, &Caller::Merchant)?;
    desk.strike_call(CallName::Cancel, Some(id), &intent.metadata)?;
    give_up(desk, intent, reason, &Caller::Merchant)
}

/// The customer cancels on the pay page.
pub(crate) fn abandon(desk: &mut Desk<'_>, id: &IntentId, caller: &Caller) -> Outcome {
    let intent = desk.intent(id, caller)?;
    give_up(desk, intent, CancelReason::RequestedByCustomer, caller)
}

pub(crate) fn give_up(
    desk: &mut Desk<'_>,
    mut intent: Intent,
    reason: CancelReason,
    caller: &Caller,
) -> Outcome {
    let notice = intent
        .cancel(reason, desk.now)
        .map_err(|refusal| unexpected(desk, &intent, caller, refusal, "cancel"))?;
    desk.put_intent(&intent, Some(notice));
    Ok(desk.show(&intent, caller))
}

/// The customer passes or fails the bank's check.
pub(crate) fn authenticate(
    desk: &mut Desk<'_>,
    id: &IntentId,
    caller: &Caller,
    passed: bool,
) -> Outcome {
    let mut intent = desk.intent(id, caller)?;
    let charge = ChargeId::draw(desk.rng);
    let notice = intent
        .authenticate(passed, charge, desk.now)
        .map_err(|refusal| unexpected(desk, &intent, caller, refusal, "authenticate"))?;
    desk.put_intent(&intent, Some(notice));
    answer(desk, &intent, caller, notice)
}

/// Applies the bank's delayed decision on an intent.
pub(crate) fn settle(desk: &mut Desk<'_>, id: &IntentId) {
    if let Some(mut intent) = desk.books.intents().get(id).cloned() {
        let had_ended = intent.status != Status::Processing;
        let notice = intent.settle(desk.now);
        if let Some(link) = intent
            .link
            .as_mut()
            .filter(|_| notice == Some(Notice::Succeeded))
        {
            // Razorpay takes money by itself, but not where the bank agrees after a failure.
            link.awaits_capture = had_ended;
        }
        desk.put_intent(&intent, notice);
    }
}

fn unexpected(
    desk: &Desk<'_>,
    intent: &Intent,
    caller: &Caller,
    UnexpectedState(status): UnexpectedState,
    verb: &str,
) -> ApiError {
    let why = match status {
        Status::Succeeded => "it has already succeeded",
        Status::Canceled => "it has been canceled",
        Status::Processing => "the bank is still processing it",
        Status::RequiresCapture => "its money waits to be captured",
        Status::RequiresPaymentMethod => "it is waiting for a payment method",
        Status::RequiresConfirmation => "it is waiting to be confirmed",
        Status::RequiresAction => "it is waiting for the customer",
    };
    ApiError::unexpected_state(
        format!(
            "You cannot {verb} this PaymentIntent because {why} (status {}).",
            status.as_str()
        ),
        desk.show(intent, caller),
    )
}

/// `amount` within the limits, if given.
pub(crate) fn amount(form: &Form) -> Result<Option<u64>, ApiError> {
    let Some(amount) = form.integer("amount")? else {
        return Ok(None);
    };
    if amount > AMOUNT_MINOR_MAX {
        let message = format!("Amount must be no more than {AMOUNT_MINOR_MAX}.");
        return Err(ApiError::invalid(
            "amount_too_large",
            message,
            Some("amount"),
        ));
    }
    match u64::try_from(amount) {
        Ok(amount) if amount > 0 => Ok(Some(amount)),
        _ => Err(ApiError::invalid(
            "parameter_invalid_integer",
            "This value must be greater than or equal to 1.".to_owned(),
            Some("amount"),
        )),
    }
}

/// `metadata[…]` within Stripe's limits.
pub(crate) fn metadata(form: &Form) -> Result<BTreeMap<String, String>, ApiError> {
    let pairs: BTreeMap<String, String> = form
        .pairs("metadata")
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let refused = |message: String| {
        Err(ApiError::invalid(
            "parameter_invalid_string",
            message,
            Some("metadata"),
        ))
    };
    if pairs.len() > METADATA_PAIRS_MAX {
        return refused(format!("Metadata has at most {METADATA_PAIRS_MAX} keys."));
    }
    for (key, value) in &pairs {
        if key.chars().count() > METADATA_KEY_CHARACTERS_MAX {
            return refused(format!(
                "Metadata keys have at most {METADATA_KEY_CHARACTERS_MAX} characters: {key}"
            ));
        }
        if value.chars().count() > METADATA_VALUE_CHARACTERS_MAX {
            return refused(format!(
                "Metadata values have at most {METADATA_VALUE_CHARACTERS_MAX} characters: {key}"
            ));
        }
    }
    Ok(pairs)
}

fn return_url(form: &Form) -> Result<Option<String>, ApiError> {
    let Some(text) = form.text(&["return_url"]) else {
        return Ok(None);
    };
    match object::web_address(text) {
        Some(url) => Ok(Some(url.into())),
        None => Err(ApiError::invalid(
            "url_invalid",
            "Not a valid URL. It must be absolute and start with http or https.".to_owned(),
            Some("return_url"),
        )),
    }
}

/// The method of a form: by id, card token or card number.
fn chosen_method(form: &Form) -> Result<Option<&'static TestMethod>, ApiError> {
    let card = |field| form.text(&["payment_method_data", "card", field]);
    if let Some(id) = form.text(&["payment_method"]) {
        return TestMethod::named(id)
            .map(Some)
            .ok_or_else(|| ApiError::no_such("PaymentMethod", id, "payment_method"));
    }
    if let Some(token) = card("token") {
        let param = "payment_method_data[card][token]";
        return TestMethod::of_token(token)
            .map(Some)
            .ok_or_else(|| ApiError::no_such("token", token, param));
    }
    if let Some(number) = card("number") {
        return TestMethod::of_number(number).map(Some).ok_or_else(|| {
            ApiError::invalid(
                "incorrect_number",
                "The simulator knows test card numbers only.".to_owned(),
                Some("payment_method_data[card][number]"),
            )
        });
    }
    Ok(None)
}

/// Longest delay that a fault may set.
pub(crate) const FAULT_DELAY_MAX: Duration = Duration::from_hours(24);

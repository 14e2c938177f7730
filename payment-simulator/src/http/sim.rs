//! Calls that no real provider has: faults, disputes, failing refunds, and the ledger for audits.

use std::collections::BTreeMap;
use std::fmt::Write;

use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::request::{self, ObjectId};
use crate::books::Entry;
use crate::desk::{Caller, Desk, Outcome};
use crate::error::ApiError;
use crate::fault::{CallName, FAULTS_MAX, Fault};
use crate::form::Form;
use crate::id::{DisputeId, FaultId, IntentId, RefundId};
use crate::intent::Intent;
use crate::method::TestMethod;
use crate::object::Cause;
use crate::outage::{Mode, ProviderName};
use crate::payment::FAULT_DELAY_MAX;
use crate::provider::{Answer, Provider};
use crate::{disputing, refunding};

/// Most calls that one fault may apply to.
const TIMES_MAX: u32 = 1_000_000;

/// A caller authenticated by the secret key.
pub(super) struct Merchant;

impl FromRequest<Provider> for Merchant {
    type Rejection = ApiError;

    async fn from_request(request: Request, provider: &Provider) -> Result<Self, ApiError> {
        demand_merchant(request.headers(), provider)
    }
}

fn demand_merchant(headers: &HeaderMap, provider: &Provider) -> Result<Merchant, ApiError> {
    match request::caller(headers, &Form::default(), provider.secret())? {
        Caller::Merchant => Ok(Merchant),
        Caller::Browser { .. } => Err(ApiError::unauthenticated(
            "This call needs the secret key.".to_owned(),
        )),
    }
}

/// The JSON of a fault.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultRequest {
    kind: String,
    #[serde(default)]
    on: CallName,
    payment_intent: Option<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default = "once")]
    times: u32,
    delay_ms: Option<u64>,
    amount: Option<u64>,
}

const fn once() -> u32 {
    1
}

/// `POST /_sim/faults`
pub(super) async fn queue(
    State(provider): State<Provider>,
    request: Request,
) -> Result<Answer, ApiError> {
    demand_merchant(request.headers(), &provider)?;
    let wanted: FaultRequest = read(request).await?;
    let mut answer = provider
        .call(Cause::default(), None, |desk| queue_fault(desk, wanted))
        .await;
    if answer.status == 200 {
        answer.status = 201;
    }
    Ok(answer)
}

/// A JSON body.
async fn read<T: serde::de::DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    let body = request::body(request).await?;
    serde_json::from_slice(&body).map_err(|error| {
        ApiError::invalid(
            "parameter_invalid",
            format!("The body does not fit: {error}"),
            None,
        )
    })
}

/// The JSON of an outage.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutageRequest {
    provider: ProviderName,
    mode: Mode,
}

/// `POST /_sim/outages`
pub(super) async fn outage(
    State(provider): State<Provider>,
    request: Request,
) -> Result<Answer, ApiError> {
    demand_merchant(request.headers(), &provider)?;
    let wanted: OutageRequest = read(request).await?;
    provider.outages().set(wanted.provider, wanted.mode);
    let shown = json!({
        "stripe": provider.outages().of(ProviderName::Stripe),
        "razorpay": provider.outages().of(ProviderName::Razorpay),
    });
    Ok(provider.call(Cause::default(), None, |_| Ok(shown)).await)
}

/// `POST /_sim/disputes`
pub(super) async fn dispute_open(
    State(provider): State<Provider>,
    request: Request,
) -> Result<Answer, ApiError> {
    demand_merchant(request.headers(), &provider)?;
    let wanted = read(request).await?;
    Ok(provider
        .call(Cause::default(), None, |desk| {
            disputing::open(desk, &wanted)
        })
        .await)
}

/// `POST /_sim/disputes/{id}`
pub(super) async fn dispute_decide(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    request: Request,
) -> Result<Answer, ApiError> {
    demand_merchant(request.headers(), &provider)?;
    let change = read(request).await?;
    let id = DisputeId::from(id.as_str());
    Ok(provider
        .call(Cause::default(), None, |desk| {
            disputing::decide(desk, &id, &change)
        })
        .await)
}

/// `POST /_sim/refunds/{id}/fail`
pub(super) async fn refund_fail(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    _: Merchant,
) -> Answer {
    let id = RefundId::from(id.as_str());
    provider
        .call(Cause::default(), None, |desk| refunding::fail(desk, &id))
        .await
}

fn queue_fault(desk: &mut Desk<'_>, wanted: FaultRequest) -> Outcome {
    let refused =
        |message: String, param| Err(ApiError::invalid("parameter_invalid", message, Some(param)));
    if TestMethod::named(&wanted.kind).is_none() {
        return refused(
            format!("No test method is called '{}'.", wanted.kind),
            "kind",
        );
    }
    if !(1..=TIMES_MAX).contains(&wanted.times) {
        return refused(format!("times must be between 1 and {TIMES_MAX}."), "times");
    }
    if wanted
        .delay_ms
        .is_some_and(|ms| u128::from(ms) > FAULT_DELAY_MAX.as_millis())
    {
        return refused("A delay lasts at most a day.".to_owned(), "delay_ms");
    }
    if desk.books.faults().len() >= FAULTS_MAX {
        return refused(format!("At most {FAULTS_MAX} faults are queued."), "kind");
    }
    let fault = Fault {
        id: FaultId::draw(desk.rng),
        kind: wanted.kind,
        on: wanted.on,
        payment_intent: wanted.payment_intent.as_deref().map(IntentId::from),
        metadata: wanted.metadata,
        times: wanted.times,
        delay_ms: wanted.delay_ms,
        amount: wanted.amount,
    };
    let shown = json!(fault);
    desk.entries.push(Entry::Fault(Box::new(fault)));
    Ok(shown)
}

/// `GET /_sim/faults`
pub(super) async fn faults(State(provider): State<Provider>, _: Merchant) -> Answer {
    provider
        .call(Cause::default(), None, |desk| {
            Ok(json!(desk.books.faults()))
        })
        .await
}

/// `DELETE /_sim/faults`
pub(super) async fn clear(State(provider): State<Provider>, _: Merchant) -> Answer {
    let clear = |desk: &mut Desk<'_>| {
        let faults = desk.books.faults().iter();
        desk.entries = faults
            .map(|fault| Entry::FaultGone(fault.id.clone()))
            .collect();
        Ok(json!({ "cleared": desk.entries.len() }))
    };
    provider.call(Cause::default(), None, clear).await
}

/// `GET /_sim/ledger`: a JSON array, or one object per line for `Accept: application/x-ndjson`.
pub(super) async fn ledger(
    State(provider): State<Provider>,
    headers: HeaderMap,
    _: Merchant,
) -> Response {
    let list = |desk: &mut Desk<'_>| {
        Ok(Value::Array(
            desk.books.intents().iter().map(ledger_line).collect(),
        ))
    };
    let answer = provider.call(Cause::default(), None, list).await;
    let wants_lines = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("application/x-ndjson"));
    match serde_json::from_str::<Vec<Value>>(&answer.body) {
        Ok(intents) if wants_lines => {
            let mut lines = String::new();
            for intent in intents {
                // Writing to a `String` cannot fail.
                let _ = writeln!(lines, "{intent}");
            }
            let lines_type = HeaderValue::from_static("application/x-ndjson");
            ([(header::CONTENT_TYPE, lines_type)], lines).into_response()
        }
        _ => answer.into_response(),
    }
}

fn ledger_line(intent: &Intent) -> Value {
    let captures = intent.capture.is_some() && !intent.awaits_capture();
    json!({
        "provider": if intent.link.is_some() { "razorpay" } else { "stripe" },
        "payment_intent": intent.id,
        "status": intent.status.as_str(),
        "currency": intent.currency,
        "amount": intent.amount_minor,
        "captures": u8::from(captures),
        "captured": intent.captured_minor(),
        "refunded": intent.refunded_minor,
        "metadata": intent.metadata,
        "created": intent.created_at.as_unix_seconds(),
    })
}

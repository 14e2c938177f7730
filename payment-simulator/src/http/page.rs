//! The hosted pay page and the bank's page. Both work without JavaScript.

use std::sync::LazyLock;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::{Environment, context};

use super::request::{ObjectId, body};
use crate::desk::{Caller, Outcome};
use crate::error::ApiError;
use crate::form::Form;
use crate::id::{IntentId, LinkId, RequestId, SessionId};
use crate::intent::{Intent, Status};
use crate::link::Link;
use crate::method::{CARDS, SIMULATED, TestMethod};
use crate::object::{Cause, web_address};
use crate::provider::Provider;
use crate::razorpay::METHODS;
use crate::{checkout, currency, payment};

const STYLE: &str = include_str!("../../templates/style.css");

/// The description of a purchase when the intent has none.
const DESCRIPTION_DEFAULT: &str = "Your order";

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    let files = [
        ("frame.html", include_str!("../../templates/frame.html")),
        ("pay.html", include_str!("../../templates/pay.html")),
        ("outcome.html", include_str!("../../templates/outcome.html")),
        ("bank.html", include_str!("../../templates/bank.html")),
        ("missing.html", include_str!("../../templates/missing.html")),
        ("link.html", include_str!("../../templates/link.html")),
    ];
    for (name, text) in files {
        // A template that does not parse makes the first test that renders a page fail.
        if let Err(error) = templates.add_template(name, text) {
            tracing::error!(%error, name, "page.template_invalid");
        }
    }
    templates
});

/// A request for one intent's page.
struct Visit {
    id: IntentId,
    caller: Caller,
    form: Form,
    cause: Cause,
}

/// `GET /pay/style.css`
pub(super) async fn style() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, STYLE).into_response()
}

/// `GET /pay/{intent}`
pub(super) async fn show(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    request: Request,
) -> Response {
    let Some(visit) = Visit::from_query(&id, &request) else {
        return missing();
    };
    match provider.intent(&visit.id, &visit.caller).await {
        Ok(intent) => intent_page(&intent, None, StatusCode::OK),
        Err(_) => missing(),
    }
}

/// `GET /c/pay/{session}`: the page of a checkout session is that of its payment intent.
pub(super) async fn session(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    request: Request,
) -> Response {
    let cause = Cause {
        request_id: request.extensions().get().cloned(),
        idempotency_key: None,
    };
    let id = SessionId::from(id.as_str());
    let mut opened = None;
    let open = |desk: &mut crate::desk::Desk<'_>| {
        opened = Some(checkout::open(desk, &id)?);
        Ok(serde_json::Value::Null)
    };
    provider.call(cause, None, open).await;
    match opened {
        Some(intent) => see_other(&pay_path(&intent)),
        None => missing(),
    }
}

/// `POST /pay/{intent}`
pub(super) async fn pay(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    request: Request,
) -> Response {
    let visit = match Visit::from_body(&id, request).await {
        Ok(visit) => visit,
        Err(refusal) => return refusal,
    };
    let (id, caller, form) = (&visit.id, &visit.caller, &visit.form);
    if provider.intent(id, caller).await.is_err() {
        return missing();
    }
    let mut problem = None;
    let mut way_out = None;
    let decide = |desk: &mut crate::desk::Desk<'_>| -> Outcome {
        let leaves = form.text(&["action"]) == Some("cancel");
        let known = desk.intent(id, caller)?;
        way_out = checkout::way_out(desk, &known).filter(|_| leaves);
        if way_out.is_some() {
            // Leaving the page of a session cancels nothing.
            return Ok(serde_json::Value::Null);
        }
        let outcome = if leaves {
            payment::abandon(desk, id, caller)
        } else {
            let card = form.text(&["card"]).filter(|card| !card.is_empty());
            payment::pay(desk, id, form.text(&["payment_method"]), card, caller)
        };
        problem = outcome
            .as_ref()
            .err()
            .map(ApiError::message)
            .map(str::to_owned);
        outcome
    };
    let answer = provider.call(visit.cause, None, decide).await;
    if let Some(way_out) = way_out {
        return see_other(&way_out);
    }
    let Ok(intent) = provider.intent(id, caller).await else {
        return missing();
    };
    match intent.status {
        // Also after an earlier payment, so that a second click leads to the same page.
        Status::Succeeded | Status::RequiresCapture | Status::Processing | Status::Canceled => {
            leave(&intent)
        }
        Status::RequiresAction if answer.status == 200 => see_other(&bank_path(&intent)),
        Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction => {
            let status = StatusCode::from_u16(answer.status).unwrap_or_default();
            intent_page(&intent, problem.as_deref(), status)
        }
    }
}

/// `GET /pay/{intent}/bank`
pub(super) async fn bank(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    request: Request,
) -> Response {
    let Some(visit) = Visit::from_query(&id, &request) else {
        return missing();
    };
    match provider.intent(&visit.id, &visit.caller).await {
        Ok(intent) if intent.status == Status::RequiresAction => render(
            "bank.html",
            &intent,
            StatusCode::OK,
            context! { action => bank_path(&intent) },
        ),
        Ok(intent) => see_other(&pay_path(&intent)),
        Err(_) => missing(),
    }
}

/// `POST /pay/{intent}/bank`
pub(super) async fn bank_answer(
    State(provider): State<Provider>,
    ObjectId(id): ObjectId,
    request: Request,
) -> Response {
    let visit = match Visit::from_body(&id, request).await {
        Ok(visit) => visit,
        Err(refusal) => return refusal,
    };
    let passed = visit.form.text(&["action"]) == Some("approve");
    let decide = |desk: &mut crate::desk::Desk<'_>| {
        payment::authenticate(desk, &visit.id, &visit.caller, passed)
    };
    provider.call(visit.cause.clone(), None, decide).await;
    match provider.intent(&visit.id, &visit.caller).await {
        Ok(intent) => match intent.status {
            Status::Succeeded | Status::RequiresCapture | Status::Processing | Status::Canceled => {
                leave(&intent)
            }
            // If the shop confirmed the intent, its own return URL is used; a visitor of the pay
            // page may try again.
            _ if intent.return_url.is_some() => leave(&intent),
            _ => see_other(&pay_path(&intent)),
        },
        Err(_) => missing(),
    }
}

impl Visit {
    fn new(id: &str, form: Form, request_id: Option<RequestId>) -> Option<Self> {
        let client_secret = form.text(&["client_secret"])?.to_owned();
        Some(Self {
            id: IntentId::from(id),
            caller: Caller::Browser { client_secret },
            form,
            cause: Cause {
                request_id,
                idempotency_key: None,
            },
        })
    }

    fn from_query(id: &str, request: &Request) -> Option<Self> {
        let query = request.uri().query().unwrap_or_default();
        let request_id = request.extensions().get().cloned();
        Self::new(id, Form::parse(query.as_bytes()).ok()?, request_id)
    }

    async fn from_body(id: &str, request: Request) -> Result<Self, Response> {
        let request_id = request.extensions().get().cloned();
        let body = body(request).await.map_err(IntoResponse::into_response)?;
        let form = Form::parse(&body).map_err(IntoResponse::into_response)?;
        Self::new(id, form, request_id).ok_or_else(missing)
    }
}

/// The page for an intent in its present status.
fn intent_page(intent: &Intent, problem: Option<&str>, status: StatusCode) -> Response {
    let (title, text) = match intent.status {
        Status::Succeeded | Status::RequiresCapture => {
            ("Payment complete", "Thank you. Your payment went through.")
        }
        Status::Processing => ("Payment under way", "Your bank is still working on it."),
        Status::Canceled => ("Payment cancelled", "You have not been charged."),
        Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction => {
            return form_page(intent, problem, status);
        }
    };
    let back = way_back(intent);
    render(
        "outcome.html",
        intent,
        status,
        context! { title, text, back },
    )
}

fn form_page(intent: &Intent, problem: Option<&str>, status: StatusCode) -> Response {
    let last = intent
        .last_failure
        .as_ref()
        .map(|failure| failure.decline.words().message);
    let choices = |methods: &'static [TestMethod]| -> Vec<minijinja::Value> {
        methods
            .iter()
            .map(|method| context! { id => method.id, title => method.title })
            .collect()
    };
    let fields = context! {
        action => format!("/pay/{}", intent.id),
        problem => problem.or(last),
        cards => choices(CARDS),
        simulated => choices(SIMULATED),
        first => CARDS.first().map(|method| method.id),
    };
    render("pay.html", intent, status, fields)
}

fn render(
    template: &str,
    intent: &Intent,
    status: StatusCode,
    fields: minijinja::Value,
) -> Response {
    let common = context! {
        amount => currency::display(intent.amount_minor, &intent.currency),
        description => intent.description.as_deref().unwrap_or(DESCRIPTION_DEFAULT),
        client_secret => intent.client_secret.as_str(),
        ..fields
    };
    // Browsers apply `form-action` to the redirect after a form, so it must list the shop's origin.
    let shop = intent.way_back().and_then(web_address);
    let shop = shop
        .map(|url| url.origin().ascii_serialization())
        .unwrap_or_default();
    html(template, status, &common, &shop)
}

pub(super) fn missing() -> Response {
    html("missing.html", StatusCode::NOT_FOUND, &context! {}, "")
}

fn html(template: &str, status: StatusCode, fields: &minijinja::Value, form_to: &str) -> Response {
    let text = TEMPLATES
        .get_template(template)
        .and_then(|template| template.render(fields));
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            tracing::error!(%error, template, "page.render_failed");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self' {form_to}; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// The page of a payment link.
pub(super) fn link_page(link: &Link, problem: Option<&str>, status: StatusCode) -> Response {
    let choices = |methods: &'static [TestMethod]| -> Vec<minijinja::Value> {
        methods
            .iter()
            .map(|method| context! { id => method.id, title => method.title })
            .collect()
    };
    let ways: Vec<minijinja::Value> = METHODS
        .iter()
        .filter(|(id, _)| link.takes(id))
        .map(|(id, title)| context! { id => *id, title => *title })
        .collect();
    let fields = context! {
        amount => currency::display(link.amount_minor, &link.currency.to_lowercase()),
        description => link.description.as_deref().unwrap_or(DESCRIPTION_DEFAULT),
        action => format!("/razorpay/i/{}", link.id),
        problem => problem,
        ways => ways,
        cards => choices(CARDS),
        simulated => choices(SIMULATED),
        first => CARDS.first().map(|method| method.id),
    };
    let shop = link.callback_url.as_deref().and_then(web_address);
    let shop = shop.map(|url| url.origin().ascii_serialization());
    html("link.html", status, &fields, &shop.unwrap_or_default())
}

/// Redirects the customer to the shop, or to the result page when the shop set no return URL.
fn leave(intent: &Intent) -> Response {
    if let Some(payment) = &intent.link {
        return see_other(&link_done_path(&payment.link, &intent.id));
    }
    match way_back(intent) {
        Some(url) => see_other(&url),
        None => see_other(&pay_path(intent)),
    }
}

/// The return URL with the result added. It is always the merchant's own.
fn way_back(intent: &Intent) -> Option<String> {
    let status = match intent.status {
        Status::Succeeded | Status::RequiresCapture => "succeeded",
        Status::Processing => "processing",
        Status::Canceled => "canceled",
        Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction => {
            "failed"
        }
    };
    let mut url = intent.way_back().and_then(web_address)?;
    url.query_pairs_mut()
        .append_pair("payment_intent", intent.id.as_ref())
        .append_pair("redirect_status", status);
    Some(url.into())
}

/// Where the customer of a payment link goes from the bank.
pub(super) fn link_done_path(link: &LinkId, payment: &IntentId) -> String {
    format!("/razorpay/i/{link}/done?payment={payment}")
}

fn pay_path(intent: &Intent) -> String {
    format!("/pay/{}?client_secret={}", intent.id, intent.client_secret)
}

pub(super) fn bank_path(intent: &Intent) -> String {
    format!(
        "/pay/{}/bank?client_secret={}",
        intent.id, intent.client_secret
    )
}

pub(super) fn see_other(to: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    response
}

//! Razorpay's API under `/razorpay/v1`, and the page of its payment links.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Query, RawPathParams, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::page::{bank_path, link_done_path, link_page, missing, see_other};
use super::request::body;
use crate::desk::{Caller, Desk, Outcome};
use crate::error::ApiError;
use crate::form::Form;
use crate::id::{DisputeId, IntentId, LinkId, RefundId, RequestId};
use crate::intent::Status;
use crate::object::{Cause, web_address};
use crate::provider::{Answer, Provider, RequestKey};
use crate::razorpay::{self, Page};
use crate::signature::sign_plain;

/// Longest error that is written anew.
const ERROR_BYTES_MAX: usize = 256 * 1024;
/// Shortest key in `X-Refund-Idempotency`.
const KEY_CHARACTERS_MIN: usize = 10;

/// Every call of Razorpay's API.
pub(super) fn api() -> Router<Provider> {
    Router::new()
        .route("/razorpay/v1/payment_links", get(links).post(link_create))
        .route("/razorpay/v1/payment_links/{id}", get(link_fetch))
        .route("/razorpay/v1/payment_links/{id}/cancel", post(link_cancel))
        .route("/razorpay/v1/orders/{id}/payments", get(order_payments))
        .route("/razorpay/v1/payments", get(payments))
        .route("/razorpay/v1/payments/{id}", get(payment_fetch))
        .route("/razorpay/v1/payments/{id}/capture", post(capture))
        .route("/razorpay/v1/payments/{id}/refund", post(refund))
        .route("/razorpay/v1/payments/{id}/refunds", get(refunds_of))
        .route("/razorpay/v1/refunds", get(refunds))
        .route("/razorpay/v1/refunds/{id}", get(refund_fetch))
        .route("/razorpay/v1/disputes", get(disputes))
        .route("/razorpay/v1/disputes/{id}", get(dispute_fetch))
}

/// An authenticated call.
pub(super) struct Call {
    id: String,
    query: Form,
    body: Value,
    cause: Cause,
    key: Option<RequestKey>,
}

impl FromRequest<Provider> for Call {
    type Rejection = ApiError;

    async fn from_request(request: Request, provider: &Provider) -> Result<Self, ApiError> {
        let (mut parts, incoming) = request.into_parts();
        demand_key(&parts.headers, provider)?;
        let params = <RawPathParams as axum::extract::FromRequestParts<()>>::from_request_parts(
            &mut parts,
            &(),
        );
        let params = params.await.ok();
        let id = params.and_then(|params| params.iter().next().map(|(_, id)| id.to_owned()));
        let path = parts.uri.path().to_owned();
        let query = Form::parse(parts.uri.query().unwrap_or_default().as_bytes())?;
        let request_id = parts.extensions.get::<RequestId>().cloned();
        let key = refund_key(&parts.headers)?.map(str::to_owned);
        let bytes = body(Request::from_parts(parts, incoming)).await?;
        let body: Value = if bytes.is_empty() {
            json!({})
        } else {
            serde_json::from_slice(&bytes).map_err(|_| {
                let message = "Please provide the request body as JSON.".to_owned();
                ApiError::invalid("input_validation_failed", message, None)
            })?
        };
        let key = key
            .map(|key| RequestKey::new(&Caller::Merchant, &key, "POST", &path, &body.to_string()));
        Ok(Self {
            id: id.unwrap_or_default(),
            query,
            body,
            cause: Cause {
                request_id,
                idempotency_key: key.as_ref().map(|key| key.key.clone()),
            },
            key,
        })
    }
}

impl Call {
    async fn perform(
        self,
        provider: &Provider,
        decide: impl FnOnce(&mut Desk<'_>, &Self) -> Outcome,
    ) -> Answer {
        let (cause, key) = (self.cause.clone(), self.key.clone());
        provider.call(cause, key, |desk| decide(desk, &self)).await
    }

    fn page(&self) -> Page {
        let number = |name: &str| self.query.text(&[name]).and_then(|text| text.parse().ok());
        let count = |name: &str| number(name).and_then(|number: i64| usize::try_from(number).ok());
        Page {
            from: number("from"),
            to: number("to"),
            count: count("count"),
            skip: count("skip"),
        }
    }
}

fn demand_key(headers: &HeaderMap, provider: &Provider) -> Result<(), ApiError> {
    let presented = headers.get(header::AUTHORIZATION);
    let presented = presented.and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
    let presented = presented.and_then(|text| BASE64.decode(text.trim().as_bytes()).ok());
    let expected = provider.razorpay_key().expose().as_bytes();
    let is_known = presented.is_some_and(|given| bool::from(given.as_slice().ct_eq(expected)));
    if is_known {
        Ok(())
    } else {
        Err(ApiError::unauthenticated(
            "Authentication failed".to_owned(),
        ))
    }
}

fn refund_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = headers.get("x-refund-idempotency") else {
        return Ok(None);
    };
    let is_key = |key: &&str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        key.len() >= KEY_CHARACTERS_MIN && key.bytes().all(is_letter)
    };
    value.to_str().ok().filter(is_key).map(Some).ok_or_else(|| {
        let message = "The idempotency key must be at least 10 characters long and contain \
                       alphanumeric characters, underscores, and hyphens only";
        ApiError::invalid("input_validation_failed", message.to_owned(), None)
    })
}

/// An answer whose errors are written as Razorpay writes them.
pub(super) async fn in_its_words(response: Response) -> Response {
    let status = response.status();
    if status.is_success() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, ERROR_BYTES_MAX).await.unwrap_or_default();
    let stripes: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let error = &stripes["error"];
    let reason = match error["code"].as_str() {
        Some("currency_not_supported") => "invalid_currency",
        Some("idempotency_key_in_use") => "duplicate_request",
        Some(code) => code,
        None => "server_error",
    };
    let is_key = error["type"] == "idempotency_error";
    parts.status = match status {
        _ if is_key => StatusCode::CONFLICT,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::PAYMENT_REQUIRED => {
            StatusCode::BAD_REQUEST
        }
        status => status,
    };
    let code = match status.as_u16() {
        502 | 504 => "GATEWAY_ERROR",
        500.. => "SERVER_ERROR",
        _ => "BAD_REQUEST_ERROR",
    };
    let shown = json!({ "error": {
        "code": code,
        "description": error["message"],
        "field": null,
        "metadata": {},
        "reason": reason,
        "source": "business",
        "step": "payment_initiation",
    }});
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(shown.to_string()))
}

async fn link_create(State(provider): State<Provider>, call: Call) -> Answer {
    call.perform(&provider, |desk, call| {
        razorpay::link_create(desk, &call.body)
    })
    .await
}

async fn links(State(provider): State<Provider>, call: Call) -> Answer {
    call.perform(&provider, |desk, call| {
        Ok(razorpay::link_list(
            desk,
            call.query.text(&["reference_id"]),
            &call.page(),
        ))
    })
    .await
}

async fn link_fetch(State(provider): State<Provider>, call: Call) -> Answer {
    let id = LinkId::from(call.id.as_str());
    call.perform(&provider, |desk, _| razorpay::link_fetch(desk, &id))
        .await
}

async fn link_cancel(State(provider): State<Provider>, call: Call) -> Answer {
    let id = LinkId::from(call.id.as_str());
    call.perform(&provider, |desk, _| razorpay::link_cancel(desk, &id))
        .await
}

async fn order_payments(State(provider): State<Provider>, call: Call) -> Answer {
    call.perform(&provider, |desk, call| {
        razorpay::order_payments(desk, &call.id)
    })
    .await
}

async fn payments(State(provider): State<Provider>, call: Call) -> Answer {
    call.perform(&provider, |desk, call| {
        Ok(razorpay::payment_list(desk, &call.page()))
    })
    .await
}

async fn payment_fetch(State(provider): State<Provider>, call: Call) -> Answer {
    let id = IntentId::from(call.id.as_str());
    call.perform(&provider, |desk, call| {
        let with_card = call.query.expands("card");
        razorpay::payment_fetch(desk, &id, with_card)
    })
    .await
}

async fn capture(State(provider): State<Provider>, call: Call) -> Answer {
    let id = IntentId::from(call.id.as_str());
    call.perform(&provider, |desk, call| {
        razorpay::payment_capture(desk, &id, &call.body)
    })
    .await
}

async fn refund(State(provider): State<Provider>, call: Call) -> Answer {
    let id = IntentId::from(call.id.as_str());
    call.perform(&provider, |desk, call| {
        razorpay::refund_create(desk, &id, &call.body)
    })
    .await
}

async fn refunds_of(State(provider): State<Provider>, call: Call) -> Answer {
    let id = IntentId::from(call.id.as_str());
    call.perform(&provider, |desk, call| {
        Ok(razorpay::refund_list(desk, Some(&id), &call.page()))
    })
    .await
}

async fn refunds(State(provider): State<Provider>, call: Call) -> Answer {
    call.perform(&provider, |desk, call| {
        Ok(razorpay::refund_list(desk, None, &call.page()))
    })
    .await
}

async fn refund_fetch(State(provider): State<Provider>, call: Call) -> Answer {
    let id = RefundId::from(call.id.as_str());
    call.perform(&provider, |desk, _| razorpay::refund_fetch(desk, &id))
        .await
}

async fn disputes(State(provider): State<Provider>, call: Call) -> Answer {
    call.perform(&provider, |desk, call| {
        Ok(razorpay::dispute_list(desk, &call.page()))
    })
    .await
}

async fn dispute_fetch(State(provider): State<Provider>, call: Call) -> Answer {
    let id = DisputeId::from(call.id.as_str());
    call.perform(&provider, |desk, _| razorpay::dispute_fetch(desk, &id))
        .await
}

/// `GET /razorpay/i/{link}`
pub(super) async fn page(
    State(provider): State<Provider>,
    super::request::ObjectId(id): super::request::ObjectId,
) -> Response {
    show(&provider, &LinkId::from(id.as_str()), None, StatusCode::OK).await
}

async fn show(
    provider: &Provider,
    id: &LinkId,
    problem: Option<&str>,
    status: StatusCode,
) -> Response {
    let mut found = None;
    let look = |desk: &mut Desk<'_>| {
        found = Some(razorpay::visit(desk, id)?);
        Ok(Value::Null)
    };
    provider.call(Cause::default(), None, look).await;
    match found {
        Some((link, true)) => link_page(&link, problem, status),
        Some((link, false)) => match link.callback_url {
            Some(url) => see_other(&url),
            None => missing(),
        },
        None => missing(),
    }
}

/// `POST /razorpay/i/{link}`
pub(super) async fn page_pay(
    State(provider): State<Provider>,
    super::request::ObjectId(id): super::request::ObjectId,
    request: Request,
) -> Response {
    let request_id = request.extensions().get().cloned();
    let form = match body(request).await.and_then(|body| Form::parse(&body)) {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    let id = LinkId::from(id.as_str());
    let (mut payment, mut problem) = (None, None);
    let decide = |desk: &mut Desk<'_>| {
        let method = form.text(&["method"]);
        let card = form.text(&["card"]).filter(|card| !card.is_empty());
        let ending = (form.text(&["payment_method"]), card);
        let outcome = razorpay::pay(desk, &id, method, ending, &mut payment);
        problem = outcome
            .as_ref()
            .err()
            .map(|error| error.message().to_owned());
        outcome
    };
    let cause = Cause {
        request_id,
        idempotency_key: None,
    };
    let answer = provider.call(cause, None, decide).await;
    let status = StatusCode::from_u16(answer.status).unwrap_or_default();
    let Some(payment) = payment else {
        return show(&provider, &id, problem.as_deref(), status).await;
    };
    match provider.intent(&payment, &Caller::Merchant).await {
        Ok(payment) => match payment.status {
            Status::Succeeded | Status::RequiresCapture | Status::Processing | Status::Canceled => {
                see_other(&link_done_path(&id, &payment.id))
            }
            Status::RequiresAction => see_other(&bank_path(&payment)),
            _ => show(&provider, &id, problem.as_deref(), status).await,
        },
        Err(_) => missing(),
    }
}

/// The query of [`page_done`].
#[derive(Debug, Deserialize)]
pub(super) struct Done {
    payment: String,
}

/// `GET /razorpay/i/{link}/done`: back to the shop after a payment, or to the page after a failure.
pub(super) async fn page_done(
    State(provider): State<Provider>,
    super::request::ObjectId(id): super::request::ObjectId,
    Query(done): Query<Done>,
) -> Response {
    let (id, payment) = (
        LinkId::from(id.as_str()),
        IntentId::from(done.payment.as_str()),
    );
    let mut back = None;
    let look = |desk: &mut Desk<'_>| {
        let (link, _) = razorpay::visit(desk, &id)?;
        let payments = desk.books.payments_of(&link);
        let is_done = payments.iter().any(|it| {
            it.id == payment && matches!(it.status, Status::Succeeded | Status::Processing)
        });
        let status = link.status(&payments, desk.now);
        if let (true, Some(url)) = (is_done, link.callback_url.as_deref().and_then(web_address)) {
            back = Some((url, link.reference_id.clone().unwrap_or_default(), status));
        }
        Ok(Value::Null)
    };
    provider.call(Cause::default(), None, look).await;
    let Some((mut url, reference, status)) = back else {
        return see_other(&format!("/razorpay/i/{id}"));
    };
    let key = provider.razorpay_key().expose();
    let secret = key.split_once(':').map_or(key, |(_, secret)| secret);
    let signed = format!("{id}|{reference}|{status}|{payment}");
    url.query_pairs_mut()
        .append_pair("razorpay_payment_id", payment.as_ref())
        .append_pair("razorpay_payment_link_id", id.as_ref())
        .append_pair("razorpay_payment_link_reference_id", &reference)
        .append_pair("razorpay_payment_link_status", status)
        .append_pair("razorpay_signature", &sign_plain(secret, &signed));
    see_other(url.as_str())
}

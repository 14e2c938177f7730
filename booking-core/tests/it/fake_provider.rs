//! A payment provider that does what the test says, over HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use web::{ApiJson, ApiPath};

/// How the provider treats requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Up,
    /// Answers 503 and does nothing.
    Down,
    /// Does everything and answers 503.
    LosesAnswers,
    /// Answers 429.
    RateLimited,
    /// Refuses new intents for their currency.
    RefusesCurrency,
}

#[derive(Clone, Debug)]
struct FakeIntent {
    amount: i64,
    received: i64,
    currency: String,
    status: &'static str,
    error: Option<(&'static str, &'static str)>,
    cancellation_reason: Option<String>,
    metadata: HashMap<String, String>,
}

#[derive(Debug, Default)]
struct Books {
    mood: Mood,
    intents: HashMap<String, FakeIntent>,
    intents_by_key: HashMap<String, String>,
    refunds: Vec<(String, String, i64, Option<String>)>,
    refunds_by_key: HashMap<String, usize>,
    refund_failures: u32,
    fetch_count: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct FakeProvider {
    books: Arc<Mutex<Books>>,
    pub(crate) url: String,
}

impl FakeProvider {
    pub(crate) async fn start() -> Self {
        let books = Arc::<Mutex<Books>>::default();
        let router = Router::new()
            .route("/v1/payment_intents", post(create))
            .route("/v1/payment_intents/{id}", get(fetch))
            .route("/v1/payment_intents/{id}/cancel", post(cancel))
            .route("/v1/refunds", post(refund).get(refunds))
            .with_state(Arc::clone(&books));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { books, url }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    fn change(&self, intent_id: &str, change: impl FnOnce(&mut FakeIntent)) {
        change(self.books().intents.get_mut(intent_id).unwrap());
    }

    pub(crate) fn mood(&self, mood: Mood) {
        self.books().mood = mood;
    }

    /// The customer pays.
    pub(crate) fn pay(&self, intent_id: &str) {
        self.change(intent_id, |intent| {
            intent.status = "succeeded";
            intent.received = intent.amount;
        });
    }

    /// The provider takes another amount than it was asked to.
    pub(crate) fn pay_wrongly(&self, intent_id: &str, amount: i64) {
        self.change(intent_id, |intent| {
            intent.status = "succeeded";
            intent.received = amount;
        });
    }

    pub(crate) fn decline(&self, intent_id: &str, code: &'static str, decline: &'static str) {
        self.change(intent_id, |intent| {
            intent.status = "requires_payment_method";
            intent.error = Some((code, decline));
        });
    }

    pub(crate) fn set_status(&self, intent_id: &str, status: &'static str) {
        self.change(intent_id, |intent| intent.status = status);
    }

    pub(crate) fn status(&self, intent_id: &str) -> &'static str {
        self.books().intents[intent_id].status
    }

    pub(crate) fn refuse_refunds(&self, times: u32) {
        self.books().refund_failures = times;
    }

    /// Amounts given back for an intent.
    pub(crate) fn refunded(&self, intent_id: &str) -> i64 {
        let books = self.books();
        let of_intent = books.refunds.iter().filter(|refund| refund.1 == intent_id);
        of_intent.map(|refund| refund.2).sum()
    }

    /// Everything taken less everything given back.
    pub(crate) fn balance(&self) -> i64 {
        let books = self.books();
        let taken: i64 = books.intents.values().map(|intent| intent.received).sum();
        taken - books.refunds.iter().map(|refund| refund.2).sum::<i64>()
    }

    pub(crate) fn intent_count(&self) -> usize {
        self.books().intents.len()
    }

    /// The event that the provider sends about an intent.
    pub(crate) fn event(&self, event_id: &str, intent_id: &str) -> String {
        let intent = view(intent_id, &self.books().intents[intent_id]);
        json!({"id": event_id, "type": "payment_intent.succeeded", "data": {"object": intent}})
            .to_string()
    }
}

fn view(id: &str, intent: &FakeIntent) -> Value {
    json!({
        "id": id,
        "object": "payment_intent",
        "client_secret": format!("{id}_secret"),
        "status": intent.status,
        "amount": intent.amount,
        "amount_received": intent.received,
        "currency": intent.currency,
        "cancellation_reason": intent.cancellation_reason,
        "last_payment_error": intent.error.map(|(code, decline)| {
            json!({"type": "card_error", "code": code, "decline_code": decline, "message": "No."})
        }),
        "metadata": intent.metadata,
    })
}

fn refusal(status: StatusCode, code: &str) -> Response {
    let body = json!({"error": {"type": "invalid_request_error", "code": code, "message": "No."}});
    (status, ApiJson(body)).into_response()
}

fn moody(mood: Mood) -> Option<Response> {
    match mood {
        Mood::Down => Some(refusal(StatusCode::SERVICE_UNAVAILABLE, "api_error")),
        Mood::RateLimited => Some(refusal(StatusCode::TOO_MANY_REQUESTS, "rate_limit")),
        Mood::Up | Mood::LosesAnswers | Mood::RefusesCurrency => None,
    }
}

/// The answer, unless it gets lost.
fn answer(mood: Mood, body: Value) -> Response {
    if mood == Mood::LosesAnswers {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "api_error");
    }
    ApiJson(body).into_response()
}

async fn create(
    State(books): State<Arc<Mutex<Books>>>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let mut books = books.lock().unwrap();
    if let Some(response) = moody(books.mood) {
        return response;
    }
    if books.mood == Mood::RefusesCurrency {
        return refusal(StatusCode::BAD_REQUEST, "currency_not_supported");
    }
    assert_eq!(headers["authorization"], "Bearer sk_test");
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    let next = format!("pi_{}", books.intents.len() + 1);
    let id = books.intents_by_key.entry(key).or_insert(next).clone();
    let metadata = form.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("metadata[")?.strip_suffix(']')?;
        Some((name.to_owned(), value.clone()))
    });
    let intent = FakeIntent {
        amount: form["amount"].parse().unwrap(),
        received: 0,
        currency: form["currency"].clone(),
        status: "requires_payment_method",
        error: None,
        cancellation_reason: None,
        metadata: metadata.collect(),
    };
    let intent = books.intents.entry(id.clone()).or_insert(intent);
    let body = view(&id, intent);
    answer(books.mood, body)
}

async fn fetch(State(books): State<Arc<Mutex<Books>>>, ApiPath(id): ApiPath<String>) -> Response {
    let mut books = books.lock().unwrap();
    books.fetch_count += 1;
    if let Some(response) = moody(books.mood) {
        return response;
    }
    match books.intents.get(&id) {
        Some(intent) => answer(books.mood, view(&id, intent)),
        None => refusal(StatusCode::NOT_FOUND, "resource_missing"),
    }
}

async fn cancel(
    State(books): State<Arc<Mutex<Books>>>,
    ApiPath(id): ApiPath<String>,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let mut books = books.lock().unwrap();
    let mood = books.mood;
    if let Some(response) = moody(mood) {
        return response;
    }
    let intent = books.intents.get_mut(&id).unwrap();
    if matches!(intent.status, "succeeded" | "processing" | "canceled") {
        return refusal(StatusCode::BAD_REQUEST, "payment_intent_unexpected_state");
    }
    intent.status = "canceled";
    intent.cancellation_reason = form.get("cancellation_reason").cloned();
    let body = view(&id, intent);
    answer(mood, body)
}

async fn refund(
    State(books): State<Arc<Mutex<Books>>>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let mut books = books.lock().unwrap();
    if let Some(response) = moody(books.mood) {
        return response;
    }
    if books.refund_failures > 0 {
        books.refund_failures -= 1;
        return refusal(StatusCode::BAD_REQUEST, "refund_failed");
    }
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    let next = books.refunds.len();
    let at = *books.refunds_by_key.entry(key).or_insert(next);
    if at == next {
        let amount = form["amount"].parse().unwrap();
        let ours = form.get("metadata[refund_id]").cloned();
        let refund = (
            format!("re_{next}"),
            form["payment_intent"].clone(),
            amount,
            ours,
        );
        books.refunds.push(refund);
    }
    let body = refund_view(&books.refunds[at]);
    answer(books.mood, body)
}

async fn refunds(
    State(books): State<Arc<Mutex<Books>>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let books = books.lock().unwrap();
    if let Some(response) = moody(books.mood) {
        return response;
    }
    let of_intent = books
        .refunds
        .iter()
        .filter(|refund| refund.1 == query["payment_intent"]);
    let data: Vec<Value> = of_intent.map(refund_view).collect();
    answer(books.mood, json!({"object": "list", "data": data}))
}

fn refund_view(refund: &(String, String, i64, Option<String>)) -> Value {
    json!({
        "id": refund.0, "object": "refund", "status": "succeeded", "amount": refund.2,
        "payment_intent": refund.1, "metadata": {"refund_id": refund.3},
    })
}

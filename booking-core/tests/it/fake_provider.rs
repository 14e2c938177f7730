//! A payment provider that does what the test says, over HTTP.

mod returns;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{Form, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use booking_core::PaymentConfig;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use web::{ApiJson, ApiPath};

/// Intents of a list that come at once.
const PAGE_LENGTH: usize = 2;

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
    /// Does not know the intents that it is asked for.
    ForgetsIntents,
    /// Takes requests and never answers.
    Hangs,
    /// Answers a new intent with 500, and keeps that answer for its key.
    StoresErrors,
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
    created: Option<i64>,
}

#[derive(Clone, Debug)]
struct FakeRefund {
    id: String,
    intent_id: String,
    amount: i64,
    refund_id: Option<String>,
    status: &'static str,
    created: Option<i64>,
}

#[derive(Clone, Debug)]
struct FakeDispute {
    id: String,
    intent_id: String,
    amount: i64,
    status: &'static str,
    created: Option<i64>,
}

/// An answer to a fetch that the test holds back.
#[derive(Debug)]
struct Delay {
    arrived: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
}

/// The test's end of an answer that is held back.
#[derive(Debug)]
pub(crate) struct Delayed {
    arrived: Option<oneshot::Receiver<()>>,
    release: oneshot::Sender<()>,
}

impl Delayed {
    /// Returns when the provider has decided what it will answer.
    pub(crate) async fn arrived(&mut self) {
        self.arrived.take().unwrap().await.unwrap();
    }

    /// Lets the answer go.
    pub(crate) fn release(self) {
        self.release.send(()).unwrap();
    }
}

#[derive(Debug, Default)]
struct Books {
    mood: Mood,
    intents: HashMap<String, FakeIntent>,
    intents_by_key: HashMap<String, String>,
    errors_by_key: HashSet<String>,
    refunds: Vec<FakeRefund>,
    disputes: Vec<FakeDispute>,
    /// What was answered first under a key is answered for ever.
    refunds_by_key: HashMap<String, Value>,
    refund_failures: u32,
    /// Intents that are listed and not told of.
    untold: HashSet<String>,
    refund_status: Option<&'static str>,
    /// The time in Unix seconds, if it matters when something was created.
    now: Option<i64>,
    /// Pages of listings that were asked for.
    pages_listed: usize,
    delay: Option<Delay>,
    create_delay: Option<Delay>,
}

#[derive(Clone, Debug)]
pub(crate) struct FakeProvider {
    books: Arc<Mutex<Books>>,
    pub(crate) url: String,
    pub(crate) fraud: booking_core::FraudSettings,
    pub(crate) others: Option<Vec<PaymentConfig>>,
}

impl FakeProvider {
    pub(crate) async fn start() -> Self {
        let books = Arc::<Mutex<Books>>::default();
        let router = Router::new()
            .route("/v1/payment_intents", post(create).get(intents))
            .route("/v1/payment_intents/{id}", get(fetch))
            .route("/v1/payment_intents/{id}/cancel", post(cancel))
            .route("/v1/refunds", post(refund).get(refunds))
            .route("/v1/disputes", get(disputes))
            .layer(middleware::from_fn_with_state(Arc::clone(&books), hang))
            .with_state(Arc::clone(&books));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            books,
            url,
            others: None,
            fraud: booking_core::FraudSettings::default(),
        }
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

    /// What we told of an intent.
    pub(crate) fn metadata(&self, intent_id: &str) -> HashMap<String, String> {
        self.books().intents[intent_id].metadata.clone()
    }

    pub(crate) fn refuse_refunds(&self, times: u32) {
        self.books().refund_failures = times;
    }

    /// New refunds get this status from now on.
    pub(crate) fn new_refunds_are(&self, status: &'static str) {
        self.books().refund_status = Some(status);
    }

    /// How many refunds were made, whatever became of them.
    pub(crate) fn refund_count(&self) -> usize {
        self.books().refunds.len()
    }

    /// Another shop with the same account takes money.
    pub(crate) fn pay_elsewhere(&self, amount: i64) -> String {
        let mut books = self.books();
        let id = format!("pi_{}", books.intents.len() + 1);
        let return_url = "https://elsewhere.test/holds/1/return".to_owned();
        let intent = FakeIntent {
            amount,
            received: amount,
            currency: "inr".to_owned(),
            status: "succeeded",
            error: None,
            cancellation_reason: None,
            metadata: HashMap::from([("return_url".to_owned(), return_url)]),
            created: books.now,
        };
        books.intents.insert(id.clone(), intent);
        id
    }

    /// The intent was made when the shop had another address.
    pub(crate) fn made_before_a_move(&self, intent_id: &str) {
        let return_url = "https://old.test/holds/1/return".to_owned();
        self.change(intent_id, |intent| {
            intent.metadata.insert("return_url".to_owned(), return_url);
        });
    }

    /// The answer to the next fetch is held back.
    pub(crate) fn delay_next_fetch(&self) -> Delayed {
        let (delay, delayed) = delay();
        self.books().delay = Some(delay);
        delayed
    }

    /// The answer to the next new intent is held back.
    pub(crate) fn delay_next_create(&self) -> Delayed {
        let (delay, delayed) = delay();
        self.books().create_delay = Some(delay);
        delayed
    }

    /// Amounts given back for an intent.
    pub(crate) fn refunded(&self, intent_id: &str) -> i64 {
        let books = self.books();
        let of_intent = books.refunds.iter();
        of_intent
            .filter(|refund| refund.intent_id == intent_id && refund.status == "succeeded")
            .map(|refund| refund.amount)
            .sum()
    }

    /// Everything taken less everything given back.
    pub(crate) fn balance(&self) -> i64 {
        let books = self.books();
        let taken: i64 = books.intents.values().map(|intent| intent.received).sum();
        let given = books.refunds.iter();
        let given = given.filter(|refund| refund.status == "succeeded");
        taken - given.map(|refund| refund.amount).sum::<i64>()
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

    /// The event of this `kind` that the provider sends about a refund.
    pub(crate) fn refund_event(&self, event_id: &str, kind: &str, provider_id: &str) -> String {
        let books = self.books();
        let refund = books.refunds.iter().find(|refund| refund.id == provider_id);
        let refund = refund_view(refund.unwrap());
        json!({"id": event_id, "type": kind, "data": {"object": refund}}).to_string()
    }
}

fn delay() -> (Delay, Delayed) {
    let (arrived, arrival) = oneshot::channel();
    let (release, released) = oneshot::channel();
    let delayed = Delayed {
        arrived: Some(arrival),
        release,
    };
    (Delay { arrived, released }, delayed)
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
        Mood::Up
        | Mood::LosesAnswers
        | Mood::RefusesCurrency
        | Mood::ForgetsIntents
        | Mood::Hangs
        | Mood::StoresErrors => None,
    }
}

/// The answer, unless it gets lost.
fn answer(mood: Mood, body: Value) -> Response {
    if mood == Mood::LosesAnswers {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "api_error");
    }
    ApiJson(body).into_response()
}

/// Keeps the caller waiting for ever if the provider hangs.
async fn hang(State(books): State<Arc<Mutex<Books>>>, request: Request, next: Next) -> Response {
    let hangs = books.lock().unwrap().mood == Mood::Hangs;
    if hangs {
        std::future::pending::<()>().await;
    }
    next.run(request).await
}

async fn create(
    State(books): State<Arc<Mutex<Books>>>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let response = created(&books, &headers, &form);
    let delay = books.lock().unwrap().create_delay.take();
    if let Some(delay) = delay {
        delay.arrived.send(()).unwrap();
        delay.released.await.unwrap();
    }
    response
}

fn created(books: &Mutex<Books>, headers: &HeaderMap, form: &HashMap<String, String>) -> Response {
    let mut books = books.lock().unwrap();
    if let Some(response) = moody(books.mood) {
        return response;
    }
    if books.mood == Mood::RefusesCurrency {
        return refusal(StatusCode::BAD_REQUEST, "currency_not_supported");
    }
    assert_eq!(headers["authorization"], "Bearer sk_test");
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    if books.errors_by_key.contains(&key) {
        let replayed = [("idempotent-replayed", "true")];
        let error = refusal(StatusCode::INTERNAL_SERVER_ERROR, "api_error");
        return (replayed, error).into_response();
    }
    if books.mood == Mood::StoresErrors {
        books.errors_by_key.insert(key);
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "api_error");
    }
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
        created: books.now,
    };
    let intent = books.intents.entry(id.clone()).or_insert(intent);
    let body = view(&id, intent);
    answer(books.mood, body)
}

async fn fetch(State(books): State<Arc<Mutex<Books>>>, ApiPath(id): ApiPath<String>) -> Response {
    let (response, delay) = {
        let mut books = books.lock().unwrap();
        let response = match (moody(books.mood), books.intents.get(&id)) {
            (Some(response), _) => response,
            (None, _) if books.untold.contains(&id) => {
                refusal(StatusCode::INTERNAL_SERVER_ERROR, "api_error")
            }
            (None, _) if books.mood == Mood::ForgetsIntents => {
                refusal(StatusCode::NOT_FOUND, "resource_missing")
            }
            (None, Some(intent)) => answer(books.mood, view(&id, intent)),
            (None, None) => refusal(StatusCode::NOT_FOUND, "resource_missing"),
        };
        (response, books.delay.take())
    };
    if let Some(delay) = delay {
        delay.arrived.send(()).unwrap();
        delay.released.await.unwrap();
    }
    response
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
    let first = books.refunds_by_key.get(&key).cloned();
    let amount: i64 = form["amount"].parse().unwrap();
    if first.is_none() && amount > books.left_of(&form["payment_intent"]) {
        return refusal(StatusCode::BAD_REQUEST, "charge_already_refunded");
    }
    let body = first.unwrap_or_else(|| {
        let refund = FakeRefund {
            id: format!("re_{}", books.refunds.len()),
            intent_id: form["payment_intent"].clone(),
            amount,
            refund_id: form.get("metadata[refund_id]").cloned(),
            status: books.refund_status.unwrap_or("succeeded"),
            created: books.now,
        };
        let body = refund_view(&refund);
        books.refunds.push(refund);
        books.refunds_by_key.insert(key, body.clone());
        body
    });
    answer(books.mood, body)
}

/// All intents, newest first, in short pages.
async fn intents(
    State(books): State<Arc<Mutex<Books>>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let mut books = books.lock().unwrap();
    books.pages_listed += 1;
    if let Some(response) = moody(books.mood) {
        return response;
    }
    assert!(query.contains_key("created[gte]") && query.contains_key("created[lt]"));
    let within = books
        .intents
        .iter()
        .filter(|it| is_within(it.1.created, &query));
    let mut ids: Vec<&String> = within.map(|(id, _)| id).collect();
    ids.sort_by_key(|id| std::cmp::Reverse((id.len(), id.to_owned())));
    let after = query.get("starting_after");
    let at = after.map(|after| ids.iter().position(|id| *id == after));
    let start = match at {
        Some(None) => return refusal(StatusCode::BAD_REQUEST, "resource_missing"),
        Some(Some(at)) => at + 1,
        None => 0,
    };
    let page = &ids[start..ids.len().min(start + PAGE_LENGTH)];
    let data: Vec<Value> = page
        .iter()
        .map(|id| view(id, &books.intents[*id]))
        .collect();
    let has_more = start + page.len() < ids.len();
    answer(
        books.mood,
        json!({"object": "list", "data": data, "has_more": has_more}),
    )
}

/// The refunds of an intent, or all, newest first.
async fn refunds(
    State(books): State<Arc<Mutex<Books>>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let books = books.lock().unwrap();
    if let Some(response) = moody(books.mood) {
        return response;
    }
    let newest_first = books.refunds.iter().rev();
    let data: Vec<Value> = newest_first
        .filter(|refund| is_within(refund.created, &query))
        .filter(|refund| {
            let wanted = query.get("payment_intent");
            wanted.is_none_or(|wanted| refund.intent_id == *wanted)
        })
        .map(refund_view)
        .collect();
    answer(books.mood, json!({"object": "list", "data": data}))
}

async fn disputes(
    State(books): State<Arc<Mutex<Books>>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let books = books.lock().unwrap();
    if let Some(response) = moody(books.mood) {
        return response;
    }
    let wanted = |dispute: &&FakeDispute| {
        let wanted = query.get("payment_intent");
        wanted.is_none_or(|wanted| dispute.intent_id == *wanted)
    };
    let data: Vec<Value> = books
        .disputes
        .iter()
        .rev()
        .filter(wanted)
        .filter(|dispute| is_within(dispute.created, &query))
        .map(|dispute| {
            json!({
                "id": dispute.id, "object": "dispute", "status": dispute.status,
                "amount": dispute.amount, "currency": "inr", "payment_intent": dispute.intent_id,
            })
        })
        .collect();
    answer(books.mood, json!({"object": "list", "data": data}))
}

/// Whether something is in the range of a listing, if that says one.
fn is_within(created: Option<i64>, query: &HashMap<String, String>) -> bool {
    let bound = |name: &str| query.get(name).map(|at| at.parse::<i64>().unwrap());
    let after = |at: i64| bound("created[gte]").is_none_or(|from| at >= from);
    let before = |at: i64| bound("created[lt]").is_none_or(|until| at < until);
    created.is_none_or(|at| after(at) && before(at))
}

fn refund_view(refund: &FakeRefund) -> Value {
    let mut metadata = json!({});
    if let Some(id) = &refund.refund_id {
        metadata["refund_id"] = json!(id);
    }
    json!({
        "id": refund.id, "object": "refund", "status": refund.status, "amount": refund.amount,
        "currency": "inr", "payment_intent": refund.intent_id, "metadata": metadata,
    })
}

//! A running simulator, a merchant that calls it, and a shop that receives its events.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use contract::{Clock, ManualClock, SystemClock};
use payment_simulator::{Config, Secret, serve};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) const SECRET: &str = "sk_test_stage";
pub(crate) const WEBHOOK_SECRET: &str = "whsec_stage";

/// How long a test waits for a state before it fails.
const WAIT_MAX: Duration = Duration::from_secs(20);

pub(crate) struct Stage {
    pub(crate) merchant: Merchant,
    stop: CancellationToken,
    serving: JoinSet<()>,
}

/// Calls the API with the secret key.
#[derive(Clone)]
pub(crate) struct Merchant {
    pub(crate) url: String,
    client: reqwest::Client,
}

pub(crate) fn config(directory: &Path) -> Config {
    Config {
        data_dir: directory.to_path_buf(),
        secret: Secret::new(SECRET),
        webhook_url: None,
        webhook_secret: Secret::new(WEBHOOK_SECRET),
        webhook_events: payment_simulator::config::DEFAULT_EVENTS.to_owned(),
        razorpay_secret: Secret::new(payment_simulator::config::DEFAULT_RAZORPAY_KEY),
        razorpay_webhook_url: None,
        razorpay_webhook_secret: Secret::new(
            payment_simulator::config::DEFAULT_RAZORPAY_WEBHOOK_SECRET,
        ),
        public_url: None,
        settle_delay_ms: 60_000,
        answer_hold_ms: 60_000,
        webhook_delay_ms: 60_000,
    }
}

impl Stage {
    pub(crate) async fn start(directory: &Path) -> Self {
        Self::with(config(directory), SystemClock).await
    }

    pub(crate) async fn with(config: Config, clock: impl Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let mut serving = JoinSet::new();
        let token = stop.clone();
        serving.spawn(async move { serve(config, listener, clock, token).await.unwrap() });
        Self {
            merchant: Merchant::at(url),
            stop,
            serving,
        }
    }

    /// Stops in order and waits for the end.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        self.serving.join_next().await.unwrap().unwrap();
    }
}

impl Merchant {
    pub(crate) fn at(url: String) -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { url, client }
    }

    pub(crate) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub(crate) fn post(&self, path: &str, form: &[(&str, &str)]) -> RequestBuilder {
        self.bare(Method::POST, path).bearer_auth(SECRET).form(form)
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        read(
            self.bare(Method::GET, path)
                .bearer_auth(SECRET)
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn send(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        read(self.post(path, form).send().await.unwrap()).await
    }

    /// A new intent over INR 12.00.
    pub(crate) async fn intent(&self, more: &[(&str, &str)]) -> Value {
        let mut form = vec![("amount", "1200"), ("currency", "inr")];
        form.extend(more);
        let (status, intent) = self.send("/v1/payment_intents", &form).await;
        assert_eq!(status, 200, "{intent}");
        intent
    }

    pub(crate) async fn confirm(&self, intent: &Value, method: &str) -> (u16, Value) {
        let path = format!("/v1/payment_intents/{}/confirm", id(intent));
        self.send(&path, &[("payment_method", method)]).await
    }

    pub(crate) async fn cancel(&self, intent: &Value) -> (u16, Value) {
        self.send(&format!("/v1/payment_intents/{}/cancel", id(intent)), &[])
            .await
    }

    pub(crate) async fn status_of(&self, intent: &Value) -> String {
        let (_, intent) = self
            .get(&format!("/v1/payment_intents/{}", id(intent)))
            .await;
        intent["status"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn until_status(&self, intent: &Value, status: &str) {
        until(|| async { self.status_of(intent).await == status }).await;
    }

    pub(crate) async fn ledger(&self) -> Vec<Value> {
        let (status, ledger) = self.get("/_sim/ledger").await;
        assert_eq!(status, 200);
        ledger.as_array().unwrap().clone()
    }

    pub(crate) async fn fault(&self, fault: Value) {
        let request = self.bare(Method::POST, "/_sim/faults").bearer_auth(SECRET);
        assert_eq!(request.json(&fault).send().await.unwrap().status(), 201);
    }
}

pub(crate) fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

pub(crate) async fn read(response: Response) -> (u16, Value) {
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Waits until `holds`, within a bound.
pub(crate) async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let waited = tokio::time::timeout(WAIT_MAX, async {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        while !holds().await {
            tick.tick().await;
        }
    });
    waited
        .await
        .expect("the state should come within the bound");
}

/// One event as the shop got it.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) signature: String,
    pub(crate) body: String,
    pub(crate) event: Value,
}

#[derive(Default)]
struct Inbox {
    arrivals: Mutex<Vec<Arrival>>,
    refusals: Mutex<u32>,
}

/// A shop that keeps what arrives, after refusing the first few.
pub(crate) struct Shop {
    pub(crate) url: String,
    inbox: Arc<Inbox>,
    _serving: JoinSet<()>,
}

impl Shop {
    pub(crate) async fn open(refusals: u32) -> Self {
        let inbox = Arc::new(Inbox::default());
        *inbox.refusals.lock().unwrap() = refusals;
        let router = Router::new()
            .route("/hook", post(receive))
            .with_state(Arc::clone(&inbox));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            inbox,
            _serving: serving,
        }
    }

    pub(crate) fn refusals_left(&self) -> u32 {
        *self.inbox.refusals.lock().unwrap()
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.inbox.arrivals.lock().unwrap().clone()
    }

    /// Event types about `intent`, in order of arrival.
    pub(crate) fn types_about(&self, intent: &Value) -> Vec<String> {
        let about = |arrival: &&Arrival| arrival.event["data"]["object"]["id"] == intent["id"];
        let arrivals = self.arrivals();
        let types = arrivals
            .iter()
            .filter(about)
            .map(|arrival| &arrival.event["type"]);
        types
            .map(|text| text.as_str().unwrap().to_owned())
            .collect()
    }

    pub(crate) async fn until_told(&self, intent: &Value, event_type: &str) {
        until(|| async {
            self.types_about(intent)
                .iter()
                .any(|text| text == event_type)
        })
        .await;
    }
}

async fn receive(State(inbox): State<Arc<Inbox>>, headers: HeaderMap, body: String) -> StatusCode {
    let mut refusals = inbox.refusals.lock().unwrap();
    if *refusals > 0 {
        *refusals -= 1;
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    inbox.arrivals.lock().unwrap().push(Arrival {
        signature: headers["stripe-signature"].to_str().unwrap().to_owned(),
        event: serde_json::from_str(&body).unwrap(),
        body,
    });
    StatusCode::OK
}

/// A simulator with a clock that stands still, and that clock.
pub(crate) async fn with_manual_clock(config: Config) -> (Stage, ManualClock) {
    let clock = ManualClock::default();
    (Stage::with(config, clock.clone()).await, clock)
}

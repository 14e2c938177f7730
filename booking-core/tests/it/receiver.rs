//! A receiver of webhooks that does as the test says, and writes down what it gets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

/// What the receiver does with a call.
#[derive(Clone, Debug)]
pub(crate) enum Mood {
    Takes,
    Answers(u16),
    /// Answers 503 and asks for a pause of seconds.
    Busy(u64),
    /// Takes it and answers late.
    Slow(Duration),
}

/// A call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> String {
        self.headers[name].to_str().unwrap().to_owned()
    }

    pub(crate) fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn position(&self) -> i64 {
        self.event()["position"].as_i64().unwrap()
    }
}

#[derive(Clone)]
struct Shared {
    mood: Arc<Mutex<Mood>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

/// A receiver on this machine, until it is dropped.
pub(crate) struct Receiver {
    pub(crate) url: String,
    shared: Shared,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let shared = Shared {
            mood: Arc::new(Mutex::new(Mood::Takes)),
            calls: Arc::default(),
        };
        let router = Router::new().fallback(take).with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, task }
    }

    pub(crate) fn is(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    /// The calls since the last look.
    pub(crate) fn taken(&self) -> Vec<Call> {
        std::mem::take(&mut *self.shared.calls.lock().unwrap())
    }

    /// The positions of the events in the calls since the last look, in order.
    pub(crate) fn positions(&self) -> Vec<i64> {
        let mut positions: Vec<i64> = self.taken().iter().map(Call::position).collect();
        positions.sort_unstable();
        positions
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    shared.calls.lock().unwrap().push(Call { headers, body });
    let mood = shared.mood.lock().unwrap().clone();
    match mood {
        Mood::Takes => StatusCode::NO_CONTENT.into_response(),
        Mood::Answers(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Mood::Busy(seconds) => {
            let pause = [("retry-after", seconds.to_string())];
            (StatusCode::SERVICE_UNAVAILABLE, pause).into_response()
        }
        Mood::Slow(pause) => {
            tokio::time::sleep(pause).await;
            StatusCode::OK.into_response()
        }
    }
}

//! One HTTP call: limits, the fan's address, and what came back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{LOCATION, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::measurements::{Measurements, Step};
use crate::plan::client_address;

/// Calls that are under way at once in this process. Latency counts from the intended time, so
/// a call that waits here is slow in the figures; `own queue` tells how much of it was this.
pub(crate) const CALLS_MAX: u32 = 512;
/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections that nobody used for this long are not used again: a gateway closes them after ten
/// seconds, and a request that crosses the closing is lost.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(5);
/// How long a connection may take to open.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read: a seat map of some hundred thousand seats.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// The longest `Retry-After` that is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);
/// The header that carries a fan's address.
pub(crate) const FORWARDED_FOR: &str = "x-forwarded-for";

/// Why a call has no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// No connection.
    #[error("no connection")]
    Unreachable,
    /// No answer in time. Whether the server acted is not known.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke. Whether the server acted is not known.
    #[error("the connection broke")]
    Broken,
    /// The answer is longer than this process reads.
    #[error("the answer is too large")]
    TooLarge,
    /// The answer is not what the contract says.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
}

impl CallError {
    /// The word in the table of codes.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "no-answer-in-time",
            Self::Broken => "connection-broke",
            Self::TooLarge => "answer-too-large",
            Self::Unreadable(_) => "answer-unreadable",
        }
    }
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub retry_after: Option<Duration>,
    /// Where the server sends the caller.
    pub location: Option<String>,
    body: Vec<u8>,
}

/// The part of a problem document that is told apart here. Other services' errors have no code.
#[derive(Deserialize)]
struct Coded {
    code: String,
}

impl Answer {
    /// The body as the contract's type.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        serde_json::from_slice(&self.body).map_err(|error| CallError::Unreadable(error.to_string()))
    }

    /// The code of a refusal, or the bare status.
    pub(crate) fn code(&self) -> String {
        self.json::<Coded>()
            .map_or_else(|_| format!("http-{}", self.status.as_u16()), |it| it.code)
    }

    /// Whether the server asks to come again later.
    pub(crate) fn is_busy(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS || self.status.is_server_error()
    }
}

/// Sends calls of all fans of this process.
pub(crate) struct Caller {
    http: reqwest::Client,
    permits: Semaphore,
    spoofs_addresses: bool,
    measurements: Arc<Measurements>,
}

impl Caller {
    /// A caller that connects from `source`, or from wherever the system likes.
    pub(crate) fn new(
        source: Option<IpAddr>,
        spoofs_addresses: bool,
        measurements: Arc<Measurements>,
    ) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .local_address(source)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(CALLS_MAX as usize)
            .pool_idle_timeout(IDLE_MAX)
            .build()?;
        Ok(Self {
            http,
            permits: Semaphore::new(CALLS_MAX as usize),
            spoofs_addresses,
            measurements,
        })
    }

    /// The client that builds requests.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The address `fan` says to come from.
    pub(crate) fn forwarded_for(&self, fan: u32) -> Option<String> {
        self.spoofs_addresses
            .then(|| client_address(fan).to_string())
    }

    /// A turn to use a connection.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let from = Instant::now();
        // The semaphore is never closed.
        let permit = self.permits.acquire().await.ok();
        self.measurements.latency(Step::OwnQueue, from.elapsed());
        permit
    }

    /// Sends a request of `fan` and counts what is not a success.
    pub(crate) async fn send(
        &self,
        step: Step,
        fan: u32,
        request: RequestBuilder,
    ) -> Result<Answer, CallError> {
        let request = match self.forwarded_for(fan) {
            Some(address) => request.header(FORWARDED_FOR, address),
            None => request,
        };
        let permit = self.turn().await;
        let answer = fetch(request).await;
        drop(permit);
        match &answer {
            Ok(answer) if answer.status.is_client_error() || answer.status.is_server_error() => {
                self.measurements.code(step, &answer.code());
            }
            Ok(_) => {}
            Err(error) => self.measurements.code(step, error.code()),
        }
        answer
    }
}

/// Sends a request and reads the whole answer.
pub(crate) async fn fetch(request: RequestBuilder) -> Result<Answer, CallError> {
    let mut response = request.send().await.map_err(|error| classify(&error))?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(CallError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status: response.status(),
        retry_after: retry_after(&response),
        location: location(&response),
        body,
    })
}

fn location(response: &Response) -> Option<String> {
    let text = response.headers().get(LOCATION)?.to_str().ok()?;
    Some(text.to_owned())
}

fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let seconds = text.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

pub(crate) fn classify(error: &reqwest::Error) -> CallError {
    if error.is_connect() {
        CallError::Unreachable
    } else if error.is_timeout() {
        CallError::Timeout
    } else {
        CallError::Broken
    }
}

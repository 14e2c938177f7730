//! The streaming reverse proxy in front of a remote upstream.
//!
//! A request's way: [`headers::clean_request`] and [`headers::describe`], a slot and the circuit
//! breaker's permission, a pooled connection, and the answer's head through
//! [`headers::clean_response`]. Bodies stream both ways without being gathered, so a slow reader
//! on one side slows the writer on the other. Every wait has a limit in [`ProxyConfig`].
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`breaker`] | the circuit breaker, pure |
//! | [`headers`] | header hygiene, pure; used for the embedded upstream too |
//! | [`telemetry`] | metric names |

pub mod breaker;
pub mod headers;
pub mod telemetry;

mod body;
mod connector;
mod failure;
mod lane;
mod location;
mod shares;
mod slots;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use contract::{Clock, Problem, ProblemCode};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use line::policy::upstream::{Bounds, Upstream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use web::ApiError;

use body::{Progress, RequestBody, ResponseBody};
use breaker::{BreakerConfig, Outcome};
use connector::UpstreamConnector;
use failure::Failure;
use lane::{Attempt, Lanes};
use shares::Limits;

pub use body::End;
pub use breaker::BreakerState;
pub use headers::{Command, Forwarded, UpstreamKind};
pub use lane::LaneHealth;
pub use shares::Visitor;

/// Limits of the proxy.
#[derive(Clone, Copy, Debug)]
pub struct ProxyConfig {
    /// Resolving the upstream's name and connecting, together.
    pub connect_max: Duration,
    /// From the last byte of the request to the head of the answer.
    pub response_head_max: Duration,
    /// How long a body may stand still, in either direction.
    pub body_idle_max: Duration,
    /// How long a pooled connection is kept unused. Shorter than the five seconds after which
    /// common application servers close one, so that we are the side that closes.
    pub pool_idle_max: Duration,
    /// Unused connections kept per upstream.
    pub pool_idle_per_upstream_max: usize,
    /// Connections an upstream is given at once where its room does not say; further requests get
    /// a 503. At most half of them carry event streams and tunnels, so that pages have the rest.
    /// A process has 20,000 open files for clients and upstreams together.
    pub connections_per_upstream_max: usize,
    /// Requests that one session has underway at an upstream; further ones get a 429. A browser
    /// opens six connections to a site.
    pub in_flight_per_session_max: usize,
    /// Event streams and tunnels of one session, as from several tabs.
    pub streams_per_session_max: usize,
    /// Bytes buffered per connection to an upstream, which bounds the head of an answer.
    pub connection_buffer_bytes: usize,
    /// When an upstream is left alone for a while.
    pub breaker: BreakerConfig,
}

/// The reverse proxy: connections, breakers and tunnels of all remote upstreams.
pub struct Proxy {
    client: Client<UpstreamConnector, RequestBody>,
    config: ProxyConfig,
    clock: Arc<dyn Clock>,
    lanes: Lanes,
    tunnels: TaskTracker,
    stop: CancellationToken,
}

/// An upstream's answer, cleaned, and what it commands.
#[derive(Debug)]
pub struct ForwardOutcome {
    /// What the client gets.
    pub response: Response<Body>,
    /// What the upstream wants done with the session.
    pub command: Option<Command>,
}

/// On what terms a request is sent.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Whom it counts for.
    pub visitor: Visitor,
    /// What its room says of the upstream.
    pub bounds: Bounds,
}

/// A request made ready for the upstream.
struct Outbound {
    head: Parts,
    body: Body,
    upgrade: Option<OnUpgrade>,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            connect_max: Duration::from_secs(2),
            response_head_max: Duration::from_secs(30),
            body_idle_max: Duration::from_mins(1),
            pool_idle_max: Duration::from_secs(4),
            pool_idle_per_upstream_max: 128,
            connections_per_upstream_max: 4096,
            in_flight_per_session_max: 64,
            streams_per_session_max: 16,
            connection_buffer_bytes: 64 * 1024,
            breaker: BreakerConfig::default(),
        }
    }
}

impl Proxy {
    /// A proxy without connections.
    pub fn new(config: ProxyConfig, clock: Arc<dyn Clock>) -> Self {
        // Hyper repeats a request by itself only when a pooled connection turned out closed
        // before a byte of it was written, which is safe for every method.
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.pool_idle_max)
            .pool_max_idle_per_host(config.pool_idle_per_upstream_max)
            .http1_max_buf_size(config.connection_buffer_bytes)
            .set_host(false)
            .build(UpstreamConnector::new(
                config.connect_max,
                config.body_idle_max,
            ));
        Self {
            client,
            lanes: Lanes::new(
                config.breaker,
                Limits {
                    connections_max: config.connections_per_upstream_max,
                    requests_per_session_max: config.in_flight_per_session_max,
                    streams_per_session_max: config.streams_per_session_max,
                },
            ),
            config,
            clock,
            tunnels: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Sends `request` to `upstream` on `terms` and gives the head of the answer; bodies stream on.
    ///
    /// Dropping the future, or the answer's body, cancels the request at the upstream.
    /// Tunnels and event streams last as long as what `end` gives; it is asked for those only.
    /// A `GET` or other idempotent request without a body is sent once more when the connection
    /// broke before any answer; nothing else is repeated.
    pub async fn forward(
        &self,
        upstream: &Upstream,
        request: Request<Body>,
        forwarded: &Forwarded,
        terms: Terms,
        end: impl FnOnce() -> End,
    ) -> Result<ForwardOutcome, ApiError> {
        let outbound = prepare(upstream, request, forwarded)?;
        let lane = self.lanes.of(upstream);
        let mut attempt = lane.begin(&self.clock, terms.visitor, terms.bounds)?;
        let is_repeatable = outbound.head.method.is_idempotent() && outbound.body.is_end_stream();
        let spare = is_repeatable.then(|| outbound.head.clone());

        let (mut sent, mut progress) = self.send(outbound.head, outbound.body).await;
        if let (Err(Failure::BrokeBeforeAnswer), Some(head)) = (&sent, spare) {
            lane.count_retry();
            (sent, progress) = self.send(head, Body::empty()).await;
        }
        match sent {
            Ok(mut response) => {
                location::hide(response.headers_mut(), upstream.authority());
                let lasting = Lasting {
                    idle_max: terms.bounds.stream_idle_max,
                    end,
                };
                self.answer(response, outbound.upgrade, attempt, &progress, lasting)
            }
            Err(failure) => {
                attempt.failed(failure.word(), failure.outcome());
                Err(failure.into())
            }
        }
    }

    /// How `upstream` has been doing.
    pub fn health(&self, upstream: &Upstream) -> LaneHealth {
        self.lanes.of(upstream).health(&*self.clock)
    }

    /// What the breaker of `upstream` does at the moment.
    pub fn breaker_state(&self, upstream: &Upstream) -> BreakerState {
        self.health(upstream).breaker
    }

    /// Closes all tunnels and waits until they are gone.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tunnels.close();
        self.tunnels.wait().await;
    }

    async fn send(
        &self,
        head: Parts,
        body: Body,
    ) -> (Result<Response<Incoming>, Failure>, Arc<Progress>) {
        let (body, progress) = RequestBody::new(body, self.config.body_idle_max);
        let overdue = async {
            progress.settled().await;
            tokio::time::sleep(self.config.response_head_max).await;
        };
        let sent = tokio::select! {
            answered = self.client.request(Request::from_parts(head, body)) => {
                answered.map_err(|error| {
                    tracing::debug!(error = &error as &dyn std::error::Error, "no answer");
                    Failure::of(&error, &progress)
                })
            }
            () = overdue => Err(Failure::TimedOut),
        };
        (sent, progress)
    }

    fn answer(
        &self,
        mut response: Response<Incoming>,
        client: Option<OnUpgrade>,
        mut attempt: Attempt,
        progress: &Progress,
        lasting: Lasting<impl FnOnce() -> End>,
    ) -> Result<ForwardOutcome, ApiError> {
        let status = response.status();
        let since_sent = progress.settled_at().map(|at| Instant::now() - at);
        let took = since_sent.unwrap_or_default();
        let command = headers::clean_response(status, response.headers_mut(), UpstreamKind::Remote);
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let (word, outcome) = judge(status);
            attempt.head(word, outcome, took);
            let (mut parts, body) = response.into_parts();
            parts.version = Version::HTTP_11;
            parts.extensions.clear();
            let is_stream = is_event_stream(&parts.headers);
            if is_stream {
                attempt.becomes_stream()?;
            }
            let body = if is_stream {
                ResponseBody::stream(body, lasting.idle_max, attempt, (lasting.end)())
            } else {
                ResponseBody::page(body, self.config.body_idle_max, attempt)
            };
            return Ok(ForwardOutcome {
                response: Response::from_parts(parts, Body::new(body)),
                command,
            });
        }

        let Some(client) = client else {
            attempt.failed(Failure::Garbled.word(), Outcome::Failure);
            return Err(Failure::Garbled.into());
        };
        attempt.head("switched", Outcome::Success, took);
        attempt.becomes_stream()?;
        let upstream = hyper::upgrade::on(&mut response);
        let (idle_max, stop) = (lasting.idle_max, self.stop.clone());
        let over = (lasting.end)();
        self.tunnels.spawn(async move {
            let end = async {
                tokio::select! {
                    () = over => {}
                    () = stop.cancelled() => {}
                }
            };
            tunnel::run(client, upstream, idle_max, end).await;
            attempt.body_complete();
        });
        let (mut parts, _) = response.into_parts();
        parts.extensions.clear();
        Ok(ForwardOutcome {
            response: Response::from_parts(parts, Body::empty()),
            command,
        })
    }
}

/// How long an answer lasts that has no end of its own.
struct Lasting<F> {
    idle_max: Option<Duration>,
    end: F,
}

/// Makes a request ready for the upstream.
fn prepare(
    upstream: &Upstream,
    mut request: Request<Body>,
    forwarded: &Forwarded,
) -> Result<Outbound, ApiError> {
    // CONNECT would open a tunnel to anywhere; TRACE would show the client our headers.
    if request.method() == Method::CONNECT || request.method() == Method::TRACE {
        return Err(ProblemCode::MethodNotAllowed.into());
    }
    let path = origin_path(&request)?;
    let uri = upstream.resolve(path).map_err(|_| unreadable_path())?;
    let has_body = !request.body().is_end_stream();
    let asked = headers::clean_request(request.headers_mut(), UpstreamKind::Remote);
    // A body before the switch would leave its end to two parsers' agreement.
    let upgrade = if asked.is_some() && !has_body {
        Some(hyper::upgrade::on(&mut request))
    } else {
        headers::keep_protocol(request.headers_mut());
        None
    };

    let (parts, body) = request.into_parts();
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = parts.method;
    head.uri = uri;
    head.version = Version::HTTP_11;
    head.headers = parts.headers;
    if has_body && !head.headers.contains_key(CONTENT_LENGTH) {
        head.headers
            .insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    head.headers.insert(HOST, upstream.host());
    headers::describe(&mut head.headers, forwarded);
    Ok(Outbound {
        head,
        body,
        upgrade,
    })
}

/// What an answer says about the upstream.
///
/// Only the statuses with which a server says that it cannot serve count as failures: a page that
/// always answers 500 must not let one visitor open the breaker for all.
fn judge(status: StatusCode) -> (&'static str, Outcome) {
    match status {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            ("overloaded", Outcome::Failure)
        }
        status if status.is_server_error() => ("server-error", Outcome::Success),
        _ => ("answered", Outcome::Success),
    }
}

/// An answer that lasts for as long as someone listens.
fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes().split(|byte| *byte == b';').next();
        let kind = kind.unwrap_or_default().trim_ascii();
        kind.eq_ignore_ascii_case(b"text/event-stream")
    })
}

/// The path and query to ask the upstream for, whatever form the client's target had.
fn origin_path(request: &Request<Body>) -> Result<PathAndQuery, ApiError> {
    let path = request.uri().path_and_query().cloned();
    path.filter(|path| path.as_str().starts_with('/'))
        .ok_or_else(unreadable_path)
}

fn unreadable_path() -> ApiError {
    Problem::new(ProblemCode::BadRequest)
        .detail("The request names no path.")
        .into()
}

//! The streaming reverse proxy in front of a remote upstream.
//!
//! The order for a request: [`headers::clean_request`] and [`headers::describe`], a slot and the
//! circuit breaker's permit, a pooled connection, and the response's head through
//! [`headers::clean_response`]. The task that serves the client also drives the upstream's
//! connection. Bodies stream in both directions without being collected, so a slow reader on one
//! side slows the writer on the other. Every wait has a limit in [`ProxyConfig`].
//! | Module | Subject |
//! | --- | --- |
//! | [`care`] | how upstreams do, for the calls of the line; the embedded one too |
//! | [`headers`] | header hygiene, pure; used for the embedded upstream too |
//! | [`telemetry`] | metric names |

pub mod care;
pub mod headers;
pub mod telemetry;

mod connection;
mod connector;
mod failure;
mod idle;
mod lane;
mod location;
mod pool;
mod request_body;
mod response_body;
mod set_cookies;
mod shares;
mod slots;
mod trust;
mod tunnel;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use contract::upstream::{Bounds, Upstream};
use contract::{Clock, Problem, ProblemCode};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use line::policy::care::{Answer, RateShare};
use line::target::Target;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use web::ApiError;

use breaker::{BreakerConfig, Outcome};
use care::UpstreamCare;
use connection::{Connection, HeadSize, LARGE_HEADERS_MAX, NotAnswered};
use connector::Connector;
use failure::Failure;
use lane::{Attempt, Lane, Lanes};
use pool::{Home, PoolLimits};
use request_body::{Progress, RequestBody, Sending, Unasked};
use response_body::ResponseBody;
use shares::Limits;

pub use breaker::BreakerState;
pub use headers::{Command, Forwarded, UpstreamKind};
pub use lane::LaneHealth;
pub use response_body::End;
pub use shares::Visitor;

/// What a client expects that holds its body back until it is asked for it.
const CONTINUE: &str = "100-continue";

/// Limits of the proxy.
#[derive(Clone, Copy, Debug)]
pub struct ProxyConfig {
    /// Resolving the upstream's name and connecting, together.
    pub connect_max: Duration,
    /// From the last byte of the request to the head of the response.
    pub response_head_max: Duration,
    /// Longest time without progress of a body, in either direction.
    pub body_idle_max: Duration,
    /// How long an idle connection stays in the pool. Shorter than the 5 s after which common
    /// application servers close an idle connection, so that the gateway closes first.
    pub pool_idle_max: Duration,
    /// Idle connections kept in the pool per upstream and core.
    pub pool_idle_per_upstream_max: usize,
    /// Concurrent connections to an upstream whose room sets no limit; further requests get a 503.
    /// At most half of them carry event streams and tunnels, so that the rest stay free for pages.
    /// Clients and upstreams together share the process's 20,000 open files.
    pub connections_per_upstream_max: usize,
    /// Concurrent requests of one session at an upstream; further ones get a 429. A browser opens
    /// six connections to a site.
    pub in_flight_per_session_max: usize,
    /// Concurrent event streams and tunnels of one session, enough for several tabs.
    pub streams_per_session_max: usize,
    /// Bytes buffered per connection to an upstream, which also limits the head of a response.
    pub connection_buffer_bytes: usize,
    /// When the breaker opens, and for how long.
    pub breaker: BreakerConfig,
}

/// The reverse proxy: connections, breakers and tunnels of all remote upstreams.
pub struct Proxy {
    connector: Connector,
    config: ProxyConfig,
    clock: Arc<dyn Clock>,
    lanes: Lanes,
    /// How the embedded booking core does, which has no lane.
    embedded: UpstreamCare,
    tunnels: TaskTracker,
    /// Tasks that drive detached connections and close idle ones; shutdown does not wait for them.
    background: TaskTracker,
    stop: CancellationToken,
}

/// An upstream's response, cleaned, and the command it carried.
#[derive(Debug)]
pub struct ForwardOutcome {
    /// What the client gets.
    pub response: Response<Body>,
    /// The command to the gateway, if any.
    pub command: Option<Command>,
}

/// The limits that a request is sent under.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The visitor that the request is counted for.
    pub visitor: Visitor,
    /// The room's limits for the upstream.
    pub bounds: Bounds,
}

/// A request prepared for the upstream.
struct Outbound {
    head: Parts,
    body: Body,
    upgrade: Option<OnUpgrade>,
    /// The client holds its body back until it is asked for it.
    is_held: bool,
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
        Self {
            connector: Connector::new(
                config.connect_max,
                config.body_idle_max,
                config.connection_buffer_bytes,
            ),
            lanes: Lanes::new(
                config.breaker,
                Limits {
                    connections_max: config.connections_per_upstream_max,
                    requests_per_session_max: config.in_flight_per_session_max,
                    streams_per_session_max: config.streams_per_session_max,
                },
                PoolLimits {
                    rest_max: config.pool_idle_max,
                    count_max: config.pool_idle_per_upstream_max,
                },
            ),
            config,
            clock,
            embedded: UpstreamCare::default(),
            tunnels: TaskTracker::new(),
            background: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Believes encrypted upstreams by these authorities too, whose certificates are in `pem`.
    #[must_use]
    pub fn trusting(mut self, pem: &[u8]) -> Self {
        self.connector.trust(pem);
        self
    }

    /// Sends `request` to `upstream` on `terms` and returns the head of the response; bodies stream
    /// on.
    ///
    /// Dropping the future, or the response's body, cancels the request at the upstream. Tunnels
    /// and event streams are cut off when the future that `end` returns resolves; for other
    /// responses `end` is not called. A safe request without a body, such as a `GET`, is sent once
    /// more when the connection broke before any response, or when the response had more headers
    /// than the connection takes; nothing else is sent twice.
    pub async fn forward(
        &self,
        upstream: &Upstream,
        request: Request<Body>,
        forwarded: &Forwarded,
        terms: Terms,
        end: impl FnOnce() -> End,
    ) -> Result<ForwardOutcome, ApiError> {
        let outbound = prepare(upstream, request, forwarded, terms.bounds.preserves_host)?;
        let lane = self.lanes.of(upstream);
        let mut attempt = lane.begin(&self.clock, terms.visitor, terms.bounds)?;
        let may_switch = outbound.upgrade.is_some();
        let is_repeatable = outbound.head.method.is_safe() && outbound.body.is_end_stream();
        let spare = is_repeatable.then(|| outbound.head.clone());

        let way = Way {
            upstream,
            lane: &lane,
            may_switch,
            is_held: outbound.is_held,
            head_max: terms
                .bounds
                .response_max
                .unwrap_or(self.config.response_head_max),
        };
        let (mut sent, mut progress) = self.send(&way, outbound.head, outbound.body).await;
        let may_repeat = match sent {
            Err(Failure::BrokeBeforeAnswer) => true,
            Err(Failure::HeadTooLarge(taken)) => heads_grow(&lane, upstream, taken),
            _ => false,
        };
        if let Some(head) = spare.filter(|_| may_repeat) {
            lane.count_retry();
            (sent, progress) = self.send(&way, head, Body::empty()).await;
        }
        match sent {
            Ok(mut answered) => {
                let answer = answered.response.headers_mut();
                location::hide(answer, upstream);
                set_cookies::rewrite(answer, upstream, forwarded.host.as_ref());
                let lasting = Lasting {
                    idle_max: terms.bounds.stream_idle_max,
                    end,
                };
                self.answer(answered, outbound.upgrade, attempt, &progress, lasting)
            }
            Err(failure) => {
                attempt.failed(failure.word(), failure.outcome());
                Err(failure.into())
            }
        }
    }

    /// The recent health of `upstream`.
    pub fn health(&self, upstream: &Upstream) -> LaneHealth {
        self.lanes.of(upstream).health(&*self.clock)
    }

    /// The share of its rate that a room with this upstream may call at.
    pub fn rate_share(&self, target: &Target) -> RateShare {
        match target {
            Target::Embedded => self.embedded.rate_share(self.clock.now()),
            Target::Remote(upstream) => self.lanes.of(upstream).rate_share(self.clock.now()),
            Target::Unusable => RateShare::NONE,
        }
    }

    /// Takes in how the embedded booking core answered `visitor`: its hold queue, its database and
    /// the payment provider are behind what changes something, and nothing else is judged.
    pub fn note_embedded(
        &self,
        method: &Method,
        status: StatusCode,
        took: Duration,
        visitor: Visitor,
    ) {
        if let Some(answer) = care::of_embedded(method, status, took) {
            let visitor_hash = visitor.hash_value();
            self.embedded.note(answer, visitor_hash, self.clock.now());
        }
    }

    /// What the breaker of `upstream` does at the moment.
    pub fn breaker_state(&self, upstream: &Upstream) -> BreakerState {
        self.health(upstream).breaker
    }

    /// Closes all tunnels and waits until they have ended.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tunnels.close();
        self.tunnels.wait().await;
    }

    async fn send(
        &self,
        way: &Way<'_>,
        head: Parts,
        body: Body,
    ) -> (Result<Answered, Failure>, Progress) {
        let (body, progress) = RequestBody::new(body, self.config.body_idle_max, way.is_held);
        let mut request = Request::from_parts(head, body);
        loop {
            let heads = way.lane.heads();
            let resting = way.lane.pool.as_ref().and_then(|pool| pool.take());
            let resting = resting.filter(|connection| connection.heads() >= heads);
            let has_rested = resting.is_some();
            let connected = match resting {
                Some(connection) => Ok(connection),
                None => self.connector.connect(way.upstream, heads).await,
            };
            let mut connection = match connected {
                Ok(connection) => connection,
                Err(error) => {
                    tracing::debug!(error = &*error as &dyn std::error::Error, "no connection");
                    return (Err(Failure::to_connect(&error)), progress);
                }
            };
            if way.may_switch {
                connection.detach_for_switch(&self.background);
            }
            if let Some(held) = progress.held() {
                hyper::ext::on_informational(&mut request, move |interim| {
                    if interim.status() == StatusCode::CONTINUE {
                        held.ask_for();
                    }
                });
            }
            let sent = connection
                .send(request, progress.settled(), way.head_max)
                .await;
            match sent {
                Ok(response) => {
                    let answered = Answered {
                        response,
                        connection,
                    };
                    return (Ok(answered), progress);
                }
                // The upstream closed the idle connection before a byte of the request was written,
                // so any method is safe to send again on another connection.
                Err(NotAnswered::Broken {
                    unsent: Some(unsent),
                    ..
                }) if has_rested => request = *unsent,
                Err(reason) => {
                    tracing::debug!(%reason, "no answer");
                    let failure = Failure::of(&reason, &progress, connection.heads());
                    return (Err(failure), progress);
                }
            }
        }
    }

    fn answer(
        &self,
        answered: Answered,
        client: Option<OnUpgrade>,
        mut attempt: Attempt,
        progress: &Progress,
        lasting: Lasting<impl FnOnce() -> End>,
    ) -> Result<ForwardOutcome, ApiError> {
        let Answered {
            mut response,
            mut connection,
        } = answered;
        let status = response.status();
        let since_sent = progress.settled_at().map(|at| Instant::now() - at);
        let took = since_sent.unwrap_or_default();
        let command = headers::clean_response(status, response.headers_mut(), UpstreamKind::Remote);
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let (word, outcome) = judge(status);
            attempt.head(word, outcome, took, care::of_remote(status, took));
            let (mut parts, body) = response.into_parts();
            parts.version = Version::HTTP_11;
            parts.extensions.clear();
            let is_stream = is_event_stream(&parts.headers);
            if is_stream {
                attempt.becomes_stream()?;
            }
            if progress.get() == Sending::Underway {
                // The client may go on sending its body while it does not read the response.
                connection.detach(&self.background);
            }
            let home = Home {
                pool: attempt.pool(),
                tasks: self.background.clone(),
            };
            let (idle_max, end) = if is_stream {
                (lasting.idle_max, Some((lasting.end)()))
            } else {
                (Some(self.config.body_idle_max), None)
            };
            let unasked = Unasked::of(progress);
            let body = ResponseBody::new(body, connection, home, idle_max, attempt, end, unasked);
            return Ok(ForwardOutcome {
                response: Response::from_parts(parts, Body::new(body)),
                command,
            });
        }

        let Some(client) = client else {
            attempt.failed(Failure::Garbled.word(), Outcome::Failure);
            return Err(Failure::Garbled.into());
        };
        attempt.head("switched", Outcome::Success, took, Answer::Answered(took));
        attempt.becomes_stream()?;
        connection.switched();
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

/// The route of a request to its upstream.
struct Way<'a> {
    upstream: &'a Upstream,
    lane: &'a Arc<Lane>,
    /// The client asks to switch protocols.
    may_switch: bool,
    /// The client holds its body back until it is asked for it.
    is_held: bool,
    /// Longest wait for the head of the response.
    head_max: Duration,
}

/// A response whose head has come, and the connection that carries its body.
struct Answered {
    response: Response<Incoming>,
    connection: Connection,
}

/// What limits a long-lived response: an event stream or a tunnel.
struct Lasting<F> {
    idle_max: Option<Duration>,
    end: F,
}

/// Prepares a request for the upstream.
fn prepare(
    upstream: &Upstream,
    mut request: Request<Body>,
    forwarded: &Forwarded,
    preserves_host: bool,
) -> Result<Outbound, ApiError> {
    // CONNECT would open a tunnel to anywhere; TRACE would show the client our headers.
    if request.method() == Method::CONNECT || request.method() == Method::TRACE {
        return Err(ProblemCode::MethodNotAllowed.into());
    }
    let path = origin_path(&request)?;
    let path = upstream.path_of(path).map_err(|_| unreadable_path())?;
    let has_body = !request.body().is_end_stream();
    let is_held = has_body && waits_to_be_asked(&request);
    let asked = headers::clean_request(request.headers_mut(), UpstreamKind::Remote);
    // With a body before the switch, the gateway and the upstream could disagree on where the body
    // ends, which allows request smuggling.
    let upgrade = if asked.is_some() && !has_body {
        Some(hyper::upgrade::on(&mut request))
    } else {
        headers::keep_protocol(request.headers_mut());
        None
    };

    let (parts, body) = request.into_parts();
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = parts.method;
    head.uri = path.into();
    head.version = Version::HTTP_11;
    head.headers = parts.headers;
    if has_body && !head.headers.contains_key(CONTENT_LENGTH) {
        head.headers
            .insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let host = match &forwarded.host {
        Some(asked_for) if preserves_host => asked_for.clone(),
        _ => upstream.host(),
    };
    head.headers.insert(HOST, host);
    if is_held {
        let asks = HeaderValue::from_static(CONTINUE);
        head.headers.insert(EXPECT, asks);
    }
    headers::describe(&mut head.headers, forwarded);
    Ok(Outbound {
        head,
        body,
        upgrade,
        is_held,
    })
}

/// Whether the client holds its body back until it is asked for it.
fn waits_to_be_asked(request: &Request<Body>) -> bool {
    let expected = request.headers().get(EXPECT);
    request.version() > Version::HTTP_10
        && expected.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(CONTINUE.as_bytes()))
}

/// Lets `upstream` send more headers from now on, and says so once. Whether a head that was too large
/// for a connection that took heads of this size may come again.
fn heads_grow(lane: &Lane, upstream: &Upstream, taken: HeadSize) -> bool {
    let upstream = upstream.url();
    if taken == HeadSize::Large {
        tracing::warn!(
            upstream,
            limit = LARGE_HEADERS_MAX,
            "an answer was refused for its headers"
        );
        return false;
    }
    if lane.head_was_too_large() {
        tracing::warn!(
            upstream,
            limit = LARGE_HEADERS_MAX,
            "an answer had more than 100 headers; more are taken from here on"
        );
    }
    true
}

/// What a status says about the upstream: the metric label and the breaker's outcome.
///
/// Only 502, 503 and 504 count as failures: a page that always answers 500 must not let one visitor
/// open the breaker for all.
fn judge(status: StatusCode) -> (&'static str, Outcome) {
    match status {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            ("overloaded", Outcome::Failure)
        }
        status if status.is_server_error() => ("server-error", Outcome::Success),
        _ => ("answered", Outcome::Success),
    }
}

/// Whether a response is an event stream, which lasts for as long as the client listens.
fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes().split(|byte| *byte == b';').next();
        let kind = kind.unwrap_or_default().trim_ascii();
        kind.eq_ignore_ascii_case(b"text/event-stream")
    })
}

/// The path and query for the upstream, from an origin-form or an absolute request target.
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

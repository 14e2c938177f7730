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

mod availability;
mod calls;
mod checks;
mod choice;
mod connection;
mod connector;
mod ejection;
mod failure;
mod figures;
mod idle;
mod lane;
mod location;
mod method_override;
mod multiplexed;
mod outbound;
mod pool;
mod request_body;
mod response_body;
mod sender;
mod set_cookies;
mod shares;
mod slots;
mod told;
pub(crate) mod trust;
mod tunnel;
mod wire;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::body::Body;
use contract::room::AddressStats;
use contract::upstream::Upstream;
use contract::upstreams::Upstreams;
use contract::{Clock, ProblemCode};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::Body as _;
use hyper::upgrade::OnUpgrade;
use line::policy::care::{Answer, RateShare};
use line::target::Target;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use web::ApiError;

use crate::edge::grpc;
use breaker::{BreakerConfig, Outcome};
use care::UpstreamCare;
use connector::Connector;
use failure::Failure;
use lane::{Attempt, Lanes};
use outbound::prepare;
use pool::{Home, PoolLimits};
use request_body::{Progress, Sending, Unasked};
use response_body::{Carrier, Kind, ResponseBody};
use sender::{Answered, Carry, Reached, Sender, judge};
use shares::Limits;

pub use breaker::BreakerState;
pub use checks::Wanted;
pub use ejection::EjectionConfig;
pub use headers::{Command, Forwarded, UpstreamKind};
pub use lane::LaneHealth;
pub use method_override::names_another_method;
pub use response_body::End;
pub use sender::Terms;
pub use shares::Visitor;
pub use told::Told;

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
    /// When one of several addresses is left out, and for how long.
    pub ejection: EjectionConfig,
}

/// The reverse proxy: connections, breakers and tunnels of all remote upstreams.
pub struct Proxy {
    sender: Sender,
    config: ProxyConfig,
    /// How the embedded booking core does, which has no lane.
    embedded: UpstreamCare,
    tunnels: TaskTracker,
    stop: CancellationToken,
}

/// An upstream's response, cleaned, and the command it carried.
#[derive(Debug)]
pub struct ForwardOutcome {
    /// What the client gets.
    pub response: Response<Body>,
    /// The command to the gateway, if any.
    pub command: Option<Command>,
    /// The address that the visitor stays with, when it is another one than before.
    pub stays_at: Option<Arc<str>>,
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
            ejection: EjectionConfig::default(),
        }
    }
}

impl Proxy {
    /// A proxy without connections.
    pub fn new(config: ProxyConfig, clock: Arc<dyn Clock>) -> Self {
        let lanes = Lanes::new(
            config.breaker,
            config.ejection,
            Limits {
                connections_max: config.connections_per_upstream_max,
                requests_per_session_max: config.in_flight_per_session_max,
                streams_per_session_max: config.streams_per_session_max,
            },
            PoolLimits {
                rest_max: config.pool_idle_max,
                count_max: config.pool_idle_per_upstream_max,
            },
        );
        let connector = Connector::new(
            config.connect_max,
            config.body_idle_max,
            config.connection_buffer_bytes,
        );
        Self {
            sender: Sender {
                connector,
                lanes: Arc::new(lanes),
                clock,
                background: TaskTracker::new(),
                body_idle_max: config.body_idle_max,
                response_head_max: config.response_head_max,
                spread: AtomicU64::new(0),
            },
            config,
            embedded: UpstreamCare::default(),
            tunnels: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Believes encrypted upstreams by these authorities too, whose certificates are in `pem`.
    #[must_use]
    pub fn trusting(mut self, pem: &[u8]) -> Self {
        self.sender.connector.trust(pem);
        self
    }

    /// Names addresses to visitors by this key, which all gateways share.
    #[must_use]
    pub fn naming_by(mut self, key: [u8; 32]) -> Self {
        if let Some(lanes) = Arc::get_mut(&mut self.sender.lanes) {
            lanes.name_by(key);
        }
        self
    }

    /// Sends `request` to one of the `upstreams` on `terms` and returns the head of the response; bodies stream
    /// on.
    ///
    /// Dropping the future, or the response's body, cancels the request at the upstream. Calls of gRPC
    /// go over HTTP/2, everything else over HTTP/1.1. Tunnels, calls
    /// and event streams are cut off when the future that `end` returns resolves; for other
    /// responses `end` is not called. A safe request without a body, such as a `GET`, is sent once
    /// more when the connection broke before any response, or when the response had more headers
    /// than the connection takes; where there are several addresses, to another one for as long as
    /// nothing was received. Nothing else is sent twice.
    pub async fn forward(
        &self,
        upstreams: &Upstreams,
        request: Request<Body>,
        forwarded: &Forwarded,
        terms: Terms<'_>,
        end: impl FnOnce() -> End,
    ) -> Result<ForwardOutcome, ApiError> {
        let addresses = upstreams.all();
        let Some(first) = addresses.first() else {
            return Err(ProblemCode::UpstreamFailed.into());
        };
        let outbound = prepare(first, request, forwarded, terms.bounds.preserves_host)?;
        let is_repeatable = outbound.head.method.is_safe()
            && outbound.body.is_end_stream()
            && !names_another_method(&outbound.head);
        let carry = Carry {
            manner: outbound.manner(),
            names_upstream: outbound.names_upstream,
            spare: is_repeatable.then(|| outbound.head.clone()),
        };
        let request = (outbound.head, outbound.body);
        let reached = if addresses.len() == 1 {
            self.sender.send_to(first, request, carry, terms).await?
        } else {
            self.sender
                .send_to_one_of(addresses, request, carry, terms)
                .await?
        };
        let Reached {
            sent,
            progress,
            mut attempt,
        } = reached;
        match sent {
            Ok(mut answered) => {
                let answer = answered.response.headers_mut();
                location::hide(answer, addresses);
                set_cookies::rewrite(answer, addresses, forwarded.host.as_ref());
                let name = attempt.address_name();
                let is_new =
                    terms.bounds.is_sticky && addresses.len() > 1 && terms.at != Some(&**name);
                let stays_at = is_new.then(|| Arc::clone(name));
                let lasting = Lasting {
                    idle_max: terms.bounds.stream_idle_max,
                    end,
                };
                let outcome =
                    self.answer(answered, outbound.upgrade, attempt, &progress, lasting)?;
                Ok(ForwardOutcome {
                    stays_at,
                    ..outcome
                })
            }
            Err(failure) => {
                attempt.failed(failure.word(), failure.outcome());
                Err(failure.into())
            }
        }
    }

    /// Checks the addresses of the upstreams that are `wanted` until `stop`.
    pub async fn check(self: Arc<Self>, wanted: impl Fn() -> Vec<Wanted>, stop: CancellationToken) {
        let (connector, lanes) = (self.sender.connector.clone(), self.sender.lanes.clone());
        checks::run(connector, lanes, self.sender.clock.clone(), wanted, stop).await;
    }

    /// Whether there is an upstream of this label in metrics. Those that no room names any more are
    /// forgotten.
    pub fn has_upstream(&self, label: &str) -> bool {
        self.sender.lanes.has(label)
    }

    /// How the addresses of an upstream do that has several.
    pub fn addresses(&self, target: &Target) -> Vec<AddressStats> {
        let Target::Remote(upstreams) = target else {
            return Vec::new();
        };
        let several = upstreams.all().iter().filter(|_| upstreams.all().len() > 1);
        let now = self.sender.clock.now();
        let stats = several.map(|one| self.sender.lanes.of(one).address_stats(one, now));
        stats.collect()
    }

    /// The recent health of `upstream`.
    pub fn health(&self, upstream: &Upstream) -> LaneHealth {
        self.sender.lanes.of(upstream).health(&*self.sender.clock)
    }

    /// The share of its rate that a room with this upstream may call at.
    pub fn rate_share(&self, target: &Target) -> RateShare {
        match target {
            Target::Embedded => self.embedded.rate_share(self.sender.clock.now()),
            Target::Remote(upstreams) => self.rate_share_of(upstreams.all()),
            Target::Unusable => RateShare::NONE,
        }
    }

    /// Of several addresses the mean, of which those that are not up have no share.
    fn rate_share_of(&self, addresses: &[Upstream]) -> RateShare {
        let now = self.sender.clock.now();
        if let [only] = addresses {
            return self.sender.lanes.of(only).rate_share(now);
        }
        let shares = addresses.iter().map(|one| {
            let lane = self.sender.lanes.of(one);
            if lane.availability().is_up(now) {
                lane.rate_share(now)
            } else {
                RateShare::NONE
            }
        });
        RateShare::mean(shares)
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
            self.embedded
                .note(answer, visitor_hash, self.sender.clock.now());
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
            mut carrier,
        } = answered;
        let status = response.status();
        let since_sent = progress.settled_at().map(|at| Instant::now() - at);
        let took = since_sent.unwrap_or_default();
        let command = headers::clean_response(status, response.headers_mut(), UpstreamKind::Remote);
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let meant = grpc::status_meant(status, response.headers());
            let (word, outcome) = judge(meant);
            attempt.head(word, outcome, took, care::of_remote(meant, took));
            let (mut parts, body) = response.into_parts();
            parts.version = Version::HTTP_11;
            parts.extensions.clear();
            let kind = match &carrier {
                Carrier::Shared { .. } => Kind::Call,
                Carrier::Own(_) if is_event_stream(&parts.headers) => Kind::Events,
                Carrier::Own(_) => Kind::Page,
            };
            if kind == Kind::Events {
                attempt.becomes_stream()?;
            }
            if let Carrier::Own(connection) = &mut carrier
                && progress.get() == Sending::Underway
            {
                // The client may go on sending its body while it does not read the response.
                connection.detach(&self.sender.background);
            }
            let home = Home {
                pool: attempt.pool(),
                tasks: self.sender.background.clone(),
            };
            let (idle_max, end) = match kind {
                Kind::Events | Kind::Call => (lasting.idle_max, Some((lasting.end)())),
                Kind::Page => (Some(self.config.body_idle_max), None),
            };
            let unasked = Unasked::of(progress);
            let carried = (body, carrier);
            let body = ResponseBody::new(carried, kind, home, idle_max, attempt, end, unasked);
            return Ok(ForwardOutcome {
                response: Response::from_parts(parts, Body::new(body)),
                command,
                stays_at: None,
            });
        }

        let (Some(client), Carrier::Own(connection)) = (client, carrier) else {
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
            stays_at: None,
        })
    }
}

/// What limits a long-lived response: an event stream, a call or a tunnel.
struct Lasting<F> {
    idle_max: Option<Duration>,
    end: F,
}

/// Whether a response is an event stream, which lasts for as long as the client listens.
fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes().split(|byte| *byte == b';').next();
        let kind = kind.unwrap_or_default().trim_ascii();
        kind.eq_ignore_ascii_case(b"text/event-stream")
    })
}

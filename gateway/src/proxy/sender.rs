//! Sends requests to the address of an upstream, or to one of several.
//!
//! With several addresses, a request goes to one that is up, of two that chance picks to the one with
//! fewer requests underway. Failures in a row leave an address out for a while. A request that may be
//! repeated goes to another address as long as nothing was received, within a budget of retries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use breaker::Outcome;
use contract::upstream::{Bounds, Upstream};
use contract::{Clock, ProblemCode};
use http::header::HOST;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio_util::task::TaskTracker;
use web::ApiError;

use super::choice::{Set, choose, scatter};
use super::connection::{HeadSize, LARGE_HEADERS_MAX, NotAnswered};
use super::connector::Connector;
use super::failure::Failure;
use super::lane::{Attempt, Lane, Lanes};
use super::request_body::{Progress, RequestBody};
use super::response_body::Carrier;
use super::shares::Visitor;
use crate::edge::grpc;

/// The limits that a request is sent under.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The visitor that the request is counted for.
    pub visitor: Visitor,
    /// The room's limits for the upstream.
    pub bounds: Bounds,
    /// The address that the visitor stays with, as [`ForwardOutcome::stays_at`] named it.
    pub at: Option<&'a str>,
}

/// What requests are sent by.
pub(super) struct Sender {
    pub(super) connector: Connector,
    pub(super) lanes: Arc<Lanes>,
    pub(super) clock: Arc<dyn Clock>,
    /// Tasks that drive detached connections and close idle ones; shutdown does not wait for them.
    pub(super) background: TaskTracker,
    /// Longest time without progress of a body.
    pub(super) body_idle_max: Duration,
    /// From the last byte of the request to the head of the response.
    pub(super) response_head_max: Duration,
    /// Requests for upstreams with several addresses.
    pub(super) spread: AtomicU64,
}

/// The route of a request to its upstream.
pub(super) struct Way<'a> {
    pub(super) upstream: &'a Upstream,
    pub(super) lane: &'a Arc<Lane>,
    manner: Manner,
    /// Longest wait for the head of the response.
    pub(super) head_max: Duration,
    /// How long a stream may stand still.
    pub(super) stream_idle_max: Option<Duration>,
}

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// As most are.
    Usual,
    /// The client asks to switch protocols.
    Switching,
    /// The client holds its body back until it is asked for it.
    Held,
    /// It is a call of gRPC.
    Call,
}

/// What a request needs on its way, whichever address it goes to.
pub(super) struct Carry {
    pub(super) manner: Manner,
    /// `Host` is the upstream's own name.
    pub(super) names_upstream: bool,
    /// The head, to send the request again; `None` when that must not be done.
    pub(super) spare: Option<Parts>,
}

/// What came of sending a request.
pub(super) struct Reached {
    pub(super) sent: Result<Answered, Failure>,
    pub(super) progress: Progress,
    pub(super) attempt: Attempt,
}

/// A response whose head has come, and the connection that carries its body.
pub(super) struct Answered {
    pub(super) response: Response<Incoming>,
    pub(super) carrier: Carrier,
}

impl Sender {
    /// Sends a request to the only address that there is.
    pub(super) async fn send_to(
        &self,
        upstream: &Upstream,
        (head, body): (Parts, Body),
        carry: Carry,
        terms: Terms<'_>,
    ) -> Result<Reached, ApiError> {
        let lane = self.lanes.of(upstream);
        let attempt = lane.begin(&self.clock, terms.visitor, terms.bounds)?;
        let way = self.way(upstream, &lane, &carry, terms.bounds);
        let (mut sent, mut progress) = self.send(&way, head, body).await;
        let may_repeat = match sent {
            Err(Failure::BrokeBeforeAnswer) => true,
            Err(Failure::HeadTooLarge(taken)) => heads_grow(&lane, upstream, taken),
            _ => false,
        };
        if let Some(head) = carry.spare.filter(|_| may_repeat) {
            lane.count_retry();
            (sent, progress) = self.send(&way, head, Body::empty()).await;
        }
        Ok(Reached {
            sent,
            progress,
            attempt,
        })
    }

    /// Sends a request to one of several addresses, and to another one if nothing was received, for
    /// as long as the request may be repeated and the budget of retries allows it.
    pub(super) async fn send_to_one_of(
        &self,
        addresses: &[Upstream],
        request: (Parts, Body),
        carry: Carry,
        terms: Terms<'_>,
    ) -> Result<Reached, ApiError> {
        let lanes: Vec<_> = addresses.iter().map(|one| self.lanes.of(one)).collect();
        let preferred = terms.at.filter(|_| terms.bounds.is_sticky);
        let preferred = preferred.and_then(|at| lanes.iter().position(|lane| lane.is_named(at)));
        let roll = scatter(self.spread.fetch_add(1, Ordering::Relaxed));
        let now = self.clock.now();
        let up = Set::of(lanes.len(), |at| lanes[at].availability().is_up(now));
        let load = |at: usize| lanes[at].underway();
        let choose = |tried| choose(lanes.len(), up, tried, preferred, roll, load);
        let bounds = terms.bounds.shared_by(lanes.len());
        let mut request = Some(request);
        let mut tried = Set::default();
        let mut has_waited = false;
        let mut next = choose(tried);
        let mut refused = ApiError::from(ProblemCode::UpstreamFailed);
        while let Some(at) = next {
            tried.add(at);
            next = choose(tried);
            let (lane, upstream) = (&lanes[at], &addresses[at]);
            let mut attempt = match lane.begin(&self.clock, terms.visitor, bounds) {
                Ok(attempt) => attempt,
                // Another address would only be used up by the same visitor.
                Err(error) if error.problem().code == ProblemCode::RateLimited => {
                    return Err(error);
                }
                Err(error) => {
                    refused = error;
                    continue;
                }
            };
            lane.availability().request_begins();
            let (mut head, body) = match request.take() {
                Some(whole) => whole,
                None => match &carry.spare {
                    Some(spare) => (spare.clone(), Body::empty()),
                    None => break,
                },
            };
            if carry.names_upstream {
                head.headers.insert(HOST, upstream.host());
            }
            let again = carry.spare.as_ref().map(|_| head.clone());
            let way = self.way(upstream, lane, &carry, bounds);
            let (mut sent, mut progress) = self.send(&way, head, body).await;
            let taken = match sent {
                Err(Failure::HeadTooLarge(taken)) => Some(taken),
                _ => None,
            };
            let grows = taken.is_some_and(|taken| heads_grow(lane, upstream, taken));
            if let Some(head) = again.filter(|_| grows) {
                lane.count_retry();
                (sent, progress) = self.send(&way, head, Body::empty()).await;
            }
            let outcome = self.note_address(lane, upstream, terms.visitor, &sent);
            if outcome == Outcome::Success && up == Set::default() {
                lane.availability().is_back(now);
            }
            let failure = match &sent {
                Err(failure) if failure.received_nothing() => Some(*failure),
                Ok(_) | Err(_) => None,
            };
            // One wait for an address that hangs is enough for a fan.
            let waits = failure == Some(Failure::TimedOut);
            let is_patient = !(waits && has_waited);
            has_waited |= waits;
            if let Some(failure) = failure
                && is_patient
                && carry.spare.is_some()
                && next.is_some()
                && lane.availability().may_retry()
            {
                lane.count_retry();
                attempt.failed(failure.word(), failure.outcome());
                refused = failure.into();
                continue;
            }
            return Ok(Reached {
                sent,
                progress,
                attempt,
            });
        }
        Err(refused)
    }

    /// Takes in how a request at one of several addresses fared, and says it.
    fn note_address(
        &self,
        lane: &Lane,
        upstream: &Upstream,
        visitor: Visitor,
        sent: &Result<Answered, Failure>,
    ) -> Outcome {
        let now = self.clock.now();
        let outcome = match sent {
            Ok(answered) => {
                let head = &answered.response;
                judge(grpc::status_meant(head.status(), head.headers())).1
            }
            Err(failure) => failure.outcome(),
        };
        match outcome {
            Outcome::Success => lane.availability().answered(now),
            Outcome::Failure => {
                let is_theirs = !matches!(sent, Err(Failure::Unreachable))
                    && !matches!(visitor, Visitor::Unknown);
                let visitor = is_theirs.then(|| visitor.hash_value());
                if lane.availability().failed(visitor, now) {
                    let until = lane.availability().ejected_until(now);
                    let until = until.map(|until| until.to_string());
                    tracing::warn!(upstream = upstream.url(), until, "an address is left out");
                }
            }
            Outcome::Abandoned => {}
        }
        outcome
    }

    fn way<'a>(
        &self,
        upstream: &'a Upstream,
        lane: &'a Arc<Lane>,
        carry: &Carry,
        bounds: Bounds,
    ) -> Way<'a> {
        Way {
            upstream,
            lane,
            manner: carry.manner,
            head_max: bounds.response_max.unwrap_or(self.response_head_max),
            stream_idle_max: bounds.stream_idle_max,
        }
    }

    async fn send(
        &self,
        way: &Way<'_>,
        head: Parts,
        body: Body,
    ) -> (Result<Answered, Failure>, Progress) {
        if way.manner == Manner::Call {
            // Few requests are calls: their future is kept out of that of all others.
            return Box::pin(self.call(way, head, body)).await;
        }
        let is_held = way.manner == Manner::Held;
        let (body, progress) = RequestBody::new(body, self.body_idle_max, is_held);
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
            if way.manner == Manner::Switching {
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
                        carrier: Carrier::Own(connection),
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
pub(super) fn judge(status: StatusCode) -> (&'static str, Outcome) {
    match status {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            ("overloaded", Outcome::Failure)
        }
        status if status.is_server_error() => ("server-error", Outcome::Success),
        _ => ("answered", Outcome::Success),
    }
}

//! The public side: the rooms at work, and the router that fans reach.

use std::sync::Arc;

use axum::Router;
use line::records::Rooms;
use line::rooms::RoomSet;
use line::{Parts, WorkError};
use web::{Part, RequestIds};

use crate::edge::client_ip::{self, TrustedProxies};
use crate::edge::head;
use crate::edge::rate_limit::{RateLimitConfig, RateLimits};
use crate::edge::refused_head::Page;
use crate::gate::{self, Gate};
use crate::http::cookies::CookieForm;
use crate::http::{self, LineState, problem_page};
use crate::proxy::Proxy;

/// In metrics, requests of our own paths and all that the gate decides about.
const PART: Part = Part {
    routed: "line",
    unrouted: "gate",
};

/// What the public side is made of.
pub struct PublicParts {
    /// What all rooms share.
    pub parts: Arc<Parts>,
    /// Where rooms are read from.
    pub records: Rooms,
    /// The way to remote upstreams.
    pub proxy: Arc<Proxy>,
    /// The booking core, or whatever stands for it.
    pub embedded: Router,
    /// Where fans reach us.
    pub public_url: String,
    /// How cookies are written.
    pub cookies: CookieForm,
    /// Limits on calls.
    pub limits: RateLimitConfig,
    /// Live connections of one place.
    pub connections_per_place_max: usize,
    /// Whose word on a client's address is believed.
    pub trusted_proxies: TrustedProxies,
    /// The policy that pages are sent with.
    pub page_policy: Arc<str>,
    /// Numbers requests.
    pub request_ids: RequestIds,
}

/// The public side, at work.
pub struct PublicSide {
    /// The rooms.
    pub rooms: RoomSet,
    /// Limits on calls.
    pub limits: RateLimits,
    /// What the public listener serves.
    pub router: Router,
    /// What people get there whose requests cannot be read.
    pub refusal_page: Page,
}

impl PublicSide {
    /// Reads the rooms, sets them to work and puts the router in front of them.
    pub async fn start(made_of: PublicParts) -> Result<Self, WorkError> {
        let rooms = RoomSet::new(made_of.parts.clone(), made_of.records);
        // So that the first request finds its room.
        let change = rooms.read_once(0).await?;
        made_of.parts.tasks.spawn(rooms.clone().run(change));
        let limits = RateLimits::new(made_of.limits);
        let line = LineState {
            rooms: rooms.clone(),
            cookies: made_of.cookies,
            limits: limits.clone(),
            connections_per_place_max: made_of.connections_per_place_max,
            page_policy: made_of.page_policy,
            public_origin: web::origin::origin_of(&made_of.public_url)
                .unwrap_or_default()
                .into(),
        };
        let gate = Gate::new(
            rooms.clone(),
            made_of.cookies,
            made_of.proxy,
            made_of.embedded,
            limits.clone(),
        );
        let refusal_page = problem_page::of_refused_heads(line.page_policy.clone());
        let router = router(line, gate, made_of.trusted_proxies, made_of.request_ids);
        Ok(Self {
            rooms,
            limits,
            router,
            refusal_page,
        })
    }
}

fn router(line: LineState, gate: Gate, proxies: TrustedProxies, ids: RequestIds) -> Router {
    let policy = line.page_policy.clone();
    let gated = Router::new().fallback(gate::handle).with_state(gate);
    // `standard` would answer unknown paths itself; here they belong to the gate.
    let router = http::router(line).merge(gated);
    router
        .method_not_allowed_fallback(web::method_not_allowed)
        .layer(axum::middleware::from_fn_with_state(
            proxies,
            client_ip::middleware,
        ))
        .layer(axum::middleware::from_fn(head::middleware))
        // Inside of the layer that numbers requests, because a page names the number.
        .layer(axum::middleware::from_fn_with_state(
            policy,
            problem_page::middleware,
        ))
        .layer(axum::middleware::from_fn_with_state(
            web::measure::Measure::of(PART),
            web::measure::middleware,
        ))
        // Outermost, so that every answer carries the id.
        .layer(axum::middleware::from_fn_with_state(
            ids,
            web::request_id::middleware,
        ))
}

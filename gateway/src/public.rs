//! The public side: the rooms at work, and what fans reach of them.

use std::sync::Arc;

use axum::Router;
use line::records::Rooms;
use line::rooms::RoomSet;
use line::{Parts, WorkError};
use web::RequestIds;

use crate::edge::client_ip::TrustedProxies;
use crate::edge::rate_limit::{RateLimitConfig, RateLimits};
use crate::edge::refused_head::Page;
use crate::front::{Front, FrontParts};
use crate::gate::Gate;
use crate::http::cookies::CookieForm;
use crate::http::shells::Shells;
use crate::http::{LineState, problem_page};
use crate::proxy::Proxy;

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
    /// What answers on the public listener.
    pub front: Front,
    /// What people get there whose requests cannot be read.
    pub refusal_page: Page,
}

impl PublicSide {
    /// Reads the rooms, sets them to work and puts the front before them.
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
            shells: Shells::default(),
        };
        let gate = Gate::new(
            rooms.clone(),
            made_of.cookies,
            made_of.proxy,
            made_of.embedded,
            limits.clone(),
        );
        let refusal_page = problem_page::of_refused_heads(line.page_policy.clone());
        let front = Front::new(FrontParts {
            line,
            gate,
            trusted_proxies: made_of.trusted_proxies,
            request_ids: made_of.request_ids,
            is_secure: made_of.cookies.is_secure,
            public_origin: web::origin::origin_of(&made_of.public_url).unwrap_or_default(),
        });
        Ok(Self {
            rooms,
            limits,
            front,
            refusal_page,
        })
    }
}

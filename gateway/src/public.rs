//! The public side: the running rooms, and the service that fans reach.

use std::sync::Arc;

use contract::room::UpstreamHealth;
use contract::upstreams::Upstreams;
use line::records::Rooms;
use line::room::Room;
use line::rooms::RoomSet;
use line::target::Target;
use line::{Parts, WorkError};
use web::RequestIds;

use crate::access_log::AccessLog;
use crate::edge::client_ip::TrustedProxies;
use crate::edge::rate_limit::{RateLimitConfig, RateLimits};
use crate::edge::refused_head::Page;
use crate::front::{BesideTls, Front, FrontParts};
use crate::gate::{Gate, InProcess};
use crate::http::auth::Questions;
use crate::http::cookies::CookieForm;
use crate::http::shells::Shells;
use crate::http::turn_teller::TurnTeller;
use crate::http::{LineState, problem_page};
use crate::proxy::Proxy;
use crate::sealer::Sealer;
use crate::start_up::until_database_answers;

/// The parts of the public side.
pub struct PublicParts {
    /// What all rooms share.
    pub parts: Arc<Parts>,
    /// The stored records of the rooms.
    pub records: Rooms,
    /// The proxy to remote upstreams.
    pub proxy: Arc<Proxy>,
    /// The booking core, or a stand-in in tests.
    pub embedded: InProcess,
    /// The URL at which fans reach the gateway.
    pub public_url: String,
    /// How cookies are written.
    pub cookies: CookieForm,
    /// Limits on calls.
    pub limits: RateLimitConfig,
    /// Live connections of one place.
    pub connections_per_place_max: usize,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: TrustedProxies,
    /// How other proxies ask about requests.
    pub questions: Questions,
    /// What is answered because TLS is spoken beside the plain listener.
    pub beside_tls: BesideTls,
    /// The Content-Security-Policy of pages.
    pub page_policy: Arc<str>,
    /// Generates request ids.
    pub request_ids: RequestIds,
    /// Tells requests.
    pub access_log: AccessLog,
    /// Tells fans when they are called.
    pub turns: Arc<dyn TurnTeller>,
}

/// The public side, running.
pub struct PublicSide {
    /// The rooms.
    pub rooms: RoomSet,
    /// Rate limits.
    pub limits: RateLimits,
    /// The service of the public listener.
    pub front: Front,
    /// The page for people whose request cannot be read.
    pub refusal_page: Page,
}

impl PublicSide {
    /// Loads and starts the rooms, and puts the front before them.
    pub async fn start(made_of: PublicParts) -> Result<Self, WorkError> {
        let rooms = RoomSet::new(made_of.parts.clone(), made_of.records);
        // Loads the rooms now, so that the first request finds its room.
        let change = until_database_answers(
            |error| matches!(error, WorkError::Records(error) if error.is_passing()),
            async || rooms.read_once(0).await,
        )
        .await?;
        made_of.parts.tasks.spawn(rooms.clone().run(change));
        let stop = made_of.parts.stop.clone();
        let checked = rooms.clone();
        let wanted = move || {
            checked
                .all()
                .iter()
                .filter_map(|room| checked_of(room))
                .collect()
        };
        made_of
            .parts
            .tasks
            .spawn(made_of.proxy.clone().check(wanted, stop));
        let limits = RateLimits::new(made_of.limits);
        let line = LineState {
            rooms: rooms.clone(),
            cookies: made_of.cookies,
            limits: limits.clone(),
            connections_per_place_max: made_of.connections_per_place_max,
            page_policy: made_of.page_policy,
            turns: made_of.turns,
            sealer: Sealer::new(&made_of.parts.place_keys, made_of.parts.randomness.clone()),
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
            questions: made_of.questions,
            request_ids: made_of.request_ids,
            access_log: made_of.access_log,
            is_secure: made_of.cookies.is_secure,
            beside_tls: made_of.beside_tls,
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

/// What the proxy has to check for a room.
fn checked_of(room: &Room) -> Option<(Upstreams, Option<UpstreamHealth>)> {
    let Target::Remote(upstreams) = room.target() else {
        return None;
    };
    Some((upstreams, room.record().settings.upstream_health.clone()))
}

//! The service of the public listener, in front of axum.
//!
//! Each request gets its id, its head is checked and its tokens are read once. The front calls the
//! gate and the busiest paths of the line itself; axum serves the other paths of the line. Every
//! response passes through [`web::request_id::finish`].

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use contract::RoomId;
use http::header::COOKIE;
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderMap, Request};
use line::room::Room;
use tokio::time::Instant;
use tower::Service;
use web::measure::{Measure, Route};
use web::reader::Reader;
use web::{Part, RequestId, RequestIds};

use crate::access_log::AccessLog;
use crate::acme::challenges::Challenges;
use crate::cors;
use crate::edge::answering::{Answering, Peer};
use crate::edge::client_ip::{ClientIp, TrustedProxies};
use crate::edge::grpc;
use crate::edge::head;
use crate::edge::presented::{Presented, ReadAs};
use crate::edge::tls::Shown;
use crate::edge::to_tls;
use crate::gate::{Arrival, Gate};
use crate::http::auth::{Door, FromProxy, Questions};
use crate::http::crowd::Crowd;
use crate::http::{LineState, problem_page};

/// Metric labels: requests of the line's own paths, and requests that the gate decides.
const PART: Part = Part {
    routed: "line",
    unrouted: "gate",
};
/// Prefix of the line's own paths.
const OWN_PATHS: &str = "/_line";

/// The public side's service. Clones share everything.
#[derive(Clone)]
pub struct Front(Arc<Shared>);

/// The parts of the front.
pub struct FrontParts {
    /// The state of the line's handlers.
    pub line: LineState,
    /// Answers all other paths.
    pub gate: Gate,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: TrustedProxies,
    /// How other proxies ask about requests.
    pub questions: Questions,
    /// Generates request ids.
    pub request_ids: RequestIds,
    /// Tells requests.
    pub access_log: AccessLog,
    /// Fans connect over HTTPS.
    pub is_secure: bool,
    /// What is answered because TLS is spoken beside the plain listener.
    pub beside_tls: BesideTls,
    /// The origin of the gateway's own pages, as [`web::origin::origin_of`] returns it.
    pub public_origin: String,
}

/// What is answered because TLS is spoken beside the plain listener.
#[derive(Clone, Debug, Default)]
pub struct BesideTls {
    /// People who come without TLS are sent to where it is spoken with this certificate, as soon as
    /// there is one.
    pub redirects: Option<Shown>,
    /// What authorities find that look for us.
    pub challenges: Option<Challenges>,
}

struct Shared {
    parts: FrontParts,
    /// Answers the busiest paths of the line.
    crowd: Crowd,
    /// Serves the other paths of the line.
    router: Router,
    gated: Arc<Route>,
}

impl Front {
    /// A front of `parts`.
    pub fn new(parts: FrontParts) -> Self {
        let measure = Measure::of(PART);
        let measured =
            axum::middleware::from_fn_with_state(measure.clone(), web::measure::middleware);
        let door = Door {
            gate: parts.gate.clone(),
            questions: parts.questions,
        };
        let router = crate::http::router(parts.line.clone(), door);
        Self(Arc::new(Shared {
            crowd: Crowd::new(parts.line.clone(), &measure),
            router: router
                .method_not_allowed_fallback(web::method_not_allowed)
                .layer(measured),
            gated: measure.unrouted(),
            parts,
        }))
    }
}

impl Answering for Front {
    async fn answer(&self, peer: Peer, request: Request<Body>) -> Response {
        let shared = &*self.0;
        let (mut head, body) = request.into_parts();
        let id = shared.parts.request_ids.next_id();
        if let Some(challenges) = &shared.parts.beside_tls.challenges
            && let Some(mut answer) = challenges.answer(&head).await
        {
            web::request_id::finish(&mut answer, id);
            return answer;
        }
        let client = shared
            .parts
            .trusted_proxies
            .client_ip(peer.address.ip(), &head.headers);
        let told_as = (client.address(), peer.is_encrypted);
        let logging = shared.parts.access_log.begin(told_as, &mut head, &id);
        let presented = shared.read(&head.headers, client, peer);
        // A person gets a problem as a page, which needs parts of the request's head.
        let asked = (presented.reader == Reader::Person).then(|| problem_page::Asked::of(&head));
        let is_call = grpc::is_call(&head);
        let mut response = match head::settle(&mut head) {
            Ok(()) if asked.is_some() && shared.redirects(peer) => {
                match to_tls::redirect(&head, &shared.parts.public_origin) {
                    Some(redirect) => redirect,
                    None => shared.route(head, body, presented, (&id, peer)).await,
                }
            }
            Ok(()) => shared.route(head, body, presented, (&id, peer)).await,
            Err(refused) => *refused,
        };
        if let Some(asked) = asked {
            problem_page::show(&mut response, &asked, &id, &shared.parts.line.page_policy);
        } else if is_call {
            grpc::show(&mut response);
        }
        web::request_id::finish(&mut response, id);
        logging.answered(response)
    }
}

impl Shared {
    /// Whether a person of this connection is sent to TLS. A proxy may have ended TLS itself.
    fn redirects(&self, peer: Peer) -> bool {
        let shown = self.parts.beside_tls.redirects.as_ref();
        let speaks = shown.is_some_and(Shown::is_some);
        speaks && !peer.is_encrypted && !self.is_proxy(peer)
    }

    fn is_proxy(&self, peer: Peer) -> bool {
        let address = peer.address.ip().to_canonical();
        self.parts.trusted_proxies.contains(address)
    }

    fn read(&self, headers: &HeaderMap, client: ClientIp, peer: Peer) -> Presented {
        let read_as = ReadAs {
            is_secure: self.parts.is_secure,
            public_origin: &self.parts.public_origin,
        };
        let mut presented = Presented::read(headers, client, read_as);
        if peer.is_encrypted {
            presented.scheme = Scheme::HTTPS;
        }
        presented
    }

    async fn route(
        &self,
        head: Parts,
        body: Body,
        mut presented: Presented,
        (id, peer): (&RequestId, Peer),
    ) -> Response {
        let path = head.uri.path();
        let is_own = path
            .strip_prefix(OWN_PATHS)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if is_own {
            let Some(room) = self.room_of_sites(path) else {
                return self.own(head, body, presented, (id, peer)).await;
            };
            let origin = presented.origin.clone();
            if let Some(answer) = cors::preflight(&head, &room, origin.as_ref()) {
                return answer;
            }
            // Pages that the room names may do what its own may, but not with a fan's cookies.
            let has_cookies = head.headers.contains_key(COOKIE);
            presented.is_own |= !has_cookies
                && origin
                    .as_ref()
                    .is_some_and(|origin| cors::allows(&room, origin));
            let mut response = self.own(head, body, presented, (id, peer)).await;
            let origin = origin.filter(|_| !has_cookies);
            cors::allow_without_cookies(&mut response, &room, origin.as_ref());
            return response;
        }
        let arrival = Arrival {
            head,
            body,
            presented,
            id: id.clone(),
        };
        let (began, method) = (Instant::now(), arrival.head.method.clone());
        let response = self.parts.gate.answer(arrival).await;
        self.gated.record(began, &method, response.status());
        response
    }

    /// The room of a path of the line, if it names sites whose pages may use it.
    fn room_of_sites(&self, path: &str) -> Option<Arc<Room>> {
        let room = cors::room_of(path)?.parse::<RoomId>().ok()?;
        let room = self.parts.line.rooms.get(&room)?;
        let has_sites = !room.record().settings.cors_origins.is_empty();
        has_sites.then_some(room)
    }

    /// Answers a request of the line's own paths.
    async fn own(
        &self,
        head: Parts,
        body: Body,
        presented: Presented,
        (id, peer): (&RequestId, Peer),
    ) -> Response {
        let (began, method) = (Instant::now(), head.method.clone());
        let Some(wish) = self.crowd.wish(&head, &presented) else {
            return self.ask_router(head, body, presented, (id, peer)).await;
        };
        let (response, route) = self.crowd.answer(wish, head, body, &presented).await;
        route.record(began, &method, response.status());
        response
    }

    async fn ask_router(
        &self,
        mut head: Parts,
        body: Body,
        presented: Presented,
        (id, peer): (&RequestId, Peer),
    ) -> Response {
        head.extensions.insert(FromProxy(self.is_proxy(peer)));
        head.extensions.insert(id.clone());
        head.extensions.insert(Arc::new(presented));
        let request = Request::from_parts(head, body);
        let Ok(response) = Service::call(&mut self.router.clone(), request).await;
        response
    }
}

//! What answers every request of the public listener, in front of axum.
//!
//! A request gets its id, its head is checked and what it presents is read, once. The gate and the
//! paths that a crowd asks for are called from here; axum serves the rest of the line's paths.
//! Every answer leaves through [`Shared::finish`].

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, Request};
use tokio::time::Instant;
use tower::Service;
use web::measure::{Measure, Route};
use web::reader::Reader;
use web::{Part, RequestId, RequestIds};

use crate::edge::client_ip::{ClientIp, TrustedProxies};
use crate::edge::head;
use crate::edge::presented::{Presented, ReadAs};
use crate::edge::serve::Answering;
use crate::gate::{Arrival, Gate};
use crate::http::crowd::Crowd;
use crate::http::{LineState, problem_page};

/// In metrics, requests of our own paths and all that the gate decides about.
const PART: Part = Part {
    routed: "line",
    unrouted: "gate",
};
/// All paths of our own are below this.
const OWN_PATHS: &str = "/_line";

/// The public side's service. Clones share everything.
#[derive(Clone)]
pub struct Front(Arc<Shared>);

/// What the front is made of.
pub struct FrontParts {
    /// What the line's paths work with.
    pub line: LineState,
    /// Answers all others.
    pub gate: Gate,
    /// Whose word on a client's address is believed.
    pub trusted_proxies: TrustedProxies,
    /// Numbers requests.
    pub request_ids: RequestIds,
    /// Fans reach us over HTTPS.
    pub is_secure: bool,
    /// Where our own pages are, as [`web::origin::origin_of`] has it.
    pub public_origin: String,
}

struct Shared {
    parts: FrontParts,
    /// Answers the paths of the line that a crowd asks for.
    crowd: Crowd,
    /// Serves all others of the line.
    router: Router,
    gated: Arc<Route>,
}

impl Front {
    /// A front of `parts`.
    pub fn new(parts: FrontParts) -> Self {
        let measure = Measure::of(PART);
        let measured =
            axum::middleware::from_fn_with_state(measure.clone(), web::measure::middleware);
        let router = crate::http::router(parts.line.clone());
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
    async fn answer(&self, peer: SocketAddr, request: Request<Body>) -> Response {
        let shared = &*self.0;
        let (mut head, body) = request.into_parts();
        let id = shared.parts.request_ids.next_id();
        let client = shared
            .parts
            .trusted_proxies
            .client_ip(peer.ip(), &head.headers);
        let presented = shared.read(&head.headers, client);
        // A person gets problems as pages, for which some of the request is kept.
        let asked = (presented.reader == Reader::Person).then(|| problem_page::Asked::of(&head));
        let mut response = match head::settle(&mut head) {
            Ok(()) => shared.route(head, body, presented, &id).await,
            Err(refused) => *refused,
        };
        if let Some(asked) = asked {
            problem_page::show(&mut response, &asked, &id, &shared.parts.line.page_policy);
        }
        web::request_id::finish(&mut response, id);
        response
    }
}

impl Shared {
    fn read(&self, headers: &HeaderMap, client: ClientIp) -> Presented {
        let read_as = ReadAs {
            is_secure: self.parts.is_secure,
            public_origin: &self.parts.public_origin,
        };
        Presented::read(headers, client, read_as)
    }

    async fn route(
        &self,
        head: Parts,
        body: Body,
        presented: Presented,
        id: &RequestId,
    ) -> Response {
        let path = head.uri.path();
        let is_own = path
            .strip_prefix(OWN_PATHS)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let (began, method) = (Instant::now(), head.method.clone());
        if is_own {
            let Some(wish) = self.crowd.wish(&head, &presented) else {
                return self.ask_router(head, body, presented, id).await;
            };
            let (response, route) = self.crowd.answer(wish, head, body, &presented).await;
            route.record(began, &method, response.status());
            return response;
        }
        let arrival = Arrival {
            head,
            body,
            presented,
            id: id.clone(),
        };
        let response = self.parts.gate.answer(arrival).await;
        self.gated.record(began, &method, response.status());
        response
    }

    async fn ask_router(
        &self,
        mut head: Parts,
        body: Body,
        presented: Presented,
        id: &RequestId,
    ) -> Response {
        head.extensions.insert(id.clone());
        head.extensions.insert(Arc::new(presented));
        let request = Request::from_parts(head, body);
        let Ok(response) = Service::call(&mut self.router.clone(), request).await;
        response
    }
}

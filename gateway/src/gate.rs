//! The gate: every request outside the line's own paths goes through here (GATE).
//!
//! A request to a protected path is let through only with a valid pass of that path's room whose
//! session is live, or while the room is idle; a room in stand-by begins a session for whoever opens
//! a page. An upstream learns of passes only from headers that the gate sets; headers of
//! the same names from clients are removed. The gate checks the session of every pass, on
//! unprotected paths too, because an upstream may take a pass for an admission.

mod beside;
mod decision;
mod holder;
mod in_process;
mod inside;
mod last_page;
mod pass_cookie;
mod refusal;
mod signatures;
mod stand_by;
mod told;
mod way;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use contract::pass::PassClaims;
use contract::principal::Principal;
use contract::{RoomId, Timestamp};
use http::header::HOST;
use http::request::Parts;
use http::uri::PathAndQuery;
use line::rooms::RoomSet;
use tokio::time::Instant;
use web::{ApiError, HolderOnly, NotHolder, RequestId};

use crate::access_log::Notes;
use crate::cors;
use crate::edge::client_ip::ClientIp;
use crate::edge::presented::Presented;
use crate::edge::rate_limit::RateLimits;
use crate::http::cookies::CookieForm;
use crate::proxy::{Forwarded, Proxy, Terms, Told, Visitor};
use decision::{Decider, Decision, LetThrough, Passes, Verdict};
use inside::{end_of, inside_until};
use last_page::target_of;
use pass_cookie::give_cookie;
use refusal::{Asked, refuse};
use told::told;
use way::Way;

pub use beside::RefusalForm;
pub use in_process::InProcess;

/// The gate's dependencies.
#[derive(Clone)]
pub struct Gate(Arc<Shared>);

struct Shared {
    rooms: RoomSet,
    decider: Decider,
    cookies: CookieForm,
    proxy: Arc<Proxy>,
    embedded: InProcess,
}

impl Gate {
    /// A gate in front of the `embedded` booking core and the upstreams of `proxy`.
    pub fn new(
        rooms: RoomSet,
        cookies: CookieForm,
        proxy: Arc<Proxy>,
        embedded: InProcess,
        limits: RateLimits,
    ) -> Self {
        Self(Arc::new(Shared {
            decider: Decider::new(rooms.clone(), cookies, limits),
            cookies,
            rooms,
            proxy,
            embedded,
        }))
    }
}

/// A request outside the line's own paths.
pub struct Arrival {
    /// The head.
    pub head: Parts,
    /// The body.
    pub body: Body,
    /// The tokens and claims that came with it, unverified.
    pub presented: Presented,
    /// The request id.
    pub id: RequestId,
}

impl Gate {
    /// Tells another proxy whether the request that it asks about may go through. `head` is that
    /// of the request itself; `presented` came with the question.
    pub async fn tell(
        &self,
        head: Parts,
        (presented, id): (&Presented, &RequestId),
        form: RefusalForm,
    ) -> Response {
        match beside::tell(&self.0.decider, head, (presented, id), form).await {
            Ok(response) => response,
            Err(error) => error.into_response(),
        }
    }

    /// Answers a request outside the line's own paths.
    pub async fn answer(&self, arrival: Arrival) -> Response {
        match self.0.pass_on(arrival).await {
            Ok(response) => response,
            Err(error) => error.into_response(),
        }
    }
}

impl Shared {
    async fn pass_on(&self, arrival: Arrival) -> Result<Response, ApiError> {
        let Arrival {
            mut head,
            body,
            presented,
            id,
        } = arrival;
        let client = presented.client;
        let host = head.headers.get(HOST).cloned();
        let notes = Notes::of(&head.extensions);
        let Decision {
            way,
            asked,
            passes,
            verdict,
            now,
        } = self.decider.decide(&head, &presented).await?;
        let room = way.room.as_ref().map(|room| &room.id);
        notes.decided(room, verdict.word());
        let (let_through, holders_request) = match verdict {
            Verdict::LetThrough(let_through) => (let_through, None),
            Verdict::ToHolder { by_link } => {
                let request = head.clone();
                head.extensions.insert(HolderOnly);
                (LetThrough::default(), Some((request, by_link)))
            }
            Verdict::Refused(room) => return Ok(refuse(&room, &head, &presented)),
        };
        if let (Some(to), Some(room)) = (&way.remote, &way.room)
            && room.tells().is_any()
        {
            let path = head.uri.path_and_query().cloned();
            // All addresses of a service have it under the same path.
            let address = to.upstreams.all().first();
            let path = address.and_then(|address| address.path_of(path?).ok());
            let path = path.as_ref().map(PathAndQuery::as_str);
            if let Some(headers) = told(room, &let_through, &head, path, &id.0, now) {
                head.extensions.insert(Told(headers));
            }
        }
        let visitor = let_through.visitor(client);
        let principals = match way.remote {
            // A remote service must not learn of the fan's passes for other rooms.
            Some(_) => let_through.own.into_iter().collect(),
            None => self.vouch(&passes, let_through.own, asked, now).await,
        };
        if way.remote.is_none()
            && holders_request.is_none()
            && let Some(mut response) = self.embedded.at_hand(&head, &principals, client, &id)
        {
            if let Some(cookie) = let_through.cookie {
                give_cookie(response.headers_mut(), cookie);
            }
            return Ok(response);
        }
        let forwarded = Forwarded {
            client_ip: client.address(),
            scheme: presented.scheme.clone(),
            host,
            request_id: id.0,
            principals,
        };
        let (asked_for, sender) = (head.uri.clone(), (visitor, client));
        let served = self.served(&way, (head, body), &forwarded, sender, let_through.pass);
        let (mut response, ends) = match served.await {
            Ok(served) => served,
            Err(error) => {
                let room = way.remote.as_ref().map(|to| &*to.room);
                return Ok(cors::failed(error, room, presented.origin.as_ref()));
            }
        };
        if let (Some((head, by_link)), Some(room)) = (holders_request, &way.room) {
            if response.extensions().get::<NotHolder>().is_some() {
                return Ok(refuse(room, &head, &presented));
            }
            room.meters.gate.owner(by_link).increment(1);
        }
        if let Some(named) = ends {
            let room = named.or(way.room.map(|room| room.id.clone()));
            let host = forwarded.host.as_ref().and_then(|host| host.to_str().ok());
            let target = target_of(&asked_for, host, &response);
            if let Some(target) = target.filter(|_| !let_through.is_last_page) {
                self.keep_last_page(&passes.valid, room.as_ref(), &target)
                    .await;
            }
            self.end_session(&forwarded.principals, room).await;
        }
        if let Some(cookie) = let_through.cookie {
            give_cookie(response.headers_mut(), cookie);
        }
        Ok(response)
    }

    /// Sends a request to where its path is served. Also returns which session the answer ends, if
    /// any: that of a room it names, or of the path's room.
    async fn served(
        &self,
        way: &Way,
        (head, body): (Parts, Body),
        forwarded: &Forwarded,
        (visitor, client): (Visitor, ClientIp),
        pass: Option<Arc<PassClaims>>,
    ) -> Result<(Response, Option<Option<RoomId>>), ApiError> {
        let (notes, began) = (Notes::of(&head.extensions), Instant::now());
        let Some(to) = &way.remote else {
            let method = head.method.clone();
            let asked = self.embedded.forward(head, body, client, forwarded);
            let (response, command) = asked.await;
            let (status, took) = (response.status(), began.elapsed());
            notes.upstream_took(took);
            self.proxy.note_embedded(&method, status, took, visitor);
            return Ok((response, command));
        };
        let bounds = to.room.upstream_bounds();
        let sticks = || self.cookies.address_in(&head.headers, &to.room.id);
        let at = bounds.is_sticky.then(sticks).flatten();
        let terms = Terms {
            visitor,
            bounds,
            at: at.as_deref(),
        };
        let guard = way.guard().cloned();
        let end = || end_of(guard, pass);
        let request = Request::from_parts(head, body);
        let proxy = &self.proxy;
        let sent = proxy.forward(&to.upstreams, request, forwarded, terms, end);
        let mut outcome = sent.await?;
        notes.upstream_took(began.elapsed());
        if let Some(address) = outcome.stays_at {
            let cookie = self.cookies.address(&to.room.id, &address);
            give_cookie(outcome.response.headers_mut(), cookie);
        }
        Ok((outcome.response, outcome.command.map(|_| None)))
    }

    /// The principals that the gateway vouches for: the fan in the path's room, who was just let
    /// through, and the same fan in other rooms, with the state of each session. A pass can outlive
    /// a session that was ended, so a valid pass alone does not make a principal live. A late pass
    /// only identifies the owner of holds.
    async fn vouch(
        &self,
        passes: &Passes,
        own: Option<Principal>,
        asked: Asked,
        now: Timestamp,
    ) -> Vec<Principal> {
        let mut principals: Vec<_> = own.into_iter().collect();
        for claims in &passes.valid {
            if principals.iter().any(|known| known.room == claims.aud) {
                continue;
            }
            let expires_at = match self.rooms.get(&claims.aud) {
                Some(room) => inside_until(&room, claims, asked, now).await,
                None => None,
            };
            let principal = Principal::of(claims, expires_at.is_some());
            principals.push(Principal {
                expires_at: expires_at.unwrap_or(principal.expires_at),
                ..principal
            });
        }
        for claims in &passes.late {
            if !principals.iter().any(|known| known.room == claims.aud) {
                principals.push(Principal::of(claims, false));
            }
        }
        principals
    }

    /// Stores where the response redirects to as the last page of the session that is about to end
    /// in `room`. Call it before the session ends: otherwise another gateway could look the page up
    /// before it is stored.
    async fn keep_last_page(
        &self,
        claims: &[Arc<PassClaims>],
        room: Option<&RoomId>,
        target: &str,
    ) {
        let room = room.and_then(|room| self.rooms.get(room));
        if let Some(room) = room
            && let Some(pass) = claims.iter().find(|claims| claims.aud == room.id)
        {
            self.decider.last_pages.keep(&room, pass, target).await;
        }
    }

    /// Ends the fan's session in `room` and in no other room.
    async fn end_session(&self, principals: &[Principal], room: Option<RoomId>) {
        let Some(room) = room.and_then(|room| self.rooms.get(&room)) else {
            return;
        };
        let Some(fan) = principals.iter().find(|fan| fan.room == room.id) else {
            return;
        };
        if let Err(problem) = room.end_session(fan.subject, None).await {
            // The slot is freed when the session expires.
            tracing::warn!(room = %room.id, code = problem.code.as_str(), "session not ended");
        }
    }
}

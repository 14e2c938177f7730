//! The gate: every request outside the line's own paths goes through here (GATE).
//!
//! A request to a protected path is let through only with a valid pass of that path's room whose
//! session is live, or while the room is idle; a room in stand-by begins a session for whoever opens
//! a page. An upstream learns of passes only from headers that the gate sets; headers of
//! the same names from clients are removed. The gate checks the session of every pass, on
//! unprotected paths too, because an upstream may take a pass for an admission.

mod cors;
mod holder;
mod in_process;
mod inside;
mod last_page;
mod method_override;
mod pass_cookie;
mod refusal;
mod signatures;
mod stand_by;
mod way;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use contract::app_session::ACCESS_HEADER;
use contract::line::Phase;
use contract::pass::PassClaims;
use contract::path::SafePath;
use contract::principal::Principal;
use contract::refund::LINK_HEADER;
use contract::{Clock, PlaceId, RoomId, Timestamp};
use http::HeaderValue;
use http::header::HOST;
use http::request::Parts;
use http::uri::Scheme;
use line::passes::{self, Admission, Minted};
use line::policy::passes_by::PassesBy;
use line::room::Room;
use line::rooms::RoomSet;
use line::sessions::SessionCheck;
use tokio::time::Instant;
use web::{ApiError, HolderOnly, NotHolder, RequestId};

use crate::edge::client_ip::ClientIp;
use crate::edge::path::check_path;
use crate::edge::presented::Presented;
use crate::edge::rate_limit::RateLimits;
use crate::http::cookies::CookieForm;
use crate::http::presented::{self, Shown};
use crate::proxy::{Forwarded, Proxy, Terms, Visitor};
use inside::{end_of, inside_until};
use last_page::{LAST_PAGE_MAX, Last, LastPageGate, target_of};
use pass_cookie::give_cookie;
use refusal::{Asked, refuse};
use signatures::Signatures;
use stand_by::straight_in;
use way::{Way, Ways, is_booking_api};

pub use in_process::InProcess;

/// The gate's dependencies.
#[derive(Clone)]
pub struct Gate(Arc<Shared>);

struct Shared {
    rooms: RoomSet,
    cookies: CookieForm,
    scheme: Scheme,
    proxy: Arc<Proxy>,
    embedded: InProcess,
    signatures: Signatures,
    limits: RateLimits,
    last_pages: LastPageGate,
    ways: Ways,
}

/// The passes that came with a request.
#[derive(Default)]
struct Passes {
    /// Valid passes, at most one per room.
    valid: Vec<Arc<PassClaims>>,
    /// Recently expired passes, for rooms without a valid one. They let no request through.
    late: Vec<Arc<PassClaims>>,
}

/// The gate's result for a request that it lets through.
#[derive(Default)]
struct LetThrough {
    /// The fan's principal in the room that protects the path.
    own: Option<Principal>,
    /// The pass that the fan presented.
    pass: Option<Arc<PassClaims>>,
    /// A pass cookie to set on the response.
    cookie: Option<HeaderValue>,
    /// The pass belongs to a session that took a turn in the line; there are at most
    /// `totalActiveUsers` of these. An idle room gives passes without limit.
    is_session: bool,
    /// The session has ended and this request loads its last page.
    is_last_page: bool,
}

impl LetThrough {
    fn inside(pass: &Arc<PassClaims>, expires_at: Timestamp, cookie: Option<HeaderValue>) -> Self {
        Self {
            own: Some(Principal {
                expires_at,
                ..Principal::of(pass, true)
            }),
            pass: Some(pass.clone()),
            cookie,
            is_session: true,
            is_last_page: false,
        }
    }

    /// Whom the request is counted for at an upstream. In an idle room a client that drops its
    /// cookie gets a new pass, so only the address tells visitors apart.
    fn visitor(&self, client: ClientIp) -> Visitor {
        let fan = self.own.as_ref().map(|fan| fan.subject);
        match (fan, client.limited_as()) {
            (Some(fan), _) if self.is_session => Visitor::Session(fan),
            (_, Some(address)) => Visitor::Address(address),
            (Some(fan), None) if self.pass.is_some() => Visitor::Session(fan),
            (_, None) => Visitor::Unknown,
        }
    }
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
        let scheme = if cookies.is_secure {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        };
        Self(Arc::new(Shared {
            ways: Ways::new(rooms.clone()),
            rooms,
            cookies,
            scheme,
            proxy,
            embedded,
            signatures: Signatures::new(limits.clone()),
            limits,
            last_pages: LastPageGate::new(),
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
        // Not as it was presented: an absolute request target names the host that counts.
        let host = head.headers.get(HOST).cloned();
        let (path, way) = match check_path(&head.uri) {
            Ok(path) => {
                let way = self.ways.of(&head, host.as_ref(), &path)?;
                (Some(path), way)
            }
            Err(refused) => (
                None,
                self.ways.whichever(&head, host.as_ref()).ok_or(refused)?,
            ),
        };
        let path = path.as_ref().map_or("", SafePath::as_str);
        let mut asked = Asked::of(&head.method, &presented);
        asked.may_be_last &= way.remote.is_some() || !is_booking_api(path);
        let now = self.rooms.parts().clock.now();
        let about_held = way.remote.is_none() && holder::is_about_held(&head.method, path);
        let by_link = way.remote.is_none() && holder::is_by_link(&head.method, path);
        let passes = self.passes_presented(&presented, &way, about_held, now)?;
        let claims = &passes.valid;
        let mut let_through = LetThrough::default();
        let mut holders_request = None;
        if let Some(room) = way.guard() {
            match self.admit(room, claims, asked, &head, now).await {
                Some(admitted) => let_through = admitted,
                None if by_link || (about_held && may_hold(&presented, &passes, &head)) => {
                    holders_request = Some(head.clone());
                    head.extensions.insert(HolderOnly);
                }
                None => {
                    let Some(newcomer) = self.past_the_line(room, asked, &presented, now).await
                    else {
                        room.meters.gate.refused.increment(1);
                        return Ok(refuse(room, &head, &presented));
                    };
                    let_through = newcomer;
                }
            }
        }
        if !way.needs_pass && way.remote.is_some() {
            let_through = recognise(way.room.as_ref(), claims, asked, now).await;
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
            scheme: self.scheme.clone(),
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
        if let (Some(head), Some(room)) = (holders_request, &way.room) {
            if response.extensions().get::<NotHolder>().is_some() {
                room.meters.gate.refused.increment(1);
                return Ok(refuse(room, &head, &presented));
            }
            room.meters.gate.owner(by_link).increment(1);
        }
        if let Some(named) = ends {
            let room = named.or(way.room.map(|room| room.id.clone()));
            let host = forwarded.host.as_ref().and_then(|host| host.to_str().ok());
            let target = target_of(&asked_for, host, &response);
            if let Some(target) = target.filter(|_| !let_through.is_last_page) {
                self.keep_last_page(claims, room.as_ref(), &target).await;
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
        let Some(to) = &way.remote else {
            let (method, began) = (head.method.clone(), Instant::now());
            let asked = self.embedded.forward(head, body, client, forwarded);
            let (response, command) = asked.await;
            let (status, took) = (response.status(), began.elapsed());
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
        if let Some(address) = outcome.stays_at {
            let cookie = self.cookies.address(&to.room.id, &address);
            give_cookie(outcome.response.headers_mut(), cookie);
        }
        Ok((outcome.response, outcome.command.map(|_| None)))
    }

    /// Whether the request may enter `room`'s protected paths.
    async fn admit(
        &self,
        room: &Arc<Room>,
        claims: &[Arc<PassClaims>],
        asked: Asked,
        head: &Parts,
        now: Timestamp,
    ) -> Option<LetThrough> {
        let own = claims.iter().find(|claims| claims.aud == room.id);
        if room.phase() == Phase::Idle {
            room.unmetered.request(room.passes_by(), now);
            return Some(match own {
                Some(own) => LetThrough {
                    own: Some(Principal::of(own, true)),
                    pass: Some(own.clone()),
                    ..LetThrough::default()
                },
                None if asked.navigates && !asked.only_looks => self.walk_through(room, now),
                None => LetThrough::default(),
            });
        }
        if let Some(own) = own
            && room.is_of_outage(own, now)
        {
            room.unmetered.request(PassesBy::FailOpen, now);
            return Some(LetThrough {
                own: Some(Principal::of(own, true)),
                pass: Some(own.clone()),
                ..LetThrough::default()
            });
        }
        let own = own?;
        if asked.only_looks
            && let Some(expires_at) = room.sessions.peek(room, own, now).await
        {
            room.meters.gate.admitted.increment(1);
            return Some(LetThrough::inside(own, expires_at, None));
        }
        if !asked.only_looks
            && let SessionCheck::Live {
                expires_at,
                renewed,
            } = room.sessions.check(room, own, now).await
        {
            room.meters.gate.admitted.increment(1);
            let cookie = renewed.then(|| self.renewed(room, own, expires_at, now));
            return Some(LetThrough::inside(own, expires_at, cookie.flatten()));
        }
        // The session has ended; only its last page may still be loaded.
        let last = asked.may_be_last.then(|| Last::of(head))??;
        if !self.last_pages.is_open(room, own, &last).await {
            return None;
        }
        room.meters.gate.last_page.increment(1);
        Some(LetThrough {
            is_last_page: true,
            ..LetThrough::inside(own, now.plus(LAST_PAGE_MAX), None)
        })
    }

    /// Mints a pass in an idle room, so that the upstream sees one subject for all requests of a
    /// browser.
    fn walk_through(&self, room: &Room, now: Timestamp) -> LetThrough {
        let subject = PlaceId::from_bytes(room.parts.randomness.bytes());
        match passes::mint_idle(room, subject, now) {
            Ok(pass) => self.newcomer(room, subject, &pass, now, false),
            Err(_) => LetThrough::default(),
        }
    }

    /// Lets a visitor without a pass in who need not wait, or cannot because the line fails.
    async fn past_the_line(
        &self,
        room: &Room,
        asked: Asked,
        presented: &Presented,
        now: Timestamp,
    ) -> Option<LetThrough> {
        // Not after asking the line: it may take a second to fail.
        if room.fails_open_since(now).is_some() {
            if !asked.navigates || asked.only_looks {
                return None;
            }
            let (place, pass) = room.let_through(now)?;
            room.unmetered.request(PassesBy::FailOpen, now);
            return Some(self.newcomer(room, place, &pass, now, false));
        }
        let (place, pass) = straight_in(room, &self.limits, asked, presented, now).await?;
        room.meters.gate.standby.increment(1);
        Some(self.newcomer(room, place, &pass, now, true))
    }

    /// A visitor who has just been given `pass`, which is set as a cookie on the answer.
    fn newcomer(
        &self,
        room: &Room,
        subject: PlaceId,
        pass: &Minted,
        now: Timestamp,
        is_session: bool,
    ) -> LetThrough {
        let expires_at = pass.expires_at;
        let token = &pass.grant.access_token;
        LetThrough {
            own: Some(Principal {
                room: room.id.clone(),
                subject,
                expires_at,
                is_live: true,
            }),
            cookie: Some(self.cookies.pass(&room.id, token, expires_at, now)),
            is_session,
            ..LetThrough::default()
        }
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

    fn renewed(
        &self,
        room: &Room,
        claims: &PassClaims,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Option<HeaderValue> {
        let from = Timestamp::from_ms(claims.iat.saturating_mul(1000));
        let admission = Admission {
            place: claims.sub,
            seq: claims.queue_position,
            from,
            until: expires_at,
        };
        let pass = passes::mint(&room.parts, &room.id, admission, now).ok()?;
        Some(
            self.cookies
                .pass(&room.id, &pass.grant.access_token, pass.expires_at, now),
        )
    }

    /// The passes that came with the request. For a remote upstream only the pass of the path's
    /// room is read. Late passes are read only for requests about holds and bookings.
    fn passes_presented(
        &self,
        presented: &Presented,
        way: &Way,
        about_held: bool,
        now: Timestamp,
    ) -> Result<Passes, ApiError> {
        let grace = if about_held {
            holder::LATE_PASS_MAX
        } else {
            Duration::ZERO
        };
        let keys = &self.rooms.parts().pass_keys;
        let mut checks = self.signatures.checks(presented.client);
        let room = way.room.as_ref().map(|room| &room.id);
        let shown = match (&way.remote, room) {
            (Some(_), Some(room)) => Shown::ToRemote(room),
            _ => Shown::ToEmbedded(room),
        };
        let mut found = Passes::default();
        for text in presented::passes(presented, shown) {
            let is_wanted = |aud: &RoomId| {
                let is_served = match shown {
                    Shown::ToRemote(room) => aud == room,
                    _ => self.rooms.get(aud).is_some(),
                };
                is_served && !found.valid.iter().any(|known| known.aud == *aud)
            };
            match checks.verify(keys, text, now, grace, is_wanted)? {
                Some(claims) if claims.expires_at() > now => found.valid.push(claims),
                Some(claims) => found.late.push(claims),
                None => {}
            }
        }
        Ok(found)
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
            self.last_pages.keep(&room, pass, target).await;
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
        if let Err(problem) = room.end_session(fan.subject).await {
            // The slot is freed when the session expires.
            tracing::warn!(room = %room.id, code = problem.code.as_str(), "session not ended");
        }
    }
}

/// Whether the request presents a credential that an owner of a hold or booking could have: a pass,
/// the shop's session cookie, the link to a booking, or the access token of an app.
fn may_hold(presented: &Presented, passes: &Passes, head: &Parts) -> bool {
    let has_pass = !passes.valid.is_empty() || !passes.late.is_empty();
    has_pass
        || presented.has_shop_session
        || head.headers.contains_key(LINK_HEADER)
        || head.headers.contains_key(ACCESS_HEADER)
}

/// The fan whose pass came with a request that needs none, if their session runs: an upstream may
/// take a pass for an admission.
async fn recognise(
    room: Option<&Arc<Room>>,
    claims: &[Arc<PassClaims>],
    asked: Asked,
    now: Timestamp,
) -> LetThrough {
    let own = room.and_then(|room| claims.iter().find(|claims| claims.aud == room.id));
    let (Some(room), Some(own)) = (room, own) else {
        return LetThrough::default();
    };
    match inside_until(room, own, asked, now).await {
        Some(expires_at) => LetThrough {
            own: Some(Principal {
                expires_at,
                ..Principal::of(own, true)
            }),
            is_session: !room.is_idle(),
            ..LetThrough::default()
        },
        None => LetThrough::default(),
    }
}

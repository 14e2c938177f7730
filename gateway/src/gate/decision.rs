//! The gate's decision on a request: whose path it asks for, which passes it presents, and whether it
//! may go through. Requests that the gateway proxies and requests that another proxy asks about are
//! decided by the same code.

use std::sync::Arc;
use std::time::Duration;

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
use line::passes::{self, Admission, Minted};
use line::policy::passes_by::PassesBy;
use line::room::Room;
use line::rooms::RoomSet;
use line::sessions::SessionCheck;
use web::ApiError;

use super::holder;
use super::inside::inside_until;
use super::last_page::{LAST_PAGE_MAX, Last, LastPageGate};
use super::refusal::Asked;
use super::signatures::Signatures;
use super::stand_by::straight_in;
use super::way::{Way, Ways, is_booking_api};
use crate::edge::client_ip::ClientIp;
use crate::edge::path::check_path;
use crate::edge::presented::Presented;
use crate::edge::rate_limit::RateLimits;
use crate::http::cookies::CookieForm;
use crate::http::presented::{self, Shown};
use crate::proxy::Visitor;

/// Decides on requests.
pub(super) struct Decider {
    pub(super) rooms: RoomSet,
    pub(super) last_pages: LastPageGate,
    cookies: CookieForm,
    signatures: Signatures,
    limits: RateLimits,
    ways: Ways,
}

/// The decision on one request.
pub(super) struct Decision {
    /// Where the path is served.
    pub(super) way: Way,
    /// What the request asks for, besides its path.
    pub(super) asked: Asked,
    /// The passes that came with it.
    pub(super) passes: Passes,
    /// Whether it may go through.
    pub(super) verdict: Verdict,
    /// When it was decided.
    pub(super) now: Timestamp,
}

/// Whether a request may go through.
pub(super) enum Verdict {
    /// It may.
    LetThrough(LetThrough),
    /// Only if the booking core finds that the fan owns what the request is about.
    ToHolder {
        /// The request comes by the link to a booking.
        by_link: bool,
    },
    /// It may not: the room protects its path.
    Refused(Arc<Room>),
}

impl Verdict {
    /// The verdict as the access log has it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::LetThrough(_) => "let-through",
            Self::ToHolder { .. } => "to-holder",
            Self::Refused(_) => "refused",
        }
    }
}

/// The passes that came with a request.
#[derive(Default)]
pub(super) struct Passes {
    /// Valid passes, at most one per room.
    pub(super) valid: Vec<Arc<PassClaims>>,
    /// Recently expired passes, for rooms without a valid one. They let no request through.
    pub(super) late: Vec<Arc<PassClaims>>,
    /// The text of the pass of the path's room, where its shop gets it.
    own: Option<String>,
}

/// The gate's result for a request that it lets through.
#[derive(Default)]
pub(super) struct LetThrough {
    /// The fan's principal in the room that protects the path.
    pub(super) own: Option<Principal>,
    /// The pass that the fan presented.
    pub(super) pass: Option<Arc<PassClaims>>,
    /// The text of that pass, where the shop gets it.
    pub(super) token: Option<String>,
    /// A pass cookie to set on the response.
    pub(super) cookie: Option<HeaderValue>,
    /// The pass belongs to a session that took a turn in the line; there are at most
    /// `totalActiveUsers` of these. An idle room gives passes without limit.
    pub(super) is_session: bool,
    /// The session has ended and this request loads its last page.
    pub(super) is_last_page: bool,
}

impl LetThrough {
    fn inside(pass: &Arc<PassClaims>, expires_at: Timestamp, cookie: Option<HeaderValue>) -> Self {
        Self {
            own: Some(Principal {
                expires_at,
                ..Principal::of(pass, true)
            }),
            pass: Some(pass.clone()),
            token: None,
            cookie,
            is_session: true,
            is_last_page: false,
        }
    }

    /// Whom the request is counted for at an upstream. In an idle room a client that drops its
    /// cookie gets a new pass, so only the address tells visitors apart.
    pub(super) fn visitor(&self, client: ClientIp) -> Visitor {
        let fan = self.own.as_ref().map(|fan| fan.subject);
        match (fan, client.limited_as()) {
            (Some(fan), _) if self.is_session => Visitor::Session(fan),
            (_, Some(address)) => Visitor::Address(address),
            (Some(fan), None) if self.pass.is_some() => Visitor::Session(fan),
            (_, None) => Visitor::Unknown,
        }
    }
}

impl Decider {
    /// Decides on requests to `rooms`.
    pub(super) fn new(rooms: RoomSet, cookies: CookieForm, limits: RateLimits) -> Self {
        Self {
            ways: Ways::new(rooms.clone()),
            rooms,
            last_pages: LastPageGate::new(),
            cookies,
            signatures: Signatures::new(limits.clone()),
            limits,
        }
    }

    /// Whether some room answers for hosts that it names.
    pub(super) fn has_named_hosts(&self) -> bool {
        let is_named = |room: &Arc<Room>| {
            let hosts = &room.record().settings.hosts;
            hosts.iter().any(|host| host != "*")
        };
        self.rooms.all().iter().any(is_named)
    }

    /// Decides on a request with this `head`.
    pub(super) async fn decide(
        &self,
        head: &Parts,
        presented: &Presented,
    ) -> Result<Decision, ApiError> {
        // Not as it was presented: an absolute request target names the host that counts.
        let host = head.headers.get(HOST);
        let (path, way) = match check_path(&head.uri) {
            Ok(path) => {
                let way = self.ways.of(head, host, &path)?;
                (Some(path), way)
            }
            Err(refused) => (None, self.ways.whichever(head, host).ok_or(refused)?),
        };
        let path = path.as_ref().map_or("", SafePath::as_str);
        let mut asked = Asked::of(&head.method, presented);
        asked.may_be_last &= way.remote.is_some() || !is_booking_api(path);
        let now = self.rooms.parts().clock.now();
        let about_held = way.remote.is_none() && holder::is_about_held(&head.method, path);
        let by_link = way.remote.is_none() && holder::is_by_link(&head.method, path);
        let mut passes = self.passes_presented(presented, &way, about_held, now)?;
        let mut verdict = match way.guard() {
            Some(room) => match self.admit(room, &passes.valid, asked, head, now).await {
                Some(admitted) => Verdict::LetThrough(admitted),
                None if by_link || (about_held && may_hold(presented, &passes, head)) => {
                    Verdict::ToHolder { by_link }
                }
                None => match self.past_the_line(room, asked, presented, now).await {
                    Some(newcomer) => Verdict::LetThrough(newcomer),
                    None => Verdict::Refused(room.clone()),
                },
            },
            None if way.remote.is_some() => {
                Verdict::LetThrough(recognise(way.room.as_ref(), &passes.valid, asked, now).await)
            }
            None => Verdict::LetThrough(LetThrough::default()),
        };
        if let Verdict::LetThrough(let_through) = &mut verdict
            && let_through.token.is_none()
        {
            let_through.token = passes.own.take();
        }
        Ok(Decision {
            way,
            asked,
            passes,
            verdict,
            now,
        })
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
            token: room.tells().pass.then(|| token.clone()),
            cookie: Some(self.cookies.pass(&room.id, token, expires_at, now)),
            is_session,
            ..LetThrough::default()
        }
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
        let room_of_path = way.room.as_ref().filter(|_| way.remote.is_some());
        let forwards = room_of_path.is_some_and(|room| room.tells().pass);
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
                Some(claims) if claims.expires_at() > now => {
                    found.own = forwards.then(|| text.to_owned());
                    found.valid.push(claims);
                }
                Some(claims) => found.late.push(claims),
                None => {}
            }
        }
        Ok(found)
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

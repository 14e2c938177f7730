//! Where a request goes, and whether it needs a pass.

use std::sync::Arc;

use contract::path::SafePath;
use contract::readings::{Reading, readings};
use contract::upstreams::Upstreams;
use contract::{Problem, ProblemCode};
use http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_LENGTH, CONTENT_TYPE, ORIGIN, TRANSFER_ENCODING,
};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method};
use line::policy::sites::Found;
use line::room::Room;
use line::rooms::RoomSet;
use line::target::Target;
use line::telemetry;
use metrics::{Counter, counter};
use web::ApiError;

use crate::proxy::names_another_method;

/// Headers that no preflight has: those of a body.
const OF_BODY: [HeaderName; 2] = [CONTENT_TYPE, TRANSFER_ENCODING];

/// The gateway's own paths, as some reading of a path may name them.
const OWN: &str = "_line";

/// A request's way.
pub(super) struct Way {
    /// The room that the request belongs to: the one whose pass it needs or would need, else the one
    /// that it goes to.
    pub(super) room: Option<Arc<Room>>,
    /// Where it goes; `None` for the booking core.
    pub(super) remote: Option<Destination>,
    /// The room protects the path.
    pub(super) needs_pass: bool,
}

/// A remote service.
pub(super) struct Destination {
    /// Its addresses.
    pub(super) upstreams: Upstreams,
    /// The room whose host leads there, which mostly is the room that the request belongs to.
    pub(super) room: Arc<Room>,
}

/// Finds the ways of requests.
pub(super) struct Ways {
    rooms: RoomSet,
    webhooks: Counter,
    checkin: Counter,
}

impl Ways {
    pub(super) fn new(rooms: RoomSet) -> Self {
        Self {
            rooms,
            // Counted without a room label: the path is protected by no room.
            webhooks: counter!(telemetry::GATE, "outcome" => "exempt"),
            checkin: counter!(telemetry::GATE, "outcome" => "checkin"),
        }
    }

    /// The way of a request with this head, for `path` of `host`.
    pub(super) fn of(
        &self,
        head: &Parts,
        host: Option<&HeaderValue>,
        path: &SafePath<'_>,
    ) -> Result<Way, ApiError> {
        let method = &head.method;
        let host = host.and_then(|host| host.to_str().ok());
        let found = self.rooms.serving(host, path);
        let is_of_front = found.as_ref().is_some_and(|found| found.is_of_front);
        if method == Method::POST && !is_of_front && is_own_webhook(path.as_str()) {
            self.webhooks.increment(1);
            return Ok(Way::to_core());
        }
        let Some(found) = found else {
            return Ok(Way::to_core());
        };
        match found.room.target() {
            Target::Embedded if is_checkin(path.as_str()) => {
                // Whoever scans tickets has a token, and stands in no line.
                self.checkin.increment(1);
                Ok(Way::to_core())
            }
            Target::Embedded => Ok(Way::of_room(found, None).or_exempt(head, path)),
            Target::Remote(upstreams) => {
                let is_told = reads_alike(&found, &upstreams);
                let way = Way::of_room(found, Some(upstreams));
                Ok(if is_told {
                    way.or_exempt(head, path)
                } else {
                    way.or_preflight(head)
                })
            }
            Target::Unusable => Err(Problem::new(ProblemCode::UpstreamFailed)
                .detail("The service behind this room cannot be reached.")
                .into()),
        }
    }

    /// The way of a request whose path servers read in several ways, if it is the same for all of
    /// them. Such a path is never exempt.
    pub(super) fn whichever(&self, head: &Parts, host: Option<&HeaderValue>) -> Option<Way> {
        let readings = readings(head.uri.path()).ok()?;
        if readings.iter().any(may_be_own) {
            return None;
        }
        let host = host.and_then(|host| host.to_str().ok());
        let found = self.rooms.serving_whichever(host, &readings)?;
        let Target::Remote(upstreams) = found.room.target() else {
            return None;
        };
        Some(Way::of_room(found, Some(upstreams)).or_preflight(head))
    }
}

/// Whether the room whose pass is needed reads paths as the site of the request does. One with
/// another path at the same server does not, so what it exempts is written for other paths.
fn reads_alike(found: &Found<Arc<Room>>, upstreams: &Upstreams) -> bool {
    match &found.guard {
        Some(guard) if !Arc::ptr_eq(guard, &found.room) => match guard.target() {
            Target::Remote(own) => own.prefix() == upstreams.prefix(),
            Target::Embedded | Target::Unusable => false,
        },
        _ => true,
    }
}

fn may_be_own(reading: &Reading) -> bool {
    match reading {
        Reading::Name(name) => name == OWN,
        Reading::Nothing => false,
        Reading::Like(pattern) => pattern.may_be(OWN),
    }
}

impl Way {
    fn to_core() -> Self {
        Self {
            room: None,
            remote: None,
            needs_pass: false,
        }
    }

    fn of_room(found: Found<Arc<Room>>, upstreams: Option<Upstreams>) -> Self {
        let needs_pass = found.guard.is_some();
        let remote = upstreams.map(|upstreams| Destination {
            upstreams,
            room: found.room.clone(),
        });
        Self {
            room: Some(found.guard.unwrap_or(found.room)),
            remote,
            needs_pass,
        }
    }

    /// The same way without a pass, for requests that the room exempts and for preflights.
    fn or_exempt(mut self, head: &Parts, path: &SafePath<'_>) -> Self {
        let Some(room) = self.guard() else {
            return self;
        };
        let method = (!names_another_method(head)).then_some(&head.method);
        if room.exempts(method, path) {
            room.meters.gate.exempt.increment(1);
            self.needs_pass = false;
        }
        self.or_preflight(head)
    }

    fn or_preflight(mut self, head: &Parts) -> Self {
        if let Some(room) = self.guard().filter(|_| is_preflight(head)) {
            room.meters.gate.exempt.increment(1);
            self.needs_pass = false;
        }
        self
    }

    /// The room whose pass the request needs.
    pub(super) fn guard(&self) -> Option<&Arc<Room>> {
        self.room.as_ref().filter(|_| self.needs_pass)
    }
}

/// Whether a browser asks if a page of another site may make a request (CORS). Such a request has no
/// side effects and never carries cookies. One with a body, or that asks a framework to read another
/// method, is none.
fn is_preflight(head: &Parts) -> bool {
    head.method == Method::OPTIONS
        && head.headers.contains_key(ORIGIN)
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        && head
            .headers
            .get(CONTENT_LENGTH)
            .is_none_or(|length| length == "0")
        && !OF_BODY.iter().any(|name| head.headers.contains_key(name))
        && !names_another_method(head)
}

/// Whether `path` is the payment provider's webhook at the booking core. Webhooks carry no pass and
/// are authenticated by their signature, so no room blocks them.
fn is_own_webhook(path: &str) -> bool {
    path.strip_prefix("/api/v1/payments/")
        .and_then(|rest| rest.strip_suffix("/webhook"))
        .is_some_and(|provider| !provider.is_empty() && !provider.contains('/'))
}

/// Whether `path` belongs to the check-in of the booking core.
fn is_checkin(path: &str) -> bool {
    path.strip_prefix("/checkin")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether `path` belongs to the booking API, which is never the last page of a session.
pub(super) fn is_booking_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

//! One room on this gateway.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use contract::exempt::Exemptions;
use contract::line::Phase;
use contract::path::SafePath;
use contract::room::Override;
use contract::upstream::Bounds;
use contract::{PlaceId, RoomId, Timestamp};
use http::{HeaderValue, Method};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::absences::Absences;
use crate::door::Door;
use crate::meters::Meters;
use crate::parts::Parts;
use crate::policy::accuracy::Forecasts;
use crate::policy::fail_mode::Outage;
use crate::policy::order::{OrderKey, draw};
use crate::policy::passes_by::PassesBy;
use crate::policy::phase::phase_at;
use crate::policy::place::PlaceToken;
use crate::policy::status::{PlaceFacts, RoomView};
use crate::policy::wait::configured_pace;
use crate::records::RoomRecord;
use crate::rest::Rest;
use crate::sessions::Sessions;
use crate::sockets::Sockets;
use crate::standby::Standby;
use crate::store::RoomRef;
use crate::target::Target;
use crate::unmetered::Unmetered;

/// How fast things happen in a room, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Joins.
    pub joins: f64,
    /// Calls.
    pub calls: f64,
    /// Claims.
    pub claims: f64,
    /// Calls claimed during the last minute.
    pub entries_per_minute: u64,
    /// Of the calls settled during the last minute, the share that was claimed.
    pub show_share: Option<f64>,
    /// Mean wait of live joiners called lately.
    pub waited_seconds: Option<u32>,
}

/// A record with what is read from it once.
struct Known {
    record: Arc<RoomRecord>,
    target: Target,
    exemptions: Exemptions,
}

/// What a remote upstream is told about a request, beside whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tells {
    /// The fan's pass.
    pub pass: bool,
    /// A proof that the request came through the gate.
    pub proof: bool,
}

impl Tells {
    /// Whether it is told anything.
    pub fn is_any(self) -> bool {
        self.pass || self.proof
    }
}

impl Known {
    fn of(record: RoomRecord) -> Self {
        Self {
            target: Target::of(&record.settings.upstream),
            exemptions: Exemptions::read(&record.settings.exempt),
            record: Arc::new(record),
        }
    }
}

/// A room: its record, its view, and the people this gateway looks after.
pub struct Room {
    /// Its name.
    pub id: RoomId,
    /// A number by which work on many rooms is spread over time.
    pub(crate) spread: u16,
    /// What all rooms share.
    pub parts: Arc<Parts>,
    /// The way into the store.
    pub door: Door,
    /// The way straight in, in stand-by.
    pub standby: Standby,
    /// What is let through without a limit.
    pub unmetered: Unmetered,
    /// How the line fails, as far as this gateway has met it.
    pub(crate) outage: StdMutex<Outage>,
    /// Whose connection closed.
    pub absences: Absences,
    /// Connections waiting here.
    pub sockets: Sockets,
    /// Who is inside.
    pub sessions: Sessions,
    /// Its metrics.
    pub meters: Meters,
    /// Ends this room's tasks.
    pub stop: CancellationToken,
    /// This room's tasks.
    pub(crate) work: TaskTracker,
    /// Whether it rests here.
    pub rest: Rest,
    /// Told when this gateway has left a notice, so that its own fans need not wait for the next
    /// look.
    pub news: Notify,
    known: ArcSwap<Known>,
    view: watch::Sender<Arc<RoomView>>,
    /// The public document of a view, serialised: whose view, the bytes, their tag.
    document: ArcSwapOption<(Arc<RoomView>, Bytes, HeaderValue)>,
    rates: StdMutex<Rates>,
    forecasts: StdMutex<Forecasts>,
    /// Held while the room is made again, so that one task does it.
    pub(super) rebuilding: Mutex<()>,
    /// How often this gateway has made the room again.
    pub(super) rebuilds: AtomicU64,
    /// The server of the store that had the room when it was last looked at, at rest.
    server: StdMutex<Option<Arc<str>>>,
    /// The latest term of live keys that this gateway has seen; held while one task reserves some.
    pub(super) key_term: Mutex<u64>,
}

impl Room {
    /// The room of `record`. Nothing works on it yet but its door.
    pub fn new(record: RoomRecord, parts: Arc<Parts>) -> Arc<Self> {
        let view = first_view(&record, parts.clock.now());
        let id = record.settings.room.clone();
        let meters = Meters::of(&id);
        Arc::new(Self {
            door: Door::default(),
            standby: Standby::default(),
            unmetered: Unmetered::of(&id),
            outage: StdMutex::default(),
            spread: spread(&id),
            id,
            absences: Absences::default(),
            sockets: Sockets::counted_by(meters.sockets.clone()),
            meters,
            sessions: Sessions::new(),
            stop: parts.stop.child_token(),
            work: TaskTracker::new(),
            rest: Rest::default(),
            news: Notify::new(),
            known: ArcSwap::from_pointee(Known::of(record)),
            view: watch::Sender::new(Arc::new(view)),
            document: ArcSwapOption::empty(),
            rates: StdMutex::default(),
            forecasts: StdMutex::default(),
            rebuilding: Mutex::new(()),
            rebuilds: AtomicU64::new(0),
            server: StdMutex::default(),
            key_term: Mutex::default(),
            parts,
        })
    }

    /// The room as last read from the database.
    pub fn record(&self) -> Arc<RoomRecord> {
        self.known.load().record.clone()
    }

    /// Where requests to the room's part of the site go.
    pub fn target(&self) -> Target {
        self.known.load().target.clone()
    }

    /// Whether a request for a protected path needs no pass by the room's settings. Without a method,
    /// no setting that names one counts.
    pub fn exempts(&self, method: Option<&Method>, path: &SafePath<'_>) -> bool {
        self.known.load().exemptions.cover(method, path)
    }

    /// What a remote upstream is told by the room's settings.
    pub fn tells(&self) -> Tells {
        let settings = &self.known.load().record.settings;
        Tells {
            pass: settings.forward_pass,
            proof: settings.sign_requests,
        }
    }

    /// What the room's settings say of its upstream.
    pub fn upstream_bounds(&self) -> Bounds {
        let settings = &self.known.load().record.settings;
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Bounds {
            connections_max: settings.upstream_connections_max.map(count),
            stream_idle_max: settings.stream_idle_seconds.map(Duration::from_secs),
            response_max: settings.response_timeout_seconds.map(Duration::from_secs),
            preserves_host: settings.preserve_host,
            is_sticky: settings.sticky,
        }
    }

    /// Takes over what an operator or the schedule changed.
    pub fn record_set(&self, record: RoomRecord) {
        self.known.store(Arc::new(Known::of(record)));
        self.view_follow();
        self.rest.stir();
    }

    /// Notes that the last connection of `place` closed here.
    pub fn absence_note(&self, place: PlaceId) {
        self.absences.note(place);
        self.rest.stir();
    }

    /// Notes that the room, which rests, was found empty at `now`: its numbers are still true.
    pub(crate) fn empty_found(&self, now: Timestamp) {
        let stock = self.parts.stock.stock(&self.id);
        self.view.send_modify(|view| {
            *view = Arc::new(RoomView {
                found_empty_at: Some(now),
                stock,
                made_at: now,
                ..RoomView::clone(view)
            });
        });
    }

    /// Notes which server of the store has the room. Whether it is another one than before.
    pub(crate) fn server_note(&self, server: &Arc<str>) -> bool {
        let mut known = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = known.as_ref() != Some(server);
        *known = Some(server.clone());
        is_other
    }

    /// Shows what an operator changed at once; the numbers stay as they were last read.
    fn view_follow(&self) {
        let (record, phase) = (self.record(), self.phase());
        self.view.send_if_modified(|view| {
            let drawn = record.seed_revealed_at.is_some();
            let reason = paused_reason(&record);
            if view.phase == phase
                && *view.settings == record.settings
                && view.paused_reason == reason
                && view.drawn == drawn
            {
                return false;
            }
            *view = Arc::new(RoomView {
                settings: Arc::new(record.settings.clone()),
                phase,
                paused_reason: reason,
                drawn,
                ..RoomView::clone(view)
            });
            true
        });
    }

    /// Takes over from `record` that the room has opened, and nothing else: what an operator
    /// changed may have been read since `record` was.
    pub fn opening_set(&self, record: &RoomRecord) {
        self.known.rcu(|known| Known {
            record: Arc::new(RoomRecord {
                opened_at: record.opened_at,
                seed_revealed_at: record.seed_revealed_at,
                ..RoomRecord::clone(&known.record)
            }),
            target: known.target.clone(),
            exemptions: known.exemptions.clone(),
        });
        self.view_follow();
    }

    /// The room's key in the store.
    pub fn store_ref(&self) -> RoomRef {
        RoomRef {
            room: self.id.clone(),
            epoch: self.known.load().record.epoch,
        }
    }

    /// What the room is doing now.
    pub fn phase(&self) -> Phase {
        self.phase_at(self.parts.clock.now())
    }

    /// What the room does at `now`, as its settings are.
    pub(crate) fn phase_at(&self, now: Timestamp) -> Phase {
        let record = &self.known.load().record;
        phase_at(&record.settings, record.overridden, now)
    }

    /// The room as this gateway sees it.
    pub fn view(&self) -> Arc<RoomView> {
        self.view.borrow().clone()
    }

    /// Follows the view.
    pub(crate) fn view_watch(&self) -> watch::Receiver<Arc<RoomView>> {
        self.view.subscribe()
    }

    /// How fast things happen here, over the last seconds.
    pub fn rates(&self) -> Rates {
        *self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how fast things happen.
    pub fn rates_set(&self, rates: Rates) {
        *self.rates.lock().unwrap_or_else(PoisonError::into_inner) = rates;
    }

    /// What fans were told of their wait, and how it turned out. Lock it for a moment only.
    pub(crate) fn forecasts(&self) -> MutexGuard<'_, Forecasts> {
        // Estimates are whole between any two of them.
        self.forecasts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a new view to everyone who follows.
    pub fn view_set(&self, view: RoomView) {
        self.view.send_replace(Arc::new(view));
    }

    /// The public room document and its entity tag, serialised once per view.
    pub fn document(&self) -> (Bytes, HeaderValue) {
        let view = self.view();
        if let Some(known) = &*self.document.load()
            && Arc::ptr_eq(&known.0, &view)
        {
            return (known.1.clone(), known.2.clone());
        }
        let body = Bytes::from(serde_json::to_vec(&view.document()).unwrap_or_default());
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&body)[..12]);
        let etag = HeaderValue::from_str(&format!("\"{digest}\""))
            .unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        self.document
            .store(Some(Arc::new((view, body.clone(), etag.clone()))));
        (body, etag)
    }

    /// Whether someone who joins a room that goes by arrival now takes part in the draw.
    pub fn joiners_draw(&self) -> bool {
        !self.is_told_to_open()
    }

    /// Whether the room has opened, or was told to: a pause that follows takes neither back.
    pub(super) fn is_told_to_open(&self) -> bool {
        let record = &self.known.load().record;
        let ordered = record.open_ordered_at.or(record.opened_at);
        ordered.is_some() || self.phase() == Phase::Queueing
    }

    /// Why everyone passes through, while the room is idle.
    pub fn passes_by(&self) -> PassesBy {
        PassesBy::of(&self.known.load().record.settings)
    }

    /// Whether everyone passes through.
    pub fn is_idle(&self) -> bool {
        self.phase() == Phase::Idle
    }

    /// The order key of a place: from its token, or drawn.
    pub fn key_of(&self, token: &PlaceToken) -> OrderKey {
        token
            .key
            .unwrap_or_else(|| draw(&self.known.load().record.seed, &self.id, &token.nonce))
    }

    /// What the status is computed from.
    pub fn facts_of(&self, token: &PlaceToken) -> PlaceFacts {
        PlaceFacts {
            place: token.place,
            key: self.key_of(token),
            number: token.number,
            ahead_at_join: token.ahead,
        }
    }
}

/// Evenly distributed over names.
fn spread(room: &RoomId) -> u16 {
    let mut hasher = DefaultHasher::new();
    room.hash(&mut hasher);
    let [low, high, ..] = hasher.finish().to_le_bytes();
    u16::from_le_bytes([low, high])
}

fn first_view(record: &RoomRecord, now: Timestamp) -> RoomView {
    RoomView {
        room: record.settings.room.clone(),
        settings: Arc::new(record.settings.clone()),
        phase: phase_at(&record.settings, record.overridden, now),
        paused_reason: paused_reason(record),
        draw_commitment: record.commitment.clone(),
        drawn: record.seed_revealed_at.is_some(),
        snapshot: None,
        opening: None,
        pace: Some(configured_pace(record.settings.new_users_per_minute)),
        calls_per_minute: 0,
        stock: None,
        made_at: now,
        found_empty_at: None,
        fails_open: false,
    }
}

/// Why the room is paused, if it is.
pub fn paused_reason(record: &RoomRecord) -> Option<String> {
    (record.overridden == Some(Override::Pause))
        .then(|| record.paused_reason.clone())
        .flatten()
}

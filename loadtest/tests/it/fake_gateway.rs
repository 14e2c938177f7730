//! A stand-in for the gateway: the line and the operators' listener, with defects to order.
#![expect(
    clippy::disallowed_types,
    reason = "a stand-in answers bad requests however the framework does"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Json, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use contract::line::{JoinRequest, PassGrant, Phase, PlaceState, StatusDocument, Stock};
use contract::pass::{PassClaims, TOKEN_USE_ACCESS};
use contract::room::{AdmissionRecord, RoomStats};
use contract::{PlaceId, ProblemCode};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::answers::{now, refusal};
use crate::defect::Defect;
use crate::fake_shop::{self, FakeShop};

/// Calls per minute: one a tick.
const RATE: u64 = 1200;
/// What a gateway that calls too fast has as its configured rate.
const RATE_IGNORED: u64 = 60;
const TICK: Duration = Duration::from_millis(50);
const CAP: u64 = 1000;
/// Calls after which an inverting gateway begins with the last in line: by then fans have stood
/// in line long enough to count as present.
const INVERT_AFTER: usize = 35;

struct Place {
    id: PlaceId,
    nonce: String,
    key: u64,
    state: PlaceState,
    seq: u64,
    sessions: u64,
}

#[derive(Default)]
struct Line {
    places: Vec<Place>,
    by_token: HashMap<String, usize>,
    log: Vec<AdmissionRecord>,
    hash: [u8; 32],
    operators_refused: bool,
}

/// Everything the stand-in knows of the line.
struct Fake {
    defect: Option<Defect>,
    url: String,
    line: Mutex<Line>,
    changes: watch::Sender<u64>,
}

/// A running stand-in.
pub(crate) struct FakeGateway {
    fake: Arc<Fake>,
    tasks: TaskTracker,
    end: tokio_util::sync::CancellationToken,
}

impl FakeGateway {
    /// Starts one that calls fans, or only collects them.
    pub(crate) async fn start(defect: Option<Defect>, calls: bool) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shop = FakeShop::with_ten_seats(defect, url.clone());
        let fake = Arc::new(Fake {
            defect,
            url,
            line: Mutex::default(),
            changes: watch::Sender::new(0),
        });
        let tasks = TaskTracker::new();
        let end = tokio_util::sync::CancellationToken::new();
        let routes = routes().with_state(fake.clone());
        let routes = routes.merge(fake_shop::routes().with_state(Arc::new(shop)));
        let stopped = end.clone().cancelled_owned();
        tasks.spawn(async move {
            tokio::select! {
                served = axum::serve(listener, routes) => served.unwrap(),
                () = stopped => {}
            }
        });
        if calls {
            let stopped = end.clone().cancelled_owned();
            let ticking = fake.clone();
            tasks.spawn(async move {
                tokio::select! {
                    () = ticking.tick() => {}
                    () = stopped => {}
                }
            });
        }
        Self { fake, tasks, end }
    }

    pub(crate) fn url(&self) -> &str {
        &self.fake.url
    }

    /// From now on no operator is let in.
    pub(crate) fn refuse_operators(&self) {
        self.fake.line().operators_refused = true;
    }

    /// Waits until so many have joined.
    pub(crate) async fn until_joined(&self, fans: usize) {
        let mut changes = self.fake.changes.subscribe();
        let joined = async {
            while self.fake.line().places.len() < fans {
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(30), joined)
            .await
            .expect("fans join in time");
    }
}

impl Drop for FakeGateway {
    fn drop(&mut self) {
        self.end.cancel();
        self.tasks.close();
    }
}

type App = State<Arc<Fake>>;

fn routes() -> Router<Arc<Fake>> {
    let room = "/_line/v1/rooms/eras";
    let admin = "/admin/v1/rooms/eras";
    Router::new()
        .route(&format!("{room}/places"), post(join))
        .route(&format!("{room}/place"), get(status).delete(leave))
        .route(&format!("{room}/place/live"), get(live))
        .route(&format!("{room}/pass"), post(claim).delete(end_session))
        .route(admin, get(settings))
        .route("/admin/v1/rooms", get(rooms))
        .route(&format!("{admin}/stats"), get(stats))
        .route(&format!("{admin}/admissions"), get(admissions))
        .route(
            "/admin/v1/check",
            get(|| async { Json(json!({"clean": true, "checks": []})) }),
        )
}

impl Fake {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap()
    }

    fn rate(&self) -> u64 {
        if self.defect == Some(Defect::TooFast) {
            RATE_IGNORED
        } else {
            RATE
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    async fn tick(&self) {
        let mut timer = tokio::time::interval(TICK);
        loop {
            timer.tick().await;
            self.line().call_next(self.defect);
            self.changed();
        }
    }

    fn of_caller(&self, headers: &HeaderMap) -> Option<usize> {
        let token = headers.get("authorization")?.to_str().ok()?;
        let token = token.strip_prefix("Bearer ")?;
        self.line().by_token.get(token).copied()
    }

    fn document(&self, at: usize) -> StatusDocument {
        let line = self.line();
        let place = &line.places[at];
        let called = place.state == PlaceState::Called;
        StatusDocument {
            kind: "status".to_owned(),
            room: "eras".parse().unwrap(),
            phase: Phase::Queueing,
            state: place.state,
            queue_number: None,
            users_ahead: None,
            users_ahead_exact: true,
            users_in_line: 0,
            estimated_wait: None,
            progress: None,
            claim_by: None,
            stock: Stock::default(),
            message: None,
            paused_reason: None,
            updated_at: now(),
            poll_after_ms: 200,
            pass: called.then(|| place.pass(0)),
            place: None,
            order_key: Some(place.key.to_string()),
        }
    }
}

impl Line {
    fn call_next(&mut self, defect: Option<Defect>) {
        let waiting = |it: &&mut Place| it.state == PlaceState::Waiting;
        let inverted = defect == Some(Defect::Inversion) && self.log.len() >= INVERT_AFTER;
        let candidates = self.places.iter_mut().filter(waiting);
        let next = if inverted {
            candidates.max_by_key(|it| it.key)
        } else {
            candidates.min_by_key(|it| it.key)
        };
        let Some(place) = next else {
            return;
        };
        place.state = PlaceState::Called;
        let seq = u64::try_from(self.log.len()).unwrap() + 1;
        place.seq = if defect == Some(Defect::UnloggedPass) {
            seq + 1000
        } else {
            seq
        };
        let called_at = now();
        let mut text = self.hash.to_vec();
        text.extend(seq.to_be_bytes());
        text.extend(place.key.to_be_bytes());
        text.extend(called_at.as_ms().to_be_bytes());
        text.extend(place.id.as_bytes());
        self.hash = Sha256::digest(&text).into();
        self.log.push(AdmissionRecord {
            seq,
            place: place.id,
            order_key: place.key.to_string(),
            called_at,
            hash: HEXLOWER.encode(&self.hash),
        });
    }

    fn count(&self, state: PlaceState) -> u64 {
        let of_state = self.places.iter().filter(|it| it.state == state);
        u64::try_from(of_state.count()).unwrap()
    }
}

impl Place {
    fn pass(&self, session: u64) -> PassGrant {
        let at = now().as_unix_seconds();
        let claims = PassClaims {
            iss: "fake".to_owned(),
            aud: "eras".parse().unwrap(),
            sub: self.id,
            jti: format!("{}-{session}", self.id),
            iat: at,
            nbf: at,
            exp: at + 600,
            queue_position: self.seq,
            token_use: TOKEN_USE_ACCESS.to_owned(),
        };
        let body = BASE64URL_NOPAD.encode(&serde_json::to_vec(&claims).unwrap());
        PassGrant {
            access_token: format!("e30.{body}.c2ln"),
            token_type: "Bearer".to_owned(),
            expires_in: 600,
        }
    }
}

async fn join(State(fake): App, Json(body): Json<JoinRequest>) -> Response {
    let nonce = body.nonce.unwrap();
    let (known, at) = {
        let mut line = fake.line();
        let known = line.places.iter().position(|it| it.nonce == nonce);
        let count = line.places.len();
        let shares = fake.defect == Some(Defect::DoublePlace) && count % 10 == 9;
        let at = known.unwrap_or(if shares { count - 1 } else { count });
        if known.is_none() {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&count.to_be_bytes());
            line.places.push(Place {
                id: PlaceId::from_bytes(id),
                nonce,
                key: (1 << 52) + u64::try_from(count).unwrap(),
                state: PlaceState::Waiting,
                seq: 0,
                sessions: 0,
            });
        }
        line.by_token.insert(format!("place-{at}"), at);
        (known.is_some(), at)
    };
    fake.changed();
    let mut document = fake.document(at);
    document.place = Some(format!("place-{at}"));
    let status = if known {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    (status, Json(document)).into_response()
}

async fn status(State(fake): App, headers: HeaderMap) -> Response {
    match fake.of_caller(&headers) {
        Some(at) if fake.defect == Some(Defect::LostPlace) && at % 7 == 0 => {
            // Gone from the line, as if it had never been there.
            fake.line().places[at].state = PlaceState::Left;
            refusal(ProblemCode::PlaceInvalid)
        }
        Some(at) => Json(fake.document(at)).into_response(),
        None => refusal(ProblemCode::PlaceInvalid),
    }
}

async fn live(State(fake): App, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let Some(at) = fake.of_caller(&headers) else {
        return refusal(ProblemCode::PlaceInvalid);
    };
    upgrade.on_upgrade(move |socket| push(fake, at, socket))
}

async fn push(fake: Arc<Fake>, at: usize, mut socket: WebSocket) {
    let mut changes = fake.changes.subscribe();
    let mut shown = None;
    loop {
        let document = fake.document(at);
        if shown != Some(document.state) {
            shown = Some(document.state);
            let text = serde_json::to_string(&document).unwrap();
            if socket.send(Message::Text(text.into())).await.is_err() {
                return;
            }
        }
        tokio::select! {
            moved = changes.changed() => if moved.is_err() { return },
            heard = socket.recv() => if !matches!(heard, Some(Ok(_))) { return },
        }
    }
}

async fn claim(State(fake): App, headers: HeaderMap) -> Response {
    let Some(at) = fake.of_caller(&headers) else {
        return refusal(ProblemCode::PlaceInvalid);
    };
    let mut line = fake.line();
    let place = &mut line.places[at];
    if !matches!(place.state, PlaceState::Called | PlaceState::Admitted) {
        return refusal(ProblemCode::NotCalled);
    }
    place.state = PlaceState::Admitted;
    if fake.defect == Some(Defect::SecondSession) {
        place.sessions += 1;
    }
    Json(place.pass(place.sessions)).into_response()
}

async fn end_session(State(fake): App, headers: HeaderMap) -> Response {
    if let Some(at) = fake.of_caller(&headers) {
        fake.line().places[at].state = PlaceState::Ended;
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn leave(State(fake): App, headers: HeaderMap) -> Response {
    if let Some(at) = fake.of_caller(&headers) {
        fake.line().places[at].state = PlaceState::Left;
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn settings(State(fake): App) -> Response {
    if fake.line().operators_refused {
        return refusal(ProblemCode::Unauthorized);
    }
    Json(json!({
        "room": "eras", "newUsersPerMinute": fake.rate(), "totalActiveUsers": CAP,
        "phase": "queueing", "override": null, "pausedReason": null, "drawCommitment": "",
        "version": 1, "createdAt": now(), "updatedAt": now(),
    }))
    .into_response()
}

async fn rooms(State(fake): App) -> Response {
    let other = json!({
        "room": "other", "paths": ["/api/v1/shows/guarded/holds"],
        "phase": "queueing", "override": null, "pausedReason": null, "drawCommitment": "",
        "version": 1, "createdAt": now(), "updatedAt": now(),
    });
    if fake.line().operators_refused {
        return refusal(ProblemCode::Unauthorized);
    }
    Json(json!({"rooms": [other]})).into_response()
}

async fn stats(State(fake): App) -> Json<RoomStats> {
    let line = fake.line();
    let beyond = if fake.defect == Some(Defect::OverCap) {
        CAP
    } else {
        0
    };
    Json(RoomStats {
        room: "eras".parse().unwrap(),
        phase: Phase::Queueing,
        in_line: line.count(PlaceState::Waiting),
        absent: 0,
        called: line.count(PlaceState::Called),
        active: line.count(PlaceState::Admitted) + beyond,
        joins_total: u64::try_from(line.places.len()).unwrap(),
        calls_total: u64::try_from(line.log.len()).unwrap(),
        claims_total: 0,
        no_shows_total: 0,
        sessions_ended_total: 0,
        joins_per_second: 0.0,
        calls_per_second: 0.0,
        claims_per_second: 0.0,
        no_show_share: 0.0,
        standby: false,
        straight_in_total: 0,
        passed_through_requests: 0,
        passed_through_passes: 0,
        entries_per_minute: 0,
        limited_by: None,
        show_share: None,
        expected_wait_seconds: None,
        actual_wait_seconds: None,
        estimate_accuracy: None,
        sockets: 0,
        new_users_per_minute: fake.rate(),
        call_batch: None,
        total_active_users: CAP,
        addresses: Vec::new(),
        updated_at: now(),
    })
}

async fn admissions(State(fake): App) -> String {
    let line = fake.line();
    let lines = line
        .log
        .iter()
        .map(|it| serde_json::to_string(it).unwrap() + "\n");
    lines.collect()
}

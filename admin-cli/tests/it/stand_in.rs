//! A stand-in for the gateway: the operators' API in memory, over real HTTP on a free port.
//!
//! It keeps the contract's wire types, versions (`If-Match`, 412) and problem documents.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, RawPathParams, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use contract::booking::{ImportOutcome, ShowFile, ShowImported};
use contract::line::{DrawDocument, Phase};
use contract::room::{Override, PauseRequest, RoomList, RoomSettings, RoomView};
use contract::{Problem, ProblemCode, Timestamp};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::answers::answer;

/// The token that the stand-in accepts.
pub(crate) const TOKEN: &str = "correct-horse";

/// What the stand-in knows. Tests arrange it and look at it.
#[derive(Default)]
pub(crate) struct Knowledge {
    pub(crate) rooms: BTreeMap<String, RoomView>,
    pub(crate) shows: HashMap<String, ShowFile>,
    /// Imports are refused: seats were sold.
    pub(crate) shows_are_in_use: bool,
    /// A refund of a cancelled show fails.
    pub(crate) refunds_fail: bool,
    pub(crate) check: Value,
    /// Answers about the check-in, by what is asked.
    pub(crate) checkin: HashMap<&'static str, Value>,
    pub(crate) coupons: BTreeMap<String, Value>,
    pub(crate) audit: Value,
    pub(crate) admissions: String,
    pub(crate) draw: Option<DrawDocument>,
    pub(crate) writes: Vec<String>,
    /// Applied to a room right before the next `PUT`, as another operator would.
    pub(crate) interloper: Option<fn(&mut RoomSettings)>,
    /// Answers as a public listener does, which knows no operators' API.
    pub(crate) is_public: bool,
    pub(crate) stats_asked: u64,
    /// Answers to `stats` that fail, by the number of the question.
    pub(crate) stats_failing: Vec<u64>,
}

type Shared = Arc<Mutex<Knowledge>>;

/// A running stand-in. It stops when dropped.
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    shared: Shared,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl StandIn {
    pub(crate) fn start() -> Self {
        let shared = Shared::default();
        let (stop, stopped) = oneshot::channel();
        let (ready, address) = std::sync::mpsc::channel();
        let router = router(Arc::clone(&shared));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    served = axum::serve(listener, router) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self {
            address: address.recv().unwrap(),
            shared,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// A stand-in with a room of this name.
    pub(crate) fn with_room(name: &str) -> Self {
        let stand_in = Self::start();
        let settings = serde_json::from_value(json!({"room": name, "paths": ["/a"]})).unwrap();
        stand_in
            .know()
            .rooms
            .insert(name.to_owned(), view_of(settings));
        stand_in
    }

    pub(crate) fn know(&self) -> MutexGuard<'_, Knowledge> {
        self.shared.lock().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn router(shared: Shared) -> Router {
    let room = get(room_show).put(room_replace).delete(room_delete);
    let admin = Router::new()
        .route("/rooms", get(room_list).post(room_create))
        .route("/rooms/{room}", room)
        .route("/rooms/{room}/stats", get(room_stats))
        .route("/rooms/{room}/admissions", get(admissions))
        .route("/rooms/{room}/{command}", post(room_command))
        .route("/shows", post(show_import).get(show_list))
        .route("/shows/{show}", get(show_one))
        .route("/shows/{show}/cancel", post(show_cancel))
        .route("/shows/{show}/cancellation", get(show_cancellation))
        .route("/coupons", get(coupon_list).post(coupon_create))
        .route("/coupons/{code}", get(coupon_show))
        .route("/coupons/{code}/disable", post(coupon_disable))
        .route("/bookings", get(bookings_find))
        .route("/shows/{show}/bookings", get(show_bookings))
        .route("/bookings/{booking}/refund", post(booking_refund))
        .merge(crate::review_stand_in::routes())
        .merge(crate::comp_stand_in::routes())
        .route("/bookings/{booking}/resend", post(booking_resend))
        .route(
            "/check",
            get(|State(it): State<Shared>| async move { lock(&it).check.clone().to_string() }),
        )
        .route("/audit", get(audit))
        .route("/scanners", get(scanners).post(scanner_create))
        .route("/scanners/{scanner}", delete(scanner_revoke))
        .merge(crate::stand_in_events::routes())
        .layer(axum::middleware::from_fn(authorise))
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&shared),
            only_operators,
        ));
    let checkin = Router::new()
        .route("/shows/{show}/{what}", get(checkin))
        .layer(axum::middleware::from_fn(authorise));
    Router::new()
        .nest("/admin/v1", admin)
        .nest("/checkin/v1", checkin)
        .route("/_line/v1/rooms/{room}/draw", get(draw))
        .route("/_line/v1/jwks.json", get(pass_keys))
        .fallback(any(|| async { "not here" }))
        .with_state(shared)
}

async fn checkin(State(it): State<Shared>, params: RawPathParams) -> Response {
    let asked = params.iter().find(|(name, _)| *name == "what");
    let known = lock(&it);
    match asked.and_then(|(_, what)| known.checkin.get(what)) {
        Some(answer) => answer.to_string().into_response(),
        None => problem(ProblemCode::NotFound, "No such show."),
    }
}

async fn scanners(State(it): State<Shared>) -> String {
    lock(&it).checkin["scanners"].to_string()
}

async fn scanner_create(State(it): State<Shared>, body: Bytes) -> Response {
    let mut known = lock(&it);
    known
        .writes
        .push(String::from_utf8_lossy(&body).into_owned());
    (StatusCode::CREATED, known.checkin["made"].to_string()).into_response()
}

async fn scanner_revoke(State(it): State<Shared>, params: RawPathParams) -> StatusCode {
    let scanner = params.iter().next().map_or("", |(_, scanner)| scanner);
    lock(&it).writes.push(format!("revoke {scanner}"));
    StatusCode::NO_CONTENT
}

/// Pages of two records, however many are asked for.
async fn audit(State(it): State<Shared>, Query(query): Query<HashMap<String, i64>>) -> String {
    let before = query.get("before").copied().unwrap_or(i64::MAX);
    let known = lock(&it).audit["records"].clone();
    let older = known
        .as_array()
        .into_iter()
        .flatten()
        .filter(|record| record["id"].as_i64().unwrap() < before);
    let page: Vec<_> = older.take(2).collect();
    json!({"records": page}).to_string()
}

fn lock(shared: &Shared) -> MutexGuard<'_, Knowledge> {
    shared.lock().unwrap()
}

async fn authorise(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if given == format!("Bearer {TOKEN}") {
        return next.run(request).await;
    }
    if given == "Bearer viewer" {
        if request.method() == Method::GET {
            return next.run(request).await;
        }
        return problem(ProblemCode::Forbidden, "The role viewer may only read.");
    }
    problem(ProblemCode::Unauthorized, "No such token.")
}

async fn only_operators(
    State(shared): State<Shared>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    if lock(&shared).is_public {
        return problem(ProblemCode::NotFound, "There is nothing at this path.");
    }
    next.run(request).await
}

async fn pass_keys(State(shared): State<Shared>) -> Response {
    if lock(&shared).is_public {
        return answer(StatusCode::OK, &json!({"keys": []}));
    }
    problem(ProblemCode::NotFound, "There is nothing at this path.")
}

fn problem(code: ProblemCode, detail: &str) -> Response {
    let mut problem = Problem::new(code).detail(detail);
    problem.request_id = Some("req-7".to_owned());
    let status = StatusCode::from_u16(problem.status).unwrap();
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, kind, serde_json::to_string(&problem).unwrap()).into_response()
}

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T10:00:00Z").unwrap()
}

fn view_of(settings: RoomSettings) -> RoomView {
    RoomView {
        settings,
        phase: Phase::Idle,
        overridden: None,
        paused_reason: None,
        draw_commitment: "ab".repeat(32),
        version: 1,
        created_at: now(),
        updated_at: now(),
    }
}

fn name_in(params: &RawPathParams, which: &str) -> String {
    let found = params.iter().find(|(name, _)| *name == which);
    found.unwrap().1.to_owned()
}

fn no_room() -> Response {
    problem(ProblemCode::RoomNotFound, "No room has this name.")
}

async fn room_list(State(shared): State<Shared>) -> Response {
    let rooms = lock(&shared).rooms.values().cloned().collect();
    answer(StatusCode::OK, &RoomList { rooms })
}

async fn room_create(State(shared): State<Shared>, body: Bytes) -> Response {
    let settings: RoomSettings = match serde_json::from_slice(&body) {
        Ok(settings) => settings,
        Err(error) => return problem(ProblemCode::ValidationFailed, &error.to_string()),
    };
    let name = settings.room.to_string();
    let mut know = lock(&shared);
    if know.rooms.contains_key(&name) {
        return problem(
            ProblemCode::Conflict,
            "There is a room of this name already.",
        );
    }
    let view = view_of(settings);
    know.rooms.insert(name, view.clone());
    answer(StatusCode::CREATED, &view)
}

async fn room_show(State(shared): State<Shared>, params: RawPathParams) -> Response {
    match lock(&shared).rooms.get(&name_in(&params, "room")) {
        Some(view) => answer(StatusCode::OK, view),
        None => no_room(),
    }
}

async fn room_replace(
    State(shared): State<Shared>,
    params: RawPathParams,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let settings: RoomSettings = match serde_json::from_slice(&body) {
        Ok(settings) => settings,
        Err(error) => return problem(ProblemCode::ValidationFailed, &error.to_string()),
    };
    let mut know = lock(&shared);
    let interloper = know.interloper.take();
    let Some(view) = know.rooms.get_mut(&name_in(&params, "room")) else {
        return no_room();
    };
    if let Some(interloper) = interloper {
        interloper(&mut view.settings);
        view.version += 1;
    }
    if settings.room != view.settings.room {
        return problem(ProblemCode::ValidationFailed, "room: a room keeps its name");
    }
    let seen = headers
        .get(header::IF_MATCH)
        .map(|value| value.to_str().unwrap());
    if seen != Some(format!("\"{}\"", view.version).as_str()) {
        return problem(ProblemCode::PreconditionFailed, "The version is another.");
    }
    view.settings = settings;
    view.version += 1;
    let view = view.clone();
    know.writes.push("put".to_owned());
    answer(StatusCode::OK, &view)
}

async fn room_delete(
    State(shared): State<Shared>,
    params: RawPathParams,
    RawQuery(query): RawQuery,
) -> Response {
    let mut know = lock(&shared);
    if let Some(query) = query {
        know.writes.push(format!("delete?{query}"));
    }
    match know.rooms.remove(&name_in(&params, "room")) {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => no_room(),
    }
}

async fn room_command(
    State(shared): State<Shared>,
    params: RawPathParams,
    body: Bytes,
) -> Response {
    let mut know = lock(&shared);
    let Some(view) = know.rooms.get_mut(&name_in(&params, "room")) else {
        return no_room();
    };
    let command = name_in(&params, "command");
    let (phase, overridden) = match command.as_str() {
        "open" => (Phase::Queueing, Some(Override::Open)),
        "pause" => (Phase::Paused, Some(Override::Pause)),
        "close" => (Phase::Closed, Some(Override::Close)),
        "resume" => (Phase::Idle, None),
        _ => return problem(ProblemCode::NotFound, "No such command."),
    };
    view.paused_reason = None;
    if command == "pause" {
        let request: PauseRequest = serde_json::from_slice(&body).unwrap();
        view.paused_reason = request.reason;
    }
    (view.phase, view.overridden) = (phase, overridden);
    view.version += 1;
    let view = view.clone();
    know.writes.push(command);
    answer(StatusCode::OK, &view)
}

async fn room_stats(State(shared): State<Shared>, params: RawPathParams) -> Response {
    let mut know = lock(&shared);
    know.stats_asked += 1;
    if know.stats_failing.contains(&know.stats_asked) {
        return problem(ProblemCode::LineUnavailable, "Redis does not answer.");
    }
    let Some(view) = know.rooms.get(&name_in(&params, "room")) else {
        return no_room();
    };
    let stats = json!({
        "room": view.settings.room, "phase": view.phase, "inLine": 48_211, "absent": 12,
        "called": 30, "active": 450, "joinsTotal": 9000, "callsTotal": 5000,
        "claimsTotal": 4900, "noShowsTotal": 100, "sessionsEndedTotal": 4000,
        "joinsPerSecond": 55.0, "callsPerSecond": 9.5, "claimsPerSecond": 9.0,
        "noShowShare": 0.02, "entriesPerMinute": 540, "showShare": 0.975, "expectedWaitSeconds": 750, "actualWaitSeconds": 700,
        "sockets": 4000, "newUsersPerMinute": view.settings.new_users_per_minute,
        "totalActiveUsers": view.settings.total_active_users, "updatedAt": now(),
    });
    answer(StatusCode::OK, &stats)
}

async fn admissions(State(shared): State<Shared>, params: RawPathParams) -> Response {
    let know = lock(&shared);
    if !know.rooms.contains_key(&name_in(&params, "room")) {
        return no_room();
    }
    // Sent in pieces that end within lines, as a network would.
    let bytes = Bytes::from(know.admissions.clone());
    let pieces: Vec<_> = (0..bytes.len())
        .step_by(50)
        .map(|at| Ok::<_, std::io::Error>(bytes.slice(at..(at + 50).min(bytes.len()))))
        .collect();
    axum::body::Body::from_stream(futures_util::stream::iter(pieces)).into_response()
}

async fn show_import(State(shared): State<Shared>, body: Bytes) -> Response {
    let file: ShowFile = match serde_json::from_slice(&body) {
        Ok(file) => file,
        Err(error) => return problem(ProblemCode::ValidationFailed, &error.to_string()),
    };
    let show_id = file.show_id.clone();
    let mut know = lock(&shared);
    if know.shows_are_in_use {
        return problem(ProblemCode::Conflict, "Seats were held or sold.");
    }
    let before = know.shows.insert(show_id.to_string(), file.clone());
    let (status, outcome) = match before {
        None => (StatusCode::CREATED, ImportOutcome::Created),
        Some(before) if before == file => (StatusCode::OK, ImportOutcome::Unchanged),
        Some(_) => (StatusCode::OK, ImportOutcome::Updated),
    };
    let seats = file.sections.iter();
    let seat_count = seats
        .map(|it| it.rows.len() as u64 * u64::from(it.seats_per_row))
        .sum();
    answer(
        status,
        &ShowImported {
            show_id,
            seat_count,
            outcome,
            changed: Vec::new(),
        },
    )
}

async fn show_list(State(shared): State<Shared>) -> Response {
    let know = lock(&shared);
    let shows = know.shows.values().map(show_view);
    answer(StatusCode::OK, &json!({"shows": shows.collect::<Vec<_>>()}))
}

fn show_view(file: &ShowFile) -> Value {
    json!({
        "showId": file.show_id, "cityId": file.city.city_id, "title": file.title,
        "description": "", "genre": "", "language": "", "cast": [], "venue": file.venue,
        "timeZone": file.city.time_zone, "startsAt": file.starts_at, "endsAt": file.starts_at,
        "saleOpensAt": now(), "saleClosesAt": file.starts_at, "saleStatus": "OPEN",
        "room": file.room, "ticketLimit": 6, "holdSeconds": 600, "currency": file.currency,
        "categories": file.categories, "seatCount": 40, "availableCount": 39,
    })
}

async fn show_one(State(shared): State<Shared>, params: RawPathParams) -> Response {
    match lock(&shared).shows.get(&name_in(&params, "show")) {
        Some(file) => answer(StatusCode::OK, &show_view(file)),
        None => problem(ProblemCode::NotFound, ""),
    }
}

fn cancellation(left: u64, failed: u64) -> Value {
    json!({
        "showId": "eras-mumbai-1", "cancelledAt": now(), "reason": null, "bookingsLeft": left,
        "bookingsCancelled": 7 - left, "refundsOpen": left, "refundsFailed": failed,
        "refundedMinor": 150_000, "currency": "INR", "done": left == 0 && failed == 0,
    })
}

/// Some bookings are left after the order, and none at the next look; a reason of "fails" leaves a
/// refund that failed.
async fn show_cancel(State(shared): State<Shared>, body: Bytes) -> Response {
    let order: Value = serde_json::from_slice(&body).unwrap();
    lock(&shared).refunds_fail = order["reason"] == "fails";
    answer(StatusCode::ACCEPTED, &cancellation(3, 0))
}

async fn show_cancellation(State(shared): State<Shared>) -> Response {
    let failed = u64::from(lock(&shared).refunds_fail);
    answer(StatusCode::OK, &cancellation(0, failed))
}

async fn bookings_find(Query(query): Query<HashMap<String, String>>) -> Response {
    let bookings = [json!({
        "bookingId": "bkg_0190163d8694739baea51966c26f8ad9", "code": query.get("code"),
        "showId": "eras-mumbai-1", "email": query.get("email"), "status": "CONFIRMED",
        "ticketCount": 2, "amountMinor": 500_000, "refundedMinor": 0, "currency": "INR",
        "createdAt": now(),
    })];
    answer(StatusCode::OK, &json!({ "bookings": bookings }))
}

/// Two pages of one booking each.
async fn show_bookings(Query(query): Query<HashMap<String, String>>) -> Response {
    let is_first = !query.contains_key("after");
    let (booking, seat) = if is_first {
        ("bkg_1", "A1")
    } else {
        ("bkg_2", "A2")
    };
    let page = json!({
        "bookings": [{
            "bookingId": booking, "code": "K7M2RRX9B", "email": "a@example.com",
            "status": "CONFIRMED", "amountMinor": 500, "refundedMinor": 0, "netMinor": 500,
            "currency": "INR", "provider": "stripe", "intentId": "pi_1", "createdAt": now(),
            "tickets": [{"ticketId": "tkt_1", "seatId": seat, "category": "GOLD",
                "status": "ISSUED", "priceMinor": 500, "checkedInAt": null}],
        }],
        "next": is_first.then_some("bkg_1"),
    });
    answer(StatusCode::OK, &page)
}

async fn booking_refund(body: Bytes) -> Response {
    let order: Value = serde_json::from_slice(&body).unwrap();
    let tickets = order.get("ticketIds").cloned().unwrap_or_else(|| json!([]));
    let kept = if order["byPolicy"] == true { 10_000 } else { 0 };
    answer(
        StatusCode::ACCEPTED,
        &json!({
            "refundId": "rfd_0190163d8694739baea51966c26f8ad9", "amountMinor": 500_000 - kept,
            "keptMinor": kept, "currency": "INR", "status": "REQUESTED",
            "bookingStatus": "CANCELLED", "ticketIds": tickets,
        }),
    )
}

async fn coupon_create(State(shared): State<Shared>, body: Bytes) -> Response {
    let terms: Value = serde_json::from_slice(&body).unwrap();
    let code = terms["code"].as_str().unwrap_or("K7M2RRX9B").to_uppercase();
    let coupon = json!({
        "code": code, "terms": terms, "reserved": 2, "booked": 3,
        "createdAt": "2026-11-22T10:00:00.000Z",
    });
    lock(&shared).coupons.insert(code, coupon.clone());
    answer(StatusCode::CREATED, &coupon)
}

async fn coupon_list(State(shared): State<Shared>) -> Response {
    let coupons: Vec<Value> = lock(&shared).coupons.values().cloned().collect();
    answer(StatusCode::OK, &json!({ "coupons": coupons }))
}

async fn coupon_show(State(shared): State<Shared>, path: RawPathParams) -> Response {
    let code = path.iter().next().unwrap().1.to_uppercase();
    match lock(&shared).coupons.get(&code) {
        Some(coupon) => answer(StatusCode::OK, coupon),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn coupon_disable(State(shared): State<Shared>, path: RawPathParams) -> Response {
    let code = path.iter().next().unwrap().1.to_uppercase();
    if let Some(coupon) = lock(&shared).coupons.get_mut(&code) {
        coupon["disabledAt"] = json!("2026-11-23T10:00:00.000Z");
    }
    coupon_show(State(shared), path).await
}

async fn booking_resend() -> Response {
    let sent = json!({"sentTo": "f…@example.com", "expiresAt": now()});
    answer(StatusCode::ACCEPTED, &sent)
}

async fn draw(State(shared): State<Shared>) -> Response {
    match &lock(&shared).draw {
        Some(document) => answer(StatusCode::OK, document),
        None => no_room(),
    }
}

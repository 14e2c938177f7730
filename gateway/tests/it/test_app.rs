//! A gateway's public side on a free port, with Redis and PostgreSQL behind it and upstreams of
//! the test's own; and a fan who talks to it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::IntoResponse;
use contract::line::{PlaceState, StatusDocument};
use contract::pass::{PassKey, PassKeys};
use contract::room::{Override, RoomSettings};
use contract::{Clock, RoomId, SystemClock, Timestamp};
use data_encoding::BASE64URL_NOPAD;
use gateway::access_log::AccessLog;
use gateway::edge::client_ip::TrustedProxies;
use gateway::edge::rate_limit::{Rate, RateLimitConfig, RateLimits};
use gateway::edge::serve::ServeConfig;
use gateway::front::BesideTls;
use gateway::gate::InProcess;
use gateway::http::auth::Questions;
use gateway::http::cookies::CookieForm;
use gateway::proxy::{Proxy, ProxyConfig};
use gateway::public::{PublicParts, PublicSide};
use http::{HeaderMap, Method, StatusCode};
use ipnet::IpNet;
use line::policy::care::RateShare;
use line::policy::place::{PlaceKeys, place_secret};
use line::policy::status::StockFigures;
use line::records::durable::DurableRecords;
use line::records::{Act, Admissions, Audit, Database, Rooms, pool_options};
use line::rooms::RoomSet;
use line::skew::Skew;
use line::target::Target;
use line::{Parts, Randomness, StockSource, UpstreamHealth};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use test_support::database::{Records, TestDatabase};
use test_support::redis::{redis_prefix, redis_store, redis_url};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use web::RequestIds;

use crate::serving::{Server, within};

/// Where fans would reach the gateways here through a proxy.
pub(crate) const PUBLIC_URL: &str = "https://line.test";
/// Live connections of one place here.
pub(crate) const CONNECTIONS_PER_PLACE_MAX: usize = 3;
/// The seed of every room's draw here.
pub(crate) const SEED: [u8; 32] = [7; 32];
/// Random bytes of the processes: each its own.
static PROCESSES: AtomicU64 = AtomicU64::new(1);

/// The system's clock, moved forward by the test.
#[derive(Clone, Default)]
pub(crate) struct ShiftedClock(Arc<AtomicU64>);

impl ShiftedClock {
    pub(crate) fn advance(&self, span: Duration) {
        let ms = u64::try_from(span.as_millis()).unwrap();
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        let ahead = Duration::from_millis(self.0.load(Ordering::SeqCst));
        SystemClock.now().plus(ahead)
    }
}

struct NoStock;

impl StockSource for NoStock {
    fn stock(&self, _: &RoomId) -> Option<StockFigures> {
        None
    }
}

/// The proxy's word, as in the product.
struct ProxyHealth(Arc<Proxy>);

impl UpstreamHealth for ProxyHealth {
    fn rate_share(&self, target: &Target) -> RateShare {
        self.0.rate_share(target)
    }
}

/// What several gateways share.
pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) records: Records,
    pub(crate) prefix: String,
    pub(crate) clock: ShiftedClock,
    /// Whose word on a client's address gateways believe.
    pub(crate) trusted: Vec<IpNet>,
    /// How other proxies ask gateways about requests.
    pub(crate) questions: Questions,
    /// What the upstreams saw, in order.
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request as an upstream got it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) headers: HeaderMap,
}

impl World {
    pub(crate) async fn create() -> Self {
        let database = TestDatabase::create().await;
        let records = database.records();
        connected(&records.database).await;
        Self {
            records,
            database,
            prefix: redis_prefix(),
            clock: ShiftedClock::default(),
            trusted: Vec::new(),
            questions: Questions::default(),
            seen: Arc::default(),
        }
    }

    /// Makes a room `eras` that queues, with `changes` to its settings.
    pub(crate) async fn room(&self, changes: Value) {
        self.room_named("eras", changes).await;
    }

    pub(crate) async fn room_named(&self, name: &str, changes: Value) {
        self.room_made(name, changes, self.act()).await;
    }

    /// Makes a room by a clock of its own.
    pub(crate) async fn room_at(&self, clock: &ShiftedClock, changes: Value) {
        self.room_made("eras", changes, Act::new("tester", clock))
            .await;
    }

    async fn room_made(&self, name: &str, changes: Value, act: Act) {
        let mut settings = json!({
            "room": name, "paths": [format!("/{name}")], "queueAll": true,
            "newUsersPerMinute": 60_000,
        });
        for (field, value) in changes.as_object().unwrap() {
            settings[field] = value.clone();
        }
        let settings: RoomSettings = serde_json::from_value(settings).unwrap();
        let made = self.records.rooms.room_create(settings, SEED, act);
        made.await.unwrap();
    }

    pub(crate) async fn room_delete(&self, name: &str) {
        let room = name.parse().unwrap();
        let deleted = self.records.rooms.room_delete(&room, self.act()).await;
        assert!(deleted.unwrap(), "no room {name}");
    }

    fn act(&self) -> Act {
        Act::new("tester", &self.clock)
    }

    /// The manager's word on `eras`.
    pub(crate) async fn word(&self, word: Override, reason: Option<&str>) {
        let (room, reason) = ("eras".parse().unwrap(), reason.map(str::to_owned));
        let said = self
            .records
            .rooms
            .room_override(&room, Some(word), reason, self.act());
        said.await.unwrap();
    }

    /// An upstream that answers with its path, ends the session on `/…/done`, which a query may
    /// name the room of, or which leads to where a query `to=` says, and lets everyone keep
    /// `/…/cached`.
    pub(crate) fn upstream(&self) -> Router {
        let seen = self.seen.clone();
        Router::new().fallback(move |request: Request<Body>| {
            let path = request.uri().path().to_owned();
            seen.lock().unwrap().push(Seen {
                headers: request.headers().clone(),
            });
            let room = request.uri().query().map(str::to_owned);
            async move {
                let mut headers = Vec::new();
                if path.ends_with("/done") {
                    headers.push(("ropeline-command", "end-session".to_owned()));
                    match room.as_deref().and_then(|query| query.strip_prefix("to=")) {
                        Some(to) => headers.push(("location", to.to_owned())),
                        None => headers.extend(room.map(|room| ("ropeline-room", room))),
                    }
                }
                if path.ends_with("/cached") {
                    headers.push(("cache-control", "public, max-age=600".to_owned()));
                    headers.push(("cdn-cache-control", "max-age=600".to_owned()));
                    headers.push(("surrogate-control", "max-age=600".to_owned()));
                    headers.push(("expires", "Thu, 31 Dec 2037 00:00:00 GMT".to_owned()));
                }
                let mut response = path.into_response();
                for (name, value) in headers {
                    response.headers_mut().insert(name, value.parse().unwrap());
                }
                if response.headers().contains_key("location") {
                    *response.status_mut() = StatusCode::SEE_OTHER;
                }
                response
            }
        })
    }

    fn in_process(&self) -> InProcess {
        InProcess {
            router: self.upstream(),
            at_hand: None,
        }
    }

    pub(crate) fn last_seen(&self) -> Seen {
        self.seen.lock().unwrap().last().unwrap().clone()
    }

    /// A gateway in this world.
    pub(crate) async fn gateway(&self) -> TestApp {
        self.gateway_on(&redis_url(), self.database.options(), generous())
            .await
    }

    /// A gateway with this router as its booking core.
    pub(crate) async fn gateway_before(&self, router: Router) -> TestApp {
        let embedded = InProcess {
            router,
            at_hand: None,
        };
        self.gateway_before_core(embedded).await
    }

    /// A gateway with this booking core.
    pub(crate) async fn gateway_before_core(&self, embedded: InProcess) -> TestApp {
        self.gateway_made(&redis_url(), self.database.options(), generous(), embedded)
            .await
    }

    /// A gateway that reaches its servers by ways of the test's own.
    pub(crate) async fn gateway_on(
        &self,
        redis: &str,
        database: PgConnectOptions,
        limits: RateLimitConfig,
    ) -> TestApp {
        self.gateway_made(redis, database, limits, self.in_process())
            .await
    }

    /// A gateway with a clock of its own, which it compares with the store's.
    pub(crate) async fn gateway_with_clock(&self, clock: &ShiftedClock) -> TestApp {
        let store = redis_store(&redis_url(), &self.prefix);
        let clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let skew = Skew::new(Arc::new(store), clock.clone());
        let (database, upstream) = (self.database.options(), self.in_process());
        self.gateway_by(&redis_url(), database, generous(), upstream, clock, skew)
            .await
    }

    async fn gateway_made(
        &self,
        redis: &str,
        database: PgConnectOptions,
        limits: RateLimitConfig,
        embedded: InProcess,
    ) -> TestApp {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let skew = Skew::none(clock.clone());
        self.gateway_by(redis, database, limits, embedded, clock, skew)
            .await
    }

    async fn gateway_by(
        &self,
        redis: &str,
        database: PgConnectOptions,
        limits: RateLimitConfig,
        embedded: InProcess,
        clock: Arc<dyn Clock>,
        skew: Skew,
    ) -> TestApp {
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let skew = Arc::new(skew);
        tasks.spawn(skew.clone().run(stop.clone()));
        let process = PROCESSES.fetch_add(1, Ordering::Relaxed);
        let randomness = Randomness::new(ChaCha20Rng::seed_from_u64(process));
        let database = Database::new(pool_options().connect_lazy_with(database), tasks.clone());
        connected(&database).await;
        let keys = || vec![PassKey::from_seed([3; 32]).unwrap()];
        let rooms = Rooms::new(database.clone());
        let proxy = Arc::new(Proxy::new(ProxyConfig::default(), clock.clone()));
        let parts = Arc::new(Parts {
            store: Arc::new(redis_store(redis, &self.prefix)),
            durable: Arc::new(DurableRecords {
                rooms: rooms.clone(),
                admissions: Admissions::new(database.clone()),
                audit: Audit::new(database),
            }),
            pass_keys: Arc::new(PassKeys::new("https://line.test", keys()).unwrap()),
            place_keys: Arc::new(PlaceKeys::new(&keys(), place_secret(&keys()[0]))),
            clock: clock.clone(),
            skew,
            process: randomness.uuid(),
            randomness,
            stock: Arc::new(NoStock),
            upstreams: Arc::new(ProxyHealth(proxy.clone())),
            tasks: tasks.clone(),
            stop: stop.clone(),
        });
        let side = PublicSide::start(PublicParts {
            parts,
            records: rooms,
            proxy: proxy.clone(),
            embedded,
            public_url: PUBLIC_URL.to_owned(),
            cookies: CookieForm { is_secure: false },
            limits,
            connections_per_place_max: CONNECTIONS_PER_PLACE_MAX,
            trusted_proxies: TrustedProxies::new(self.trusted.iter().copied()),
            questions: self.questions,
            beside_tls: BesideTls::default(),
            page_policy: "default-src 'self'".into(),
            request_ids: RequestIds::new(process),
            access_log: AccessLog::default(),
            turns: Arc::new(NobodyTells),
        });
        let side = side.await.unwrap();
        let config = ServeConfig {
            refusal_page: Some(side.refusal_page),
            ..ServeConfig::public("test", RequestIds::new(process))
        };
        TestApp {
            server: Server::start_on_cores(side.front, config),
            rooms: side.rooms,
            proxy,
            limits: side.limits,
            tasks,
            stop,
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
        }
    }
}

/// Limits that only a test of limits meets.
pub(crate) fn generous() -> RateLimitConfig {
    let rate = Rate {
        per_second: 10_000.try_into().unwrap(),
        burst: 10_000.try_into().unwrap(),
    };
    RateLimitConfig {
        joins: rate,
        calls: rate,
        polls: rate,
        signatures: rate,
    }
}

/// A gateway at work.
pub(crate) struct TestApp {
    pub(crate) server: Server,
    pub(crate) rooms: RoomSet,
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) limits: RateLimits,
    pub(crate) stop: CancellationToken,
    pub(crate) http: reqwest::Client,
    tasks: TaskTracker,
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn status_document(&self) -> StatusDocument {
        serde_json::from_value(self.json()).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The order key of a place that waits.
    pub(crate) fn waiting_key(&self) -> u64 {
        assert!(self.status.is_success(), "{}", self.text());
        let status = self.status_document();
        assert_eq!(status.state, PlaceState::Waiting);
        status.order_key.unwrap().parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The `name=value` of the cookie that this answer sets.
    pub(crate) fn cookie(&self) -> &str {
        self.header("set-cookie").split(';').next().unwrap()
    }

    /// Asserts a problem document with this code.
    pub(crate) fn assert_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["requestId"], self.header("x-request-id"));
        problem
    }
}

impl TestApp {
    pub(crate) fn addr(&self) -> SocketAddr {
        self.server.addr
    }

    /// Stops the gateway's tasks and waits for them.
    pub(crate) async fn kill(&self) {
        self.stop.cancel();
        self.tasks.close();
        within("the end of the tasks", self.tasks.wait()).await;
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let mut request = self.http.request(method, self.server.url(path)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = within("the answer", request.send()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = within("the body", response.bytes()).await.unwrap();
        Answer {
            status,
            headers,
            body: body.to_vec(),
        }
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, headers, "").await
    }

    /// Joins `eras` as a fan with a nonce of their own.
    pub(crate) async fn join(&self, nonce: u8) -> Fan {
        self.join_room("eras", nonce).await
    }

    pub(crate) async fn join_room(&self, room: &str, nonce: u8) -> Fan {
        // A line that is being made answers 503 for a moment; a fan's page tries again too.
        eventually("a place", async || self.try_join(room, nonce).await).await
    }

    /// Joins `room` if the line is not away.
    pub(crate) async fn try_join(&self, room: &str, nonce: u8) -> Option<Fan> {
        let nonce = BASE64URL_NOPAD.encode(&[nonce; 16]);
        let body = json!({"nonce": nonce}).to_string();
        let path = format!("/_line/v1/rooms/{room}/places");
        let headers = [("content-type", JSON)];
        let joined = self.send(Method::POST, &path, &headers, body).await;
        if joined.status == StatusCode::SERVICE_UNAVAILABLE {
            joined.assert_problem(503, "line-unavailable");
            return None;
        }
        assert!(joined.status.is_success(), "{}", joined.text());
        Some(Fan {
            room: room.to_owned(),
            token: joined.status_document().place.unwrap(),
            cookie: joined.cookie().to_owned(),
            joined,
        })
    }
}

pub(crate) const JSON: &str = "application/json";

/// Someone with a place.
pub(crate) struct Fan {
    pub(crate) room: String,
    pub(crate) token: String,
    pub(crate) cookie: String,
    pub(crate) joined: Answer,
}

impl Fan {
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    fn path(&self, end: &str) -> String {
        format!("/_line/v1/rooms/{}/{end}", self.room)
    }

    pub(crate) async fn call(&self, app: &TestApp, method: Method, end: &str) -> Answer {
        let bearer = self.bearer();
        app.send(method, &self.path(end), &[("authorization", &bearer)], "")
            .await
    }

    pub(crate) async fn look(&self, app: &TestApp) -> StatusDocument {
        let answer = self.call(app, Method::GET, "place").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.status_document()
    }

    pub(crate) async fn claim(&self, app: &TestApp) -> Answer {
        self.call(app, Method::POST, "pass").await
    }

    /// Claims as soon as it is this fan's turn; the pass.
    pub(crate) async fn claimed(&self, app: &TestApp) -> String {
        let claimed = eventually("the call", async || {
            let answer = self.claim(app).await;
            (answer.status == StatusCode::OK).then_some(answer)
        });
        claimed.await.json()["access_token"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// Waits for the pool's first connection: on a loaded machine it may take longer than a request
/// waits.
async fn connected(database: &Database) {
    eventually("the database", async || database.ping().await.ok()).await;
}

/// Asks again until there is an answer, within a bound.
pub(crate) async fn eventually<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let asking = async {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        loop {
            pause.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    within(what, asking).await
}

/// Nobody is told of a call.
struct NobodyTells;

impl gateway::http::turn_teller::TurnTeller for NobodyTells {
    fn ask<'a>(
        &'a self,
        _room: RoomId,
        _place: contract::PlaceId,
        _wanted: contract::contact::TurnRequest,
        _headers: &'a http::HeaderMap,
    ) -> futures_util::future::BoxFuture<'a, web::ApiResult<()>> {
        Box::pin(async { Ok(()) })
    }

    fn push_key(&self) -> String {
        String::new()
    }
}

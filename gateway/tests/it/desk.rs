//! The operators' listener with a database of its own, for tests to ask.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use booking_core::Booking;
use contract::pass::PassKey;
use contract::room::RoomStats;
use contract::{ManualClock, PlaceId, Problem, RoomId};
use futures_util::future::{BoxFuture, FutureExt};
use gateway::ops::auth::{Operator, Role, Tokens};
use gateway::ops::metrics::Metrics;
use gateway::ops::{Changes, Check, ExtraRoutes, Figures, OpsState, Readiness, Sessions, router};
use gateway::sealer::Sealer;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use line::Randomness;
use line::policy::place::PlaceKeys;
use line::records::RoomRecord;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use web::RequestIds;

use test_support::database::{Records, TestDatabase};

pub(crate) const ROOMS: &str = "/admin/v1/rooms";
pub(crate) const ERAS: &str = "/admin/v1/rooms/eras";

/// Seals as the gateways of other tests do not.
fn sealer() -> Sealer {
    let keys = PlaceKeys::new(&[PassKey::from_seed([3; 32]).unwrap()], [9; 32]);
    Sealer::new(&keys, Randomness::new(ChaCha20Rng::seed_from_u64(9)))
}

/// Everything outside the database that the listener asks.
#[derive(Default)]
pub(crate) struct Surroundings {
    pub(crate) ended: Mutex<Vec<PlaceId>>,
    pub(crate) problem: Mutex<Option<String>>,
    /// The rooms that were put into force, with their versions.
    pub(crate) applied: Mutex<Vec<(RoomId, Option<i64>)>>,
}

impl Changes for Surroundings {
    fn apply<'a>(&'a self, room: &'a RoomId, record: Option<&'a RoomRecord>) -> BoxFuture<'a, ()> {
        let version = record.map(|record| record.version);
        self.applied.lock().unwrap().push((room.clone(), version));
        async {}.boxed()
    }
}

impl Figures for Surroundings {
    fn stats<'a>(&'a self, _: &'a RoomId) -> BoxFuture<'a, Result<Option<RoomStats>, Problem>> {
        async { Ok(None) }.boxed()
    }

    fn has(&self, _: &str) -> bool {
        true
    }

    fn has_upstream(&self, _: &str) -> bool {
        true
    }
}

impl Sessions for Surroundings {
    fn session_end<'a>(
        &'a self,
        _: &'a RoomId,
        place: &'a PlaceId,
    ) -> BoxFuture<'a, Result<bool, Problem>> {
        async {
            let mut ended = self.ended.lock().unwrap();
            let first = !ended.contains(place);
            ended.push(*place);
            Ok(first)
        }
        .boxed()
    }
}

impl Readiness for Surroundings {
    fn is_draining(&self) -> bool {
        self.problem.lock().unwrap().as_deref() == Some("draining")
    }

    fn checks(&self) -> BoxFuture<'_, Vec<Check>> {
        let problem = self.problem.lock().unwrap().clone();
        async {
            vec![Check {
                name: "redis",
                problem,
                advice: None,
            }]
        }
        .boxed()
    }
}

/// A listener and what it stands on.
pub(crate) struct Desk {
    pub(crate) router: Router,
    pub(crate) records: Records,
    pub(crate) surroundings: Arc<Surroundings>,
    /// Kept for as long as the desk: dropping it drops the database.
    database: Option<TestDatabase>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

impl Desk {
    pub(crate) async fn open() -> Self {
        let database = TestDatabase::create().await;
        let mut desk = Self::on(database.records(), None);
        desk.database = Some(database);
        desk
    }

    /// A desk with the operators' routes of a booking core on the same database.
    pub(crate) fn with_booking(database: TestDatabase, booking: &Booking) -> Self {
        let (router, described) = booking.admin();
        let extra = ExtraRoutes { router, described };
        let mut desk = Self::with_routes(database.records(), None, extra);
        desk.database = Some(database);
        desk
    }

    /// A desk on `records`, beside a gateway that puts its changes into force, if there is one.
    pub(crate) fn on(records: Records, beside: Option<Arc<dyn Changes>>) -> Self {
        let router = Router::new().route(
            "/admin/v1/shows",
            post(async || StatusCode::CREATED).get(async || "shows"),
        );
        let extra = ExtraRoutes {
            router,
            ..ExtraRoutes::default()
        };
        Self::with_routes(records, beside, extra)
    }

    fn with_routes(records: Records, beside: Option<Arc<dyn Changes>>, extra: ExtraRoutes) -> Self {
        let surroundings = Arc::new(Surroundings::default());
        let changes = beside.unwrap_or_else(|| surroundings.clone());
        let token = |name: &str, role| {
            let operator = Operator {
                name: name.to_owned(),
                role,
            };
            (format!("{name}-token"), operator)
        };
        let state = OpsState {
            rooms: records.rooms.clone(),
            admissions: records.admissions.clone(),
            audit: records.audit.clone(),
            clock: Arc::new(ManualClock::default()),
            tokens: Tokens::new([
                token("admin", Role::Admin),
                token("operator", Role::Operator),
                token("viewer", Role::Viewer),
            ]),
            figures: surroundings.clone(),
            sessions: surroundings.clone(),
            readiness: surroundings.clone(),
            metrics: Metrics::detached(&[]).unwrap().1,
            changes,
            tasks: TaskTracker::new(),
            sealer: sealer(),
            seeds: Arc::new(|| [7; 32]),
        };
        Self {
            router: router(state, extra, RequestIds::new(1)),
            records,
            surroundings,
            database: None,
        }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            json: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }

    pub(crate) async fn ask_as(&self, who: &str, method: Method, path: &str, body: &str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {who}-token"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_owned()));
        self.send(request.unwrap()).await
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.ask_as("admin", method, path, &body).await
    }

    pub(crate) async fn put_if(&self, tag: &str, body: Value) -> Answer {
        let request = Request::put(ERAS)
            .header("authorization", "Bearer admin-token")
            .header("content-type", "application/json")
            .header("if-match", tag)
            .body(Body::from(body.to_string()));
        self.send(request.unwrap()).await
    }

    pub(crate) async fn eras(&self) {
        let made = self.ask(Method::POST, ROOMS, json!({"room": "eras"})).await;
        assert_eq!(made.status, 201, "{}", made.json);
    }
}

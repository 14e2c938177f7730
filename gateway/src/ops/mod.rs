//! The operators' listener: health, metrics, the admin API, the dashboard.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`auth`] | who an operator is and what they may do |
//! | `audit` | the audit log, and recording what other routers change |
//! | `dashboard` | the page for people |
//! | [`health`] | liveness and readiness |
//! | [`metrics`] | the metrics of the process |
//! | `openapi` | the OpenAPI document of this listener |
//! | `rooms` | rooms, overrides, figures, the admission log, sessions |

mod audit;
pub mod auth;
mod dashboard;
pub mod health;
pub mod metrics;
mod openapi;
mod rooms;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use contract::room::RoomStats;
use contract::{Clock, PlaceId, Problem, ProblemCode, RoomId};
use futures_util::future::BoxFuture;
use line::records::{Admissions, Audit, RecordsError, RoomRecord, Rooms};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ApiError, Part, RequestIds};

use self::metrics::Metrics;
use auth::Tokens;
use health::Readiness;

/// Live figures of rooms.
pub trait Figures: Send + Sync + 'static {
    /// The figures of `room`, `None` when there is no such room.
    fn stats<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Option<RoomStats>, Problem>>;

    /// Whether there is a room of this name.
    fn has(&self, room: &str) -> bool;
}

/// Sessions of visitors who were admitted.
pub trait Sessions: Send + Sync + 'static {
    /// Ends the session of `place` in `room`; `false` when there is none.
    fn session_end<'a>(
        &'a self,
        room: &'a RoomId,
        place: &'a PlaceId,
    ) -> BoxFuture<'a, Result<bool, Problem>>;
}

/// The rooms as this gateway serves them.
pub trait Changes: Send + Sync + 'static {
    /// Waits, for a moment at most, until this gateway serves `room` as `record` has it, or not at
    /// all without one. Whoever changed a room finds it changed then.
    fn apply<'a>(&'a self, room: &'a RoomId, record: Option<&'a RoomRecord>) -> BoxFuture<'a, ()>;
}

/// Makes the secret seed of a new room's draw.
pub type SeedSource = Arc<dyn Fn() -> [u8; 32] + Send + Sync>;

/// What the operators' listener works with.
#[derive(Clone)]
pub struct OpsState {
    /// The rooms.
    pub rooms: Rooms,
    /// The admission logs.
    pub admissions: Admissions,
    /// The audit log.
    pub audit: Audit,
    /// The time of every act.
    pub clock: Arc<dyn Clock>,
    /// Who may come in.
    pub tokens: Tokens,
    /// Live figures.
    pub figures: Arc<dyn Figures>,
    /// Sessions.
    pub sessions: Arc<dyn Sessions>,
    /// Whether this gateway can serve.
    pub readiness: Arc<dyn Readiness>,
    /// The metrics.
    pub metrics: Metrics,
    /// Puts changes of rooms into force here.
    pub changes: Arc<dyn Changes>,
    /// Seeds of new rooms.
    pub seeds: SeedSource,
}

/// Further admin routes under their full paths, and their description.
#[derive(Clone, Default)]
pub struct ExtraRoutes {
    /// What is served.
    pub router: Router,
    /// What it is.
    pub described: utoipa::openapi::OpenApi,
}

/// The router of the listener. The routes of `extra` get the same authentication, and their
/// changes are recorded in the audit log.
pub fn router(state: OpsState, extra: ExtraRoutes, ids: RequestIds) -> Router {
    let further = extra
        .router
        .route_layer(from_fn_with_state(state.clone(), audit::record_changes));
    let (admin, described) = admin_routes().split_for_parts();
    let (open, health) = open_routes().split_for_parts();
    let document = openapi::document(described, health, extra.described);
    let admin = admin
        .with_state(state.clone())
        .merge(further)
        // Outside the audit layer, which names the operator that this one found.
        .route_layer(from_fn_with_state(state.tokens.clone(), auth::middleware));
    let open = open
        .with_state(state)
        .merge(openapi::router(document))
        .merge(dashboard::router());
    web::standard(
        admin
            .merge(open)
            .layer(from_fn(dashboard::security_headers)),
        Part::new("ops"),
        ids,
    )
}

fn admin_routes() -> OpenApiRouter<OpsState> {
    OpenApiRouter::default()
        .routes(routes!(rooms::list, rooms::create))
        .routes(routes!(rooms::show, rooms::put, rooms::delete))
        .layer(DefaultBodyLimit::max(rooms::BODY_BYTES_MAX))
        .routes(routes!(rooms::open))
        .routes(routes!(rooms::pause))
        .routes(routes!(rooms::resume))
        .routes(routes!(rooms::close))
        .routes(routes!(rooms::follow))
        .routes(routes!(rooms::stats))
        .routes(routes!(rooms::admissions))
        .routes(routes!(rooms::session_end))
        .routes(routes!(audit::list))
}

fn open_routes() -> OpenApiRouter<OpsState> {
    OpenApiRouter::default()
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::render))
}

/// The answer when the records refuse.
fn refused(error: RecordsError) -> ApiError {
    match error {
        RecordsError::Unavailable(cause) => {
            tracing::warn!(%cause, "the database does not answer");
            ProblemCode::DatabaseUnavailable.into()
        }
        RecordsError::Timeout => Problem::new(ProblemCode::DatabaseUnavailable)
            .detail("The outcome is not known yet. Look at the present state before trying again.")
            .into(),
        RecordsError::Conflict(detail) => Problem::new(ProblemCode::Conflict).detail(detail).into(),
        error @ (RecordsError::Corrupt { .. } | RecordsError::Refused(_)) => {
            ApiError::internal(&format!("{error}: {error:?}"))
        }
    }
}

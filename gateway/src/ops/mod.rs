//! The operators' listener: health, metrics, the admin API, the dashboard.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`auth`] | who an operator is and what they may do |
//! | `audit` | the audit log, and recording what other routers change |
//! | `dashboard` | the page for people |
//! | [`health`] | liveness and readiness |
//! | [`metrics`] | the metrics of the process |
//! | `rooms` | rooms, overrides, figures, the admission log, sessions |

mod audit;
pub mod auth;
mod dashboard;
pub mod health;
pub mod metrics;
mod rooms;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post};
use contract::room::RoomStats;
use contract::{Clock, PlaceId, Problem, ProblemCode, RoomId};
use futures_util::future::BoxFuture;
use web::{ApiError, Part, RequestIds};

use self::metrics::Metrics;
use crate::records::{Admissions, Audit, RecordsError, RoomRecord, Rooms};
use auth::Tokens;
use health::Readiness;

/// Live figures of rooms.
pub trait Figures: Send + Sync + 'static {
    /// The figures of `room`, `None` when there is no such room.
    fn stats<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Option<RoomStats>, Problem>>;
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

/// The router of the listener. `extra` holds further admin routes under their full paths; they
/// get the same authentication, and their changes are recorded in the audit log.
pub fn router(state: OpsState, extra: Router, ids: RequestIds) -> Router {
    let extra = extra.route_layer(from_fn_with_state(state.clone(), audit::record_changes));
    let admin = Router::new()
        .route(
            "/admin/v1/rooms",
            get(rooms::list)
                .post(rooms::create)
                .layer(DefaultBodyLimit::max(rooms::BODY_BYTES_MAX)),
        )
        .route(
            "/admin/v1/rooms/{room}",
            get(rooms::show)
                .put(rooms::put)
                .delete(rooms::delete)
                .layer(DefaultBodyLimit::max(rooms::BODY_BYTES_MAX)),
        )
        .route("/admin/v1/rooms/{room}/open", post(rooms::open))
        .route("/admin/v1/rooms/{room}/pause", post(rooms::pause))
        .route("/admin/v1/rooms/{room}/resume", post(rooms::resume))
        .route("/admin/v1/rooms/{room}/close", post(rooms::close))
        .route("/admin/v1/rooms/{room}/override", delete(rooms::follow))
        .route("/admin/v1/rooms/{room}/stats", get(rooms::stats))
        .route("/admin/v1/rooms/{room}/admissions", get(rooms::admissions))
        .route(
            "/admin/v1/rooms/{room}/sessions/{place}",
            delete(rooms::session_end),
        )
        .route("/admin/v1/audit", get(audit::list))
        .with_state(state.clone())
        .merge(extra)
        // Outside the audit layer, which names the operator that this one found.
        .route_layer(from_fn_with_state(state.tokens.clone(), auth::middleware));
    let open = Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::render))
        .with_state(state)
        .merge(dashboard::router());
    web::standard(
        admin
            .merge(open)
            .layer(from_fn(dashboard::security_headers)),
        Part::new("ops"),
        ids,
    )
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

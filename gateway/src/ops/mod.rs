//! The operators' listener: health, metrics, the admin API, the dashboard.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`auth`] | who an operator is and what they may do |
//! | `audit` | the audit log, and recording what other routers change |
//! | `dashboard` | the page for people |
//! | [`health`] | liveness and readiness |
//! | [`metrics`] | what is recorded of the process |
//! | `openapi` | the OpenAPI document of this listener |
//! | `readiness` | what a gateway needs to serve |
//! | `refusals` | the answer when the records refuse |
//! | `rooms` | rooms, overrides, figures, the admission log, sessions |
//! | `scrape` | the metrics, for Prometheus |
//! | `state` | what the handlers work with |

mod audit;
pub mod auth;
mod dashboard;
pub mod health;
pub mod metrics;
mod openapi;
mod readiness;
mod refusals;
mod rooms;
mod scrape;
mod state;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{Part, RequestIds};

pub use readiness::{Check, Readiness};
pub use state::{Changes, Figures, OpsState, SeedSource, Sessions};

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
    let recorder = audit::Recorder::new(state.clone(), &extra.described);
    let further = extra
        .router
        .route_layer(from_fn_with_state(recorder, audit::record_changes));
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
        .merge(openapi::router(&document))
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
        .routes(routes!(health::serving))
        .routes(routes!(scrape::render))
}

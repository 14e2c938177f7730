//! The public listener's own paths, all below `/_line/`. Every other path belongs to what the
//! gate protects.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`cookies`] | place and pass cookies |
//! | [`draw`] | the draw document |
//! | [`guard`] | who may act with a fan's cookies |
//! | [`live`] | the WebSocket and the event stream |
//! | [`page`] | the waiting page and its files, for browsers |
//! | [`pass`] | claiming and ending a session; the public keys |
//! | [`place`] | joining, looking, leaving |
//! | [`presented`] | reading place tokens and passes from requests |
//! | [`room`] | the public room document, and the room of a path |

pub mod cookies;
pub mod draw;
mod guard;
pub mod live;
mod openapi;
pub mod page;
pub mod pass;
pub mod place;
pub mod presented;
pub mod room;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::edge::rate_limit::RateLimits;
use crate::line::rooms::RoomSet;
use cookies::CookieForm;

/// What the handlers work with.
#[derive(Clone)]
pub struct LineState {
    /// The rooms.
    pub rooms: RoomSet,
    /// How cookies are written.
    pub cookies: CookieForm,
    /// Limits on calls.
    pub limits: RateLimits,
    /// The policy that pages are sent with.
    pub page_policy: Arc<str>,
    /// Where our own pages are, as `scheme://host:port`.
    pub public_origin: Arc<str>,
}

/// The routes below `/_line/`.
pub fn router(state: LineState) -> Router {
    let joins = Router::new()
        .route("/_line/v1/rooms/{room}/places", post(place::join))
        .route("/_line/rooms/{room}/join", post(page::join))
        .route_layer(state.limits.joins());
    let calls = Router::new()
        .route("/_line/v1/rooms/{room}", get(room::document))
        .route(
            "/_line/v1/rooms/{room}/place",
            get(place::status).delete(place::leave),
        )
        .route("/_line/v1/rooms/{room}/place/live", get(live::live))
        .route(
            "/_line/v1/rooms/{room}/pass",
            post(pass::claim).delete(pass::end),
        )
        .route("/_line/v1/rooms/{room}/draw", get(draw::draw))
        .route("/_line/v1/jwks.json", get(pass::jwks))
        .route("/_line/rooms/{room}", get(page::waiting))
        .route("/_line/rooms/{room}/enter", get(page::enter))
        .route("/_line/rooms/{room}/leave", post(page::leave))
        .route_layer(state.limits.calls());
    let files = Router::new()
        .route("/_line/static/{version}/{*path}", get(page::asset))
        .route("/_line/openapi.json", get(openapi::document));
    joins
        .merge(calls)
        .merge(files)
        .route("/_line", get(web::not_found))
        .route("/_line/", get(web::not_found))
        .route("/_line/{*unknown}", axum::routing::any(web::not_found))
        .layer(DefaultBodyLimit::max(web::BODY_BYTES_MAX))
        .layer(from_fn_with_state(state.clone(), guard::middleware))
        .with_state(state)
}

//! The public listener's own paths, all below `/_line/`. The gate answers every other path.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`auth`] | questions of other proxies |
//! | [`cookies`] | place and pass cookies |
//! | [`crowd`] | the busiest requests, answered without the router |
//! | [`draw`] | the draw document |
//! | [`guard`] | refuses requests of other sites' pages |
//! | [`intake`] | limits on what a client sends over a live connection |
//! | [`known_user`] | entering sites with Queue-it's connectors |
//! | [`limited`] | rate limits by address |
//! | [`live`] | the WebSocket and the event stream |
//! | [`page`] | the waiting page and its files, for browsers |
//! | [`pass`] | claiming and ending a session; the public keys |
//! | [`place`] | joining, reading the status, leaving |
//! | [`presented`] | reading place tokens and passes from requests |
//! | [`problem_page`] | problems as pages, for people |
//! | [`room`] | the public room document, and the room of a path |
//! | [`shells`] | rendered waiting pages of visitors without a place |
//! | [`turn`] | asking to be told of the call |
//! | [`turn_teller`] | the port to what tells it |
//! | [`websocket`] | how a WebSocket begins and ends |

pub mod auth;
pub mod cookies;
pub mod crowd;
pub mod draw;
mod guard;
mod intake;
pub mod known_user;
mod limited;
pub mod live;
mod openapi;
pub mod page;
pub mod pass;
pub mod place;
pub mod presented;
pub mod problem_page;
pub mod room;
pub mod shells;
mod state;
pub mod turn;
pub mod turn_teller;
mod websocket;

use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use axum::{Extension, Router};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use state::LineState;

/// The routes below `/_line/`; `door` answers other proxies. Each handler declares its method and path once, for the router and
/// for the OpenAPI document.
pub fn router(state: LineState, door: auth::Door) -> Router {
    let joins = OpenApiRouter::default()
        .routes(routes!(place::join))
        .routes(routes!(page::join))
        .route_layer(from_fn_with_state(state.clone(), limited::joins));
    let calls = OpenApiRouter::default()
        .routes(routes!(room::document))
        .routes(routes!(place::status, place::leave))
        .routes(routes!(live::live))
        .routes(routes!(pass::claim, pass::end))
        .routes(routes!(draw::draw))
        .routes(routes!(turn::push_key))
        .routes(routes!(turn::notice))
        .routes(routes!(pass::jwks))
        .routes(routes!(pass::proof_jwks))
        .routes(routes!(place::cloudflare_status))
        .routes(routes!(known_user::queue))
        .routes(routes!(known_user::queue_again))
        .routes(routes!(page::waiting))
        .routes(routes!(page::enter))
        .routes(routes!(page::leave))
        .route_layer(from_fn_with_state(state.clone(), limited::calls));
    let files = OpenApiRouter::default()
        .routes(routes!(page::asset))
        .routes(routes!(openapi::document));
    // Not behind the guard: they come with the method and the origin of the request they are about.
    let questions = OpenApiRouter::default()
        .routes(routes!(auth::ask))
        .routes(routes!(auth::ask_by_prefix));
    let (questions, about_questions) = questions.split_for_parts();
    // A wildcard does not match nothing, which is the shop's own home page.
    let questions = questions.route("/_line/v1/auth/", axum::routing::any(auth::ask_by_prefix));
    let (described, mut document) = OpenApiRouter::with_openapi(openapi::Api::openapi())
        .merge(joins)
        .merge(calls)
        .merge(files)
        .split_for_parts();
    document.merge(about_questions);
    described
        .layer(Extension(openapi::description(document)))
        .route("/_line", get(web::not_found))
        .route("/_line/", get(web::not_found))
        .route("/_line/{*unknown}", axum::routing::any(web::not_found))
        .layer(DefaultBodyLimit::max(web::BODY_BYTES_MAX))
        .layer(from_fn(guard::middleware))
        .merge(questions.layer(Extension(door)))
        .with_state(state)
}

#[cfg(test)]
mod tests {
    /// `routes!` adds a path to the router and to the document; `route` adds it to the router only,
    /// so `route` may only answer paths where nothing is served, and the empty rest of a path that is
    /// described.
    #[test]
    fn every_routed_path_is_described() {
        let source = include_str!("mod.rs");
        let code = source.split("#[cfg(test)]").next().unwrap();
        let by_hand: Vec<_> = code
            .lines()
            .filter(|line| line.contains(".route("))
            .collect();
        let (unserved, rests): (Vec<&str>, Vec<&str>) = by_hand
            .into_iter()
            .partition(|line| line.contains("web::not_found"));
        assert_eq!(unserved.len(), 3);
        assert_eq!(rests.len(), 1);
        assert!(rests[0].contains("auth::ask_by_prefix"));
    }
}

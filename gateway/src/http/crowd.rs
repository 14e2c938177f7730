//! The busiest requests at an opening, answered without axum: joins, and the waiting page of
//! visitors without a place.
//!
//! The same limits and checks apply as in the router, which serves everything else on these paths:
//! other methods, other spellings, and the page of a visitor with a place.
//! of these paths: other methods, other spellings, and everyone's own page.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest as _};
use axum::response::{IntoResponse, Response};
use contract::RoomId;
use contract::line::JoinRequest;
use http::request::Parts;
use http::{Method, Request};
use line::room::Room;
use web::measure::{Measure, Route};
use web::{ApiJson, ApiResult};

use super::state::LineState;
use super::{guard, place};
use crate::edge::presented::Presented;

/// Prefix of pages, followed by the room.
const PAGES: &str = "/_line/rooms/";
/// Prefix of the API, followed by the room.
const API: &str = "/_line/v1/rooms/";
/// End of the path of joins.
const PLACES: &str = "/places";

/// Answers the busiest requests.
pub struct Crowd {
    line: LineState,
    joins: Arc<Route>,
    pages: Arc<Route>,
}

/// A request that is answered here.
pub enum Wish {
    /// Join this room.
    Join(Arc<Room>),
    /// A page that is already rendered.
    Page(Response),
}

impl Crowd {
    /// Answers with the state `line`, recording metrics in `measure`.
    pub fn new(line: LineState, measure: &Measure) -> Self {
        Self {
            line,
            joins: measure.route("/_line/v1/rooms/{room}/places"),
            pages: measure.route("/_line/rooms/{room}"),
        }
    }

    /// The wish of a request, if it is answered here.
    pub fn wish(&self, head: &Parts, visitor: &Presented) -> Option<Wish> {
        let path = head.uri.path();
        match head.method {
            Method::POST => {
                let room = path.strip_prefix(API)?.strip_suffix(PLACES)?;
                let room = self.line.rooms.get(&room.parse::<RoomId>().ok()?)?;
                Some(Wish::Join(room))
            }
            Method::GET => {
                path.strip_prefix(PAGES)?;
                let link = head.uri.path_and_query()?.as_str();
                let page = self.line.shells.get(link, visitor, &head.headers)?;
                let counted = self.line.limits.check_call(visitor.client);
                Some(Wish::Page(match counted {
                    Ok(()) => page,
                    Err(refused) => refused.into_response(),
                }))
            }
            _ => None,
        }
    }

    /// Answers a wish.
    pub async fn answer(
        &self,
        wish: Wish,
        head: Parts,
        body: Body,
        visitor: &Presented,
    ) -> (Response, &Arc<Route>) {
        match wish {
            Wish::Page(page) => (page, &self.pages),
            Wish::Join(room) => {
                let joined = self.join(&room, head, body, visitor).await;
                let response = joined.unwrap_or_else(IntoResponse::into_response);
                (response, &self.joins)
            }
        }
    }

    async fn join(
        &self,
        room: &Room,
        head: Parts,
        body: Body,
        visitor: &Presented,
    ) -> ApiResult<Response> {
        guard::check(visitor)?;
        self.line.limits.check_join(visitor.client)?;
        let mut request = Request::from_parts(head, body);
        DefaultBodyLimit::max(web::BODY_BYTES_MAX).apply(&mut request);
        let ApiJson(wish) = ApiJson::<JoinRequest>::from_request(request, &()).await?;
        place::join_room(&self.line, room, visitor, wish).await
    }
}

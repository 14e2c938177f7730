//! The public room document, and the room that a path names.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use contract::line::RoomDocument;
use contract::{Problem, ProblemCode, RoomId};
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use line::room::Room;
use web::{ApiError, ApiPath, ApiResult};

use super::openapi::OfRoom;
use super::state::LineState;
use crate::edge::presented::Presented;

/// The room in the path; 404 if there is none.
pub struct RoomPath(pub Arc<Room>);

impl FromRequestParts<LineState> for RoomPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &LineState) -> ApiResult<Self> {
        let unknown = |_| Problem::new(ProblemCode::RoomNotFound);
        let ApiPath(room) = ApiPath::<RoomId>::from_request_parts(parts, state)
            .await
            .map_err(unknown)?;
        let found = state.rooms.get(&room).map(Self);
        found.ok_or_else(|| Problem::new(ProblemCode::RoomNotFound).into())
    }
}

/// The tokens and claims of the request, read at the edge.
pub struct Shows(pub Arc<Presented>);

impl<S: Send + Sync> FromRequestParts<S> for Shows {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        let read = parts.extensions.get().cloned().map(Self);
        read.ok_or_else(|| ApiError::internal(&"nobody has read what the request presents"))
    }
}

/// Read a room
///
/// The same document for everyone, without cookies, cacheable for a second.
#[utoipa::path(
    get, path = "/_line/v1/rooms/{room}", operation_id = "room", tag = "room",
    params(("room" = RoomId, Path, description = "The room")),
    responses(
        (status = 200, description = "The room, with an `ETag`", body = RoomDocument),
        (status = 304, description = "Not changed since a tag in `If-None-Match`"),
        OfRoom
    )
)]
pub async fn document(RoomPath(room): RoomPath, headers: HeaderMap) -> ApiResult<Response> {
    let (body, etag) = room.document();
    let known = etag
        .to_str()
        .is_ok_and(|etag| web::etag::is_known(&headers, etag));
    // The same for everyone and without cookies, so a page of any site may read it.
    let any = HeaderValue::from_static("*");
    let tags = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, any),
        (ETAG, etag),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=1")),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ];
    Ok(if known {
        (StatusCode::NOT_MODIFIED, tags).into_response()
    } else {
        (tags, body).into_response()
    })
}

/// Marks a response as specific to one visitor, so that no cache stores it.
pub fn private(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The handlers' state extractor.
pub type Line = State<LineState>;

//! Lets pages of other sites, which a room's settings name, read what the gateway answers in place of
//! the shop, and join the line.

use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, VARY,
};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use line::room::Room;
use web::ApiError;

/// Headers of a refusal that a script may want beside its body.
const EXPOSED: HeaderValue = HeaderValue::from_static("retry-after, x-request-id");
/// What the paths of a room take.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE");
/// What a page may send to them beside what every page may.
const FIELDS: HeaderValue = HeaderValue::from_static("authorization, content-type");
/// For how long a browser may remember it, in seconds.
const REMEMBERED: HeaderValue = HeaderValue::from_static("600");
/// Prefix of the paths of rooms, followed by the room.
const OF_ROOMS: &str = "/_line/v1/rooms/";

/// Our own failure to reach what is behind `room`, which pages of its sites have to tell from one of
/// the network.
pub(crate) fn failed(
    error: ApiError,
    room: Option<&Room>,
    origin: Option<&HeaderValue>,
) -> Response {
    let mut response = error.into_response();
    if let Some(room) = room {
        allow(&mut response, room, origin);
    }
    response
}

/// The name of the room that a path of the line belongs to.
pub(crate) fn room_of(path: &str) -> Option<&str> {
    path.strip_prefix(OF_ROOMS)?.split('/').next()
}

/// Whether the room's settings name the origin.
pub(crate) fn allows(room: &Room, origin: &HeaderValue) -> bool {
    let allowed = &room.record().settings.cors_origins;
    allowed.iter().any(|one| *origin == one.as_str())
}

/// The answer to a browser that asks whether a page of `origin` may make a request to a path of
/// `room`; `None` when that is not what it asks, or it may not.
pub(crate) fn preflight(
    head: &Parts,
    room: &Room,
    origin: Option<&HeaderValue>,
) -> Option<Response> {
    let asks = head.method == Method::OPTIONS
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        && origin.is_some_and(|origin| allows(room, origin));
    asks.then(|| {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, FIELDS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, REMEMBERED);
        allow_without_cookies(&mut response, room, origin);
        response
    })
}

/// Lets a page of `origin` read `response`, if the room's settings name the origin.
pub(crate) fn allow(response: &mut Response, room: &Room, origin: Option<&HeaderValue>) {
    if allow_without_cookies(response, room, origin) {
        let yes = HeaderValue::from_static("true");
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    }
}

/// The same for requests without the fan's cookies alone: what belongs to a fan is not read by a page
/// that the fan has only opened. Whether the page may.
pub(crate) fn allow_without_cookies(
    response: &mut Response,
    room: &Room,
    origin: Option<&HeaderValue>,
) -> bool {
    let headers = response.headers_mut();
    let is_for_all = headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN);
    if is_for_all || room.record().settings.cors_origins.is_empty() {
        return false;
    }
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin.filter(|origin| allows(room, origin)) else {
        return false;
    };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    true
}

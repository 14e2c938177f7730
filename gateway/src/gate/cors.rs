//! Lets pages of other sites read what the gateway answers in place of the shop.

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    VARY,
};
use line::room::Room;
use web::ApiError;

/// Headers of a refusal that a script may want beside its body.
const EXPOSED: HeaderValue = HeaderValue::from_static("retry-after, x-request-id");

/// Our own failure to reach what is behind `room`, which pages of its sites have to tell from one of
/// the network.
pub(super) fn failed(
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

/// Lets a page of `origin` read `response`, if the room's settings name the origin.
pub(super) fn allow(response: &mut Response, room: &Room, origin: Option<&HeaderValue>) {
    let record = room.record();
    let allowed = &record.settings.cors_origins;
    if allowed.is_empty() {
        return;
    }
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let is_allowed = |origin: &&HeaderValue| allowed.iter().any(|one| *origin == one.as_str());
    let Some(origin) = origin.filter(is_allowed) else {
        return;
    };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    let yes = HeaderValue::from_static("true");
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

//! Responses that are streams of server-sent events. All streams are built here, so that each has a
//! heartbeat and the headers that keep proxies from buffering.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, HeaderName};

/// Longest time without an event before a heartbeat is sent. Pages close a connection after twice
/// as long.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);

/// Shortest time before a client reconnects after its stream ended.
const RETRY_MIN_MS: u64 = 200;
/// Reconnects are spread over this time, to protect the remaining processes from a rush.
pub const RETRY_SPREAD_MS: u64 = 5_000;

/// The reconnect delay to send to a client; `random_ms` is below [`RETRY_SPREAD_MS`]. Without it
/// all browsers would wait for the same default time.
pub const fn retry(random_ms: u64) -> Duration {
    Duration::from_millis(RETRY_MIN_MS + random_ms % RETRY_SPREAD_MS)
}

/// The header with which nginx and others are told not to buffer a response.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The response that sends `events`, and an event `heartbeat` after each [`HEARTBEAT_EVERY`]
/// without one. A comment would keep proxies from closing the connection, but scripts cannot see
/// comments.
pub fn event_stream(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let heartbeat = Event::default()
        .event("heartbeat")
        .data(r#"{"type":"heartbeat"}"#);
    let alive = KeepAlive::new().interval(HEARTBEAT_EVERY).event(heartbeat);
    let sse = Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(alive);
    let headers = [
        (X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
        // `no-transform` keeps proxies from compressing, which would buffer events.
        (
            CACHE_CONTROL,
            HeaderValue::from_static("no-store, no-transform"),
        ),
    ];
    (headers, sse).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::BodyExt;

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_not_held_back_and_shows_that_it_lives() {
        let events = stream::iter([Event::default().event("status").data("{}")]);
        let answer = event_stream(events.chain(stream::pending()));
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["x-accel-buffering"], "no");
        assert_eq!(answer.headers()["cache-control"], "no-store, no-transform");
        let mut body = answer.into_body();
        let mut seen = String::new();
        for _ in 0..3 {
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            seen.push_str(str::from_utf8(&frame).unwrap());
        }
        let heartbeat = "event: heartbeat\ndata: {\"type\":\"heartbeat\"}\n\n";
        assert_eq!(
            seen,
            format!("event: status\ndata: {{}}\n\n{heartbeat}{heartbeat}")
        );
    }
}

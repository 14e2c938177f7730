//! Answers that are streams of server-sent events. All of ours are made here, so that each reaches
//! the browser as it is written and shows that it lives.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, HeaderName};

/// A connection on which nothing was sent for this long gets a heartbeat. Pages give a connection
/// up after twice as long.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);

/// A listener whose stream ended comes back after this long at least.
const RETRY_MIN_MS: u64 = 200;
/// Returns are spread over this long, so that the other processes are not stormed.
pub const RETRY_SPREAD_MS: u64 = 5_000;

/// After how long a listener comes back; `random_ms` is below [`RETRY_SPREAD_MS`]. Browsers that
/// are not told all wait the same time.
pub const fn retry(random_ms: u64) -> Duration {
    Duration::from_millis(RETRY_MIN_MS + random_ms % RETRY_SPREAD_MS)
}

/// What nginx and others read: pass the answer on at once.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The answer that sends `events`, and an event `heartbeat` whenever there were none for
/// [`HEARTBEAT_EVERY`]. A comment would do for proxies, but scripts do not see comments.
pub fn event_stream(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let heartbeat = Event::default()
        .event("heartbeat")
        .data(r#"{"type":"heartbeat"}"#);
    let alive = KeepAlive::new().interval(HEARTBEAT_EVERY).event(heartbeat);
    let sse = Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(alive);
    let headers = [
        (X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
        // What compresses on the way gathers first.
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

//! The seat map, as a document and live.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use contract::booking::{CompactSeatMap, SeatChanges, SeatMap};
use contract::{Problem, ProblemCode, ShowId};
use futures_util::stream::{self, Stream};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use web::event_stream::{event_stream, retry};
use web::{ApiError, ApiPath, ApiResult};

use super::problems::not_found;
use crate::handle::Booking;
use crate::live::{LiveShow, MapForm};
use crate::telemetry;

/// Reads all seats of a show and their availability.
#[utoipa::path(
    get, path = "/shows/{showId}/seatmap",
    params(("showId" = ShowId, Path, description = "The show")),
    responses(
        (status = 200, body = SeatMap, headers(("ETag", description = "Identifies this version of the map: changes with seats, prices and layout"))),
        (status = 304, description = "It is still the map of If-None-Match",
            headers(("ETag", description = "Identifies this version of the map"))),
        (status = 404, body = Problem),
        (status = 503, body = Problem, description = "database-unavailable")
    )
)]
pub(super) async fn seat_map(
    State(booking): State<Booking>,
    ApiPath(show): ApiPath<ShowId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    map(&booking, &show, MapForm::Full, headers).await
}

/// Reads all seats of a show in a compact form of a few kilobytes, for pages that draw them.
#[utoipa::path(
    get, path = "/shows/{showId}/seatmap/compact",
    params(("showId" = ShowId, Path, description = "The show")),
    responses(
        (status = 200, body = CompactSeatMap, headers(("ETag", description = "Identifies this version of the map: changes with seats, prices and layout"))),
        (status = 304, description = "It is still the map of If-None-Match",
            headers(("ETag", description = "Identifies this version of the map"))),
        (status = 404, body = Problem),
        (status = 503, body = Problem, description = "database-unavailable")
    )
)]
pub(super) async fn seat_map_compact(
    State(booking): State<Booking>,
    ApiPath(show): ApiPath<ShowId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    map(&booking, &show, MapForm::Compact, headers).await
}

/// A map, rendered and compressed outside the threads that serve requests.
async fn map(
    booking: &Booking,
    show: &ShowId,
    form: MapForm,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let show = booking.live(show).await?.ok_or_else(not_found)?;
    if let Some(answer) = map_at_hand(&show, form, &headers) {
        return Ok(answer);
    }
    // The semaphore is never closed. Of the requests that wait here for one map, the first renders
    // it for all.
    let rendering = booking.0.rendering.acquire().await;
    if let Some(answer) = map_at_hand(&show, form, &headers) {
        return Ok(answer);
    }
    let now = booking.0.clock.now();
    let made = tokio::task::spawn_blocking(move || {
        let document = show.map_document(form, now)?;
        Ok::<_, serde_json::Error>(document.answer(&headers))
    });
    let made = made.await.map_err(|error| ApiError::internal(&error))?;
    drop(rendering);
    let answer = made.map_err(|error| ApiError::internal(&error))?;
    Ok(cached(answer))
}

/// A map that is rendered and compressed already.
pub(super) fn map_at_hand(show: &LiveShow, form: MapForm, headers: &HeaderMap) -> Option<Response> {
    let document = show.map_rendered(form)?;
    let is_ready = document.is_ready(headers);
    is_ready.then(|| cached(document.answer(headers)))
}

/// Maps are the same for everyone, and may be one second old.
fn cached(mut response: Response) -> Response {
    let second = HeaderValue::from_static("public, max-age=1");
    response.headers_mut().insert(CACHE_CONTROL, second);
    response
}

/// Streams changes of the seat map as server-sent events. The data of an event `seats` is a
/// `SeatChanges` document; the first names the present version and no change. An event `reload` says
/// that some changes were missed, and an event `heartbeat` that the connection works. Clients skip
/// events with other names.
#[utoipa::path(
    get, path = "/shows/{showId}/seatmap/live",
    params(("showId" = ShowId, Path, description = "The show")),
    responses(
        (status = 200, content_type = "text/event-stream", body = String,
            description = "Server-sent events `seats`, `reload` and `heartbeat`"),
        (status = 404, body = Problem),
        (status = 503, body = Problem, description = "booking-busy, database-unavailable")
    )
)]
pub(super) async fn seat_map_live(
    State(booking): State<Booking>,
    ApiPath(show): ApiPath<ShowId>,
) -> ApiResult<Response> {
    let show = booking.live(&show).await?.ok_or_else(not_found)?;
    let permit = Arc::clone(&booking.0.streams)
        .try_acquire_owned()
        .map_err(|_| ApiError::from(ProblemCode::BookingBusy))?;
    let random = u16::from_le_bytes(booking.0.randomness.bytes());
    let watcher = Watcher::new(
        &show,
        permit,
        booking.0.shutdown.clone(),
        retry(random.into()),
    );
    Ok(event_stream(changes(watcher)))
}

/// A client that watches a map.
struct Watcher {
    first: Option<SeatChanges>,
    changes: Receiver<Arc<SeatChanges>>,
    shutdown: CancellationToken,
    /// The reconnect delay for the client.
    retry: Duration,
    /// Released when the stream is dropped.
    _permit: OwnedSemaphorePermit,
    _gauge: StreamGauge,
}

impl Watcher {
    fn new(
        show: &LiveShow,
        permit: OwnedSemaphorePermit,
        shutdown: CancellationToken,
        retry: Duration,
    ) -> Self {
        // Subscribed before the version is read, so that a change in between is sent twice rather
        // than lost.
        let changes = show.watch();
        let version = show.version();
        Self {
            first: Some(SeatChanges {
                from_version: version,
                version,
                changes: Vec::new(),
            }),
            changes,
            shutdown,
            retry,
            _permit: permit,
            _gauge: StreamGauge::new(),
        }
    }

    async fn next(&mut self) -> Option<Event> {
        if let Some(first) = self.first.take() {
            return event(&first).map(|event| event.retry(self.retry));
        }
        tokio::select! {
            () = self.shutdown.cancelled() => None,
            change = self.changes.recv() => match change {
                Ok(change) => event(&change),
                Err(RecvError::Lagged(_)) => Some(Event::default().event("reload").data("{}")),
                Err(RecvError::Closed) => None,
            },
        }
    }
}

fn event(changes: &SeatChanges) -> Option<Event> {
    Event::default()
        .event("seats")
        .id(changes.version.to_string())
        .json_data(changes)
        .ok()
}

fn changes(watcher: Watcher) -> impl Stream<Item = Event> {
    stream::unfold(watcher, async |mut watcher| {
        let event = watcher.next().await?;
        Some((event, watcher))
    })
}

/// Counts an open stream until dropped.
struct StreamGauge;

impl StreamGauge {
    fn new() -> Self {
        metrics::gauge!(telemetry::SEAT_STREAMS).increment(1.0);
        Self
    }
}

impl Drop for StreamGauge {
    fn drop(&mut self) {
        metrics::gauge!(telemetry::SEAT_STREAMS).decrement(1.0);
    }
}

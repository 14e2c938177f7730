//! The live status: a WebSocket, or server-sent events for those who ask for them.
//!
//! A connection is one task that sleeps until the room's view or its own standing changes, and
//! writes a frame when what the fan would see is different. It keeps a hash of what it sent, not
//! the frame, and small buffers: memory per waiting fan is what limits a gateway.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use contract::line::{PlaceState, ReconnectFrame, StatusDocument};
use contract::{Clock, Problem, ProblemCode, RoomId, Timestamp};
use futures_util::{Stream, stream};
use http::header::ACCEPT;
use metrics::counter;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use web::{ApiError, ApiResult};

use super::openapi::{OfLine, OfLive, OfPlace, OfRoom};
use super::presented;
use super::room::{Line, RoomPath};
use crate::line::room::Room;
use crate::line::sockets::Socket;
use crate::room::place::PlaceToken;
use crate::room::status::RoomView;
use crate::store::{Enter, Standing};
use crate::telemetry;

/// Close code 1012 of RFC 6455's registry: the service restarts, come back.
const SERVICE_RESTART: u16 = 1012;
/// Reconnects are spread over this long, so that the other gateways are not stormed.
const RECONNECT_SPREAD_MS: u64 = 5_000;
/// How long a client may take none of what it is sent.
const SEND_MAX: Duration = Duration::from_secs(10);
/// A peer is asked for a sign of life this often, and given up when it owes one for as long.
const PING_EVERY: Duration = Duration::from_secs(30);
/// Longest message a waiting client may send; it has nothing to say.
const CLIENT_MESSAGE_BYTES_MAX: usize = 1024;
/// Buffers of a WebSocket: frames are a few hundred bytes.
const BUFFER_BYTES: usize = 512;

/// How I stand, now and whenever it changes
///
/// A WebSocket, or server-sent events with `Accept: text/event-stream`. Frames are status
/// documents; a `ReconnectFrame` asks to come back, and then the server closes with 1012.
#[utoipa::path(
    get, path = "/_line/v1/rooms/{room}/place/live", tag = "place",
    params(("room" = RoomId, Path, description = "The room")),
    security(("place" = []), ("placeCookie" = [])),
    responses(
        (status = 101, description = "A WebSocket of `StatusDocument` and `ReconnectFrame`"),
        (
            status = 200,
            description = "The same as server-sent events",
            body = StatusDocument,
            content_type = "text/event-stream"
        ),
        OfRoom, OfLine, OfPlace, OfLive
    )
)]
pub async fn live(
    State(state): Line,
    RoomPath(room): RoomPath,
    request: Request,
) -> ApiResult<Response> {
    let (mut parts, _) = request.into_parts();
    // A WebSocket may be opened by any page, and the frames of a called fan hold the pass.
    super::guard::check(&state, &parts.headers)?;
    let presented = presented::place_required(&room, state.cookies, &parts.headers)?;
    let wants_events = parts
        .headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/event-stream"));
    let token = presented.token;
    if wants_events {
        let connection = Connection::open(room, token).await?;
        let events = Sse::new(events(connection)).keep_alive(KeepAlive::default());
        return Ok(super::room::private(events.into_response()));
    }
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &state).await;
    let upgrade = upgrade.map_err(|rejection| -> ApiError {
        Problem::new(ProblemCode::BadRequest)
            .detail(format!(
                "Ask for a WebSocket or for text/event-stream. {rejection}"
            ))
            .into()
    })?;
    let connection = Connection::open(room, token).await?;
    let tasks = connection.room.parts.tasks.clone();
    Ok(upgrade
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(64 * 1024)
        .max_message_size(CLIENT_MESSAGE_BYTES_MAX)
        .max_frame_size(CLIENT_MESSAGE_BYTES_MAX)
        .on_upgrade(async move |socket| {
            // A task of its own, because the library's is as large as all that it ever held,
            // and a fan may wait for hours. The tracker lets shutdown wait for the goodbye.
            tasks.spawn(serve(socket, connection));
        }))
}

/// One fan's live connection, whatever carries it.
struct Connection {
    room: Arc<Room>,
    token: PlaceToken,
    socket: Arc<Socket>,
    view: watch::Receiver<Arc<RoomView>>,
    /// Hash of what the fan was last shown.
    shown: Option<u64>,
}

/// What comes next on a connection.
enum Next {
    Frame(Box<StatusDocument>),
    Reconnect(ReconnectFrame),
    Gone,
    /// Nothing until the time the caller named.
    Quiet,
}

impl Connection {
    /// Looks how the fan stands, which also marks them as present.
    async fn open(room: Arc<Room>, token: PlaceToken) -> Result<Self, Problem> {
        // First known, then looked after: a call that comes in between is not lost. Should the
        // look fail, dropping the connection takes it back.
        let connection = Self {
            socket: room.sockets.add(token.place, room.key_of(&token)),
            view: room.view_watch(),
            room,
            token,
            shown: None,
        };
        let (room, token) = (&connection.room, &connection.token);
        let standing = room.look(token, Enter::Return, true).await?;
        // A place of no use is refused before the connection is made.
        room.status_of(token, standing, room.parts.clock.now())?;
        connection.socket.standing_found(standing);
        Ok(connection)
    }

    /// Waits until the fan would see something else, or until `quiet_at`.
    async fn next(&mut self, quiet_at: Instant) -> Next {
        loop {
            if let Some(frame) = self.frame() {
                return Next::Frame(frame);
            }
            // One timer for both: a timer is a tenth of what a waiting fan takes.
            let wake_at = self.claim_deadline().min(quiet_at);
            tokio::select! {
                biased;
                () = self.room.stop.cancelled() => return self.farewell(),
                () = self.socket.changed() => {}
                changed = self.view.changed() => if changed.is_err() { return Next::Gone },
                () = tokio::time::sleep_until(wake_at) => {
                    if Instant::now() >= quiet_at {
                        return Next::Quiet;
                    }
                }
            }
        }
    }

    /// What a fan is told when the room stops: the end of the process ends every room, and asks
    /// for a reconnect.
    fn farewell(&self) -> Next {
        if self.room.parts.stop.is_cancelled() {
            Next::Reconnect(self.reconnect())
        } else {
            Next::Gone
        }
    }

    /// When a call that is not claimed turns into a missed one, which nobody tells us.
    fn claim_deadline(&self) -> Instant {
        let far = Duration::from_hours(1);
        let wait = match self.socket.standing() {
            Standing::Called { claim_by, .. } => {
                let now = self.room.parts.clock.now();
                if claim_by > now {
                    claim_by.since(now)
                } else {
                    far
                }
            }
            _ => far,
        };
        Instant::now() + wait
    }

    fn frame(&mut self) -> Option<Box<StatusDocument>> {
        let now = self.room.parts.clock.now();
        let standing = self.socket.standing();
        let mut status = self.room.status_of(&self.token, standing, now).ok()?;
        let seen = seen_hash(&status);
        if self.shown == Some(seen) {
            return None;
        }
        self.shown = Some(seen);
        status.pass = self
            .room
            .pass_for_call(self.token.place, standing, now)
            .map(|pass| pass.grant);
        counter!(telemetry::FRAMES).increment(1);
        Some(Box::new(status))
    }

    fn reconnect(&self) -> ReconnectFrame {
        let after_ms = 200 + self.room.parts.randomness.below(RECONNECT_SPREAD_MS);
        ReconnectFrame {
            kind: "reconnect".to_owned(),
            after_ms,
        }
    }
}

impl Drop for Connection {
    /// The last connection of a place that closes makes the place absent.
    fn drop(&mut self) {
        if self.room.sockets.remove(&self.socket) {
            self.room.absences.note(self.token.place);
        }
    }
}

/// What the fan sees of a status: all but when the numbers were taken. Exact positions far back
/// change with every call; the page rounds them, so small changes there are not worth a frame.
fn seen_hash(status: &StatusDocument) -> u64 {
    let mut hasher = DefaultHasher::new();
    (status.phase, status.state, status.queue_number).hash(&mut hasher);
    if matches!(status.state, PlaceState::Prequeue | PlaceState::Waiting) {
        // Whoever does not stand in the line any more is not shown how it moves.
        let ahead = status
            .users_ahead
            .map(|ahead| rounded(ahead, status.users_ahead_exact));
        let wait = status
            .estimated_wait
            .map(|wait| (wait.p50_seconds / 5, wait.p90_seconds / 5));
        (ahead, rounded(status.users_in_line, false), wait).hash(&mut hasher);
    }
    status.claim_by.map(Timestamp::as_ms).hash(&mut hasher);
    (&status.message, &status.paused_reason).hash(&mut hasher);
    let remaining = status.stock.remaining.map(|n| rounded(n, false));
    (status.stock.level, status.stock.outlook, remaining).hash(&mut hasher);
    hasher.finish()
}

/// Two significant digits when the number is not exact, as the page shows it.
fn rounded(n: u64, exact: bool) -> u64 {
    if exact || n < 100 {
        return n;
    }
    let step = 10u64.pow(n.ilog10().saturating_sub(1));
    n / step * step
}

#[expect(
    clippy::manual_async_fn,
    reason = "an async fn keeps its arguments twice, and this one runs once for every waiting fan"
)]
fn serve(mut socket: WebSocket, mut connection: Connection) -> impl Future<Output = ()> + Send {
    async move { serve_on(&mut socket, &mut connection).await }
}

async fn serve_on(socket: &mut WebSocket, connection: &mut Connection) {
    let mut heard = true;
    let mut ping_at = Instant::now() + PING_EVERY;
    loop {
        let sent = tokio::select! {
            next = connection.next(ping_at) => match next {
                Next::Frame(status) => send(socket, json(&status)).await,
                Next::Reconnect(frame) => {
                    let _gone = send(socket, json(&frame)).await;
                    return close(socket).await;
                }
                Next::Gone => return close(socket).await,
                Next::Quiet if !heard => return,
                Next::Quiet => {
                    // Asked whether or not frames were sent meanwhile: that the kernel took them
                    // does not show that anyone is there.
                    heard = false;
                    ping_at = Instant::now() + PING_EVERY;
                    send(socket, Message::Ping(axum::body::Bytes::new())).await
                }
            },
            received = socket.recv() => match received {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                // Pings are answered by the library; anything else a client says is ignored.
                Some(Ok(_)) => {
                    heard = true;
                    true
                }
            },
        };
        if !sent {
            return;
        }
    }
}

fn json(frame: &impl serde::Serialize) -> Message {
    // Frames are made of strings and numbers.
    Message::text(serde_json::to_string(frame).unwrap_or_default())
}

async fn send(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(SEND_MAX, socket.send(message)).await, Ok(Ok(())))
}

async fn close(socket: &mut WebSocket) {
    let frame = CloseFrame {
        code: SERVICE_RESTART,
        reason: "service restart".into(),
    };
    // The client may be gone already.
    let _gone = send(socket, Message::Close(Some(frame))).await;
}

fn events(connection: Connection) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(Some(connection), async |connection| {
        let mut connection = connection?;
        loop {
            // The stream keeps itself alive: nothing is due in the quiet.
            match connection.next(Instant::now() + PING_EVERY).await {
                Next::Frame(status) => {
                    return Some((Ok(event("status", &*status)), Some(connection)));
                }
                Next::Reconnect(frame) => return Some((Ok(event("reconnect", &frame)), None)),
                Next::Gone => return None,
                Next::Quiet => {}
            }
        }
    })
}

fn event(name: &str, frame: &impl serde::Serialize) -> Event {
    Event::default()
        .event(name)
        .data(serde_json::to_string(frame).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounded up from what it is; the rest of the 4 KiB that a fan may take is buffers, the
    /// socket, and what the line knows of the fan.
    const TASK_BYTES_MAX: usize = 1280;

    fn size_of_task<F>(_: impl FnOnce(WebSocket, Connection) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_waiting_fans_task_is_small() {
        let parts = size_of::<WebSocket>() + size_of::<Connection>();
        let task = size_of_task(serve);
        assert!(
            task <= TASK_BYTES_MAX,
            "{task} bytes, {parts} of them what it serves"
        );
    }

    fn status(state: PlaceState) -> StatusDocument {
        StatusDocument {
            state,
            ..serde_json::from_value(serde_json::json!({
                "type": "status", "room": "eras", "phase": "queueing", "state": "waiting",
                "queueNumber": 7, "usersAhead": 5, "usersAheadExact": true, "usersInLine": 90,
                "estimatedWait": {"p50Seconds": 60, "p90Seconds": 90}, "progress": 0.5,
                "claimBy": null, "stock": {"level": "low", "remaining": 12, "outlook": "likely"},
                "message": null, "pausedReason": null,
                "updatedAt": "2026-11-22T10:00:00.000Z", "pollAfterMs": 5000
            }))
            .unwrap()
        }
    }

    fn is_worth_a_frame(state: PlaceState, change: impl FnOnce(&mut StatusDocument)) -> bool {
        let before = status(state);
        let mut after = before.clone();
        change(&mut after);
        seen_hash(&before) != seen_hash(&after)
    }

    #[test]
    fn a_frame_is_sent_for_what_the_fan_sees() {
        use PlaceState::{Called, Waiting};
        for (state, is_seen) in [(Waiting, true), (Called, false)] {
            assert_eq!(is_worth_a_frame(state, |s| s.users_in_line = 89), is_seen);
            assert_eq!(
                is_worth_a_frame(state, |s| s.users_ahead = Some(4)),
                is_seen
            );
            assert_eq!(
                is_worth_a_frame(state, |s| s.estimated_wait = None),
                is_seen
            );
            assert!(is_worth_a_frame(state, |s| s.stock.remaining = Some(11)));
            assert!(is_worth_a_frame(state, |s| s.message = Some("Soon".to_owned())));
            assert!(is_worth_a_frame(state, |s| s.claim_by = Some(s.updated_at)));
            assert!(!is_worth_a_frame(state, |s| s.updated_at = Timestamp::from_ms(1)));
        }
    }

    #[test]
    fn numbers_are_rounded_as_the_page_shows_them() {
        for (n, exact, shown) in [
            (7, true, 7),
            (1234, true, 1234),
            (99, false, 99),
            (1234, false, 1200),
            (98_765, false, 98_000),
        ] {
            assert_eq!(rounded(n, exact), shown);
        }
    }
}

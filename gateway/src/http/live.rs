//! The live status: a WebSocket, or server-sent events for clients that accept them.
//!
//! A connection is one task that sleeps until what the fan sees changes, and then writes a frame. It
//! keeps a hash of the last frame instead of the frame, and small buffers, because the memory per
//! waiting fan limits how many fans a gateway can serve.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use contract::line::{HeartbeatFrame, ReconnectFrame, StatusDocument};
use contract::{Clock, Problem, ProblemCode, RoomId};
use futures_util::{SinkExt, Stream, StreamExt, stream};
use http::Method;
use http::header::ACCEPT;
use line::policy::place::PlaceToken;
use line::room::Room;
use line::sockets::Socket;
use line::store::{Enter, Standing};
use metrics::counter;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use web::ApiResult;
use web::event_stream::{HEARTBEAT_EVERY, RETRY_SPREAD_MS, event_stream, retry};

use super::openapi::{OfLine, OfLive, OfPlace, OfRoom};
use super::place::renewed_cookie;
use super::presented;
use super::room::{Line, RoomPath, Shows};
use super::websocket::{self, End, Handshake, Refusal, WebSocket};
use crate::edge::telemetry::RATE_LIMITED_TOTAL;

/// Longest time that a client may read nothing of a frame.
const SEND_MAX: Duration = Duration::from_secs(10);
/// A client is pinged this often; if it has sent nothing by the next ping, it counts as gone.
const PING_EVERY: Duration = Duration::from_secs(30);

/// Follow the status of a place
///
/// A WebSocket, or server-sent events with `Accept: text/event-stream`. The frames are status
/// documents, the first at once and the next when the status changes. A `HeartbeatFrame` is sent
/// when nothing else was for five seconds, and in answer to any text that the client sends. A
/// `ReconnectFrame` asks the client to connect again, and then the server closes with 1012. Clients skip types that they do not know. A client that sends more than 100 frames or
/// 16 KiB within ten seconds is closed with 1008.
#[utoipa::path(
    get, path = "/_line/v1/rooms/{room}/place/live", tag = "place",
    params(("room" = RoomId, Path, description = "The room")),
    security(("place" = []), ("placeCookie" = [])),
    responses(
        (status = 101, description = "A WebSocket of `StatusDocument`, `HeartbeatFrame` and `ReconnectFrame`"),
        (
            status = 200,
            description = "The same frames as the data of server-sent events, which are named \
                `status`, `heartbeat` and `reconnect`",
            body = String,
            content_type = "text/event-stream"
        ),
        OfRoom, OfLine, OfPlace, OfLive
    )
)]
pub async fn live(
    State(state): Line,
    RoomPath(room): RoomPath,
    Shows(visitor): Shows,
    request: Request,
) -> ApiResult<Response> {
    let (mut parts, _) = request.into_parts();
    // Any page may open a WebSocket, and the frames of a called fan contain the pass.
    super::guard::check(&visitor)?;
    // The handshake is checked before the place, so that a malformed one is refused with or without
    // it.
    let handshake = match Handshake::of(&mut parts) {
        Ok(handshake) => handshake,
        Err(refusal) => return Ok(refusal.into_response()),
    };
    let presented = presented::place_required(&room, &visitor)?;
    let wants_events = parts
        .headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/event-stream"));
    if handshake.is_none() && !wants_events {
        return Ok(Refusal::Malformed(websocket::ASK).into_response());
    }
    if parts.method == Method::HEAD {
        // A HEAD request opens no connection, so it does not mark the fan as present.
        let standing = room.look(&presented.token, Enter::Look, false).await?;
        room.status_of(&presented.token, standing, room.parts.clock.now())?;
        return Ok(event_stream(stream::empty()));
    }
    let cookie = renewed_cookie(&state, &room, &presented);
    let connections_max = state.connections_per_place_max;
    let connection = Connection::open(room, presented.token, connections_max).await?;
    let Some(handshake) = handshake else {
        return Ok((cookie, event_stream(events(connection))).into_response());
    };
    // Tracked, so that shutdown waits for the reconnect frame.
    let tasks = connection.room.parts.tasks.clone();
    let accepted = handshake.accept(&tasks, |socket| serve(socket, connection));
    Ok((cookie, accepted).into_response())
}

/// One fan's live connection, as a WebSocket or an event stream.
struct Connection {
    room: Arc<Room>,
    token: PlaceToken,
    socket: Arc<Socket>,
}

/// The next step of a connection.
enum Next {
    Frame(Box<StatusDocument>),
    Reconnect(ReconnectFrame),
    Gone,
    /// Nothing happened until the time that the caller set.
    Quiet,
}

impl Connection {
    /// Reads the fan's standing, which also marks the fan as present.
    async fn open(
        room: Arc<Room>,
        token: PlaceToken,
        connections_max: usize,
    ) -> Result<Self, Problem> {
        let socket = room.connect(&token, connections_max);
        let socket = socket.ok_or_else(|| {
            counter!(RATE_LIMITED_TOTAL, "limit" => "connections").increment(1);
            Problem::new(ProblemCode::RateLimited).detail(
                "This place has as many connections as one may have. Close other tabs of the line.",
            )
        })?;
        // Registered before the standing is read, so that a call in between is not lost. If the
        // read fails, dropping the connection unregisters it.
        let connection = Self {
            room,
            token,
            socket,
        };
        let (room, token) = (&connection.room, &connection.token);
        let standing = room.look(token, Enter::Return, true).await?;
        // A place that is not valid is refused before the connection is upgraded.
        room.status_of(token, standing, room.parts.clock.now())?;
        connection.socket.standing_found(standing);
        Ok(connection)
    }

    /// Waits until the visible status changes, or until `quiet_at`.
    async fn next(&self, quiet_at: Instant) -> Next {
        loop {
            // Whoever stops the room wakes its connections afterwards.
            if self.room.stop.is_cancelled() {
                return self.farewell();
            }
            if let Some(frame) = self.frame() {
                return Next::Frame(frame);
            }
            // One timer for both deadlines: a timer is a tenth of the memory of a waiting fan.
            let wake_at = self.claim_deadline().min(quiet_at);
            tokio::select! {
                biased;
                () = self.socket.changed() => {}
                () = tokio::time::sleep_until(wake_at) => {
                    if Instant::now() >= quiet_at {
                        return Next::Quiet;
                    }
                }
            }
        }
    }

    /// The last step when the room stops: a reconnect frame if the process ends, nothing if only
    /// the room does.
    fn farewell(&self) -> Next {
        if self.room.parts.stop.is_cancelled() {
            Next::Reconnect(self.reconnect())
        } else {
            Next::Gone
        }
    }

    /// The deadline of an unclaimed call. No notice is sent when a call becomes missed.
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

    fn frame(&self) -> Option<Box<StatusDocument>> {
        let now = self.room.parts.clock.now();
        let standing = self.socket.standing();
        let news = self.room.news(&self.token, &self.socket, standing, now);
        let mut status = news?;
        status.pass = self
            .room
            .pass_for_call(self.token.place, standing, now)
            .map(|pass| pass.grant);
        self.room.meters.frames.increment(1);
        Some(Box::new(status))
    }

    fn reconnect(&self) -> ReconnectFrame {
        let after = retry(self.room.parts.randomness.below(RETRY_SPREAD_MS));
        ReconnectFrame {
            kind: "reconnect".to_owned(),
            after_ms: u64::try_from(after.as_millis()).unwrap_or(RETRY_SPREAD_MS),
        }
    }
}

impl Drop for Connection {
    /// Closing the last connection of a place marks the place as absent.
    fn drop(&mut self) {
        if self.room.sockets.remove(&self.socket) {
            self.room.absence_note(self.token.place);
        }
    }
}

#[expect(
    clippy::manual_async_fn,
    reason = "an async fn keeps its arguments twice, and this one runs once for every waiting fan"
)]
fn serve(mut socket: WebSocket, connection: Connection) -> impl Future<Output = ()> + Send {
    async move {
        let how = serve_on(&mut socket, &connection).await;
        // Dropped before the close handshake: the fan counts as absent from now on.
        drop(connection);
        Box::pin(websocket::end(socket, how)).await;
    }
}

async fn serve_on(socket: &mut WebSocket, connection: &Connection) -> End {
    let mut heard = true;
    let mut ping_at = Instant::now() + PING_EVERY;
    let mut beat_at = Instant::now() + HEARTBEAT_EVERY;
    loop {
        let message = tokio::select! {
            next = connection.next(ping_at.min(beat_at)) => match next {
                Next::Frame(status) => json(&*status),
                Next::Reconnect(frame) => {
                    let _gone = send(socket, json(&frame)).await;
                    return GOODBYE;
                }
                Next::Gone => return GOODBYE,
                // Pinged even if frames were sent meanwhile: that the kernel took them does not
                // show that the client is there.
                Next::Quiet if Instant::now() >= ping_at => {
                    if !std::mem::take(&mut heard) {
                        return End::Lost;
                    }
                    ping_at = Instant::now() + PING_EVERY;
                    Message::Ping(bytes::Bytes::new())
                }
                Next::Quiet => json(&HeartbeatFrame::default()),
            },
            received = socket.next() => match received {
                Some(Ok(Message::Close(_))) => return End::Answer,
                Some(Ok(_)) if socket.get_mut().is_one_too_many() => return End::FLOODED,
                Some(Ok(message)) => {
                    heard = true;
                    // A text from the client asks for a heartbeat in answer. The library answers
                    // pings.
                    if !message.is_text() {
                        continue;
                    }
                    json(&HeartbeatFrame::default())
                }
                Some(Err(error)) => return End::after(&error, socket),
                None => return End::Lost,
            },
        };
        // Pages do not see pings, so a ping does not postpone the heartbeat.
        if !message.is_ping() {
            beat_at = Instant::now() + HEARTBEAT_EVERY;
        }
        if !send(socket, message).await {
            return End::Lost;
        }
    }
}

/// The end of a connection when the room or the process stops.
const GOODBYE: End = End::Close(CloseCode::Restart, "service restart");

fn json(frame: &impl serde::Serialize) -> Message {
    // Serialisation cannot fail: a frame contains only strings and numbers.
    Message::text(serde_json::to_string(frame).unwrap_or_default())
}

async fn send(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(SEND_MAX, socket.send(message)).await, Ok(Ok(())))
}

fn events(connection: Connection) -> impl Stream<Item = Event> {
    // Sent at the beginning too: a gateway that is killed sends no last frame, and without a retry
    // time all browsers would reconnect after the same default.
    let retry = Duration::from_millis(connection.reconnect().after_ms);
    stream::unfold(Some((connection, Some(retry))), async |state| {
        let (connection, retry) = state?;
        loop {
            // The event stream sends heartbeats itself, so nothing is due after a quiet period.
            match connection.next(Instant::now() + PING_EVERY).await {
                Next::Frame(status) => {
                    let event = event("status", &*status);
                    let event = match retry {
                        Some(retry) => event.retry(retry),
                        None => event,
                    };
                    return Some((event, Some((connection, None))));
                }
                Next::Reconnect(frame) => {
                    let retry = Duration::from_millis(frame.after_ms);
                    return Some((event("reconnect", &frame).retry(retry), None));
                }
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

    /// The measured size, rounded up. The rest of the 4 KiB per fan is buffers, the socket, and the
    /// line's state of the fan.
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
}

//! Waiting for the call, over a socket or by polling.

use std::time::Duration;

use contract::line::{ReconnectFrame, StatusDocument};
use reqwest::StatusCode;
use serde::Deserialize;
use tokio::time::Instant;

use crate::fan::{Fan, Sight};
use crate::line::{Frame, LiveSocket, SocketRefusal};
use crate::measurements::Step;
use crate::patience::{jitter, pause};
use crate::plan::Presence;

/// Shortest and longest time between polls, whatever the server says.
const POLL_MIN: Duration = Duration::from_millis(100);
const POLL_MAX: Duration = Duration::from_mins(2);
/// The longest reconnect delay that is believed.
const RECONNECT_MAX: Duration = Duration::from_mins(2);
/// Silence after which a connection counts as dead, as on the waiting page. The server sends a
/// heartbeat after half of it.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Time before the first poll when the join did not say.
const POLL_FIRST: Duration = Duration::from_secs(1);

/// How waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitEnd {
    /// It is the fan's turn.
    Called,
    /// The fan lost patience.
    Impatient,
    /// Nothing to wait for, or the run is over.
    Over,
}

/// A frame, by its `type`.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Kind {
    Status,
    Reconnect,
    Heartbeat,
}

/// Waits as the fan's plan says, until called, out of patience, or stopped.
pub(crate) async fn wait(fan: &mut Fan<'_>, token: &str) -> WaitEnd {
    let stop = fan.world.stop.clone();
    let patience = fan.plan.patience;
    let presence = fan.plan.presence;
    let waiting = async {
        match presence {
            Presence::Socket => on_socket(fan, token).await,
            Presence::Poll | Presence::Drift => by_polling(fan, token).await,
        }
    };
    let impatient = async {
        match patience {
            Some(span) => tokio::time::sleep(span).await,
            None => std::future::pending().await,
        }
    };
    let end = tokio::select! {
        // A call that arrives together with the end of patience is followed.
        biased;
        end = waiting => end,
        () = impatient => WaitEnd::Impatient,
        () = stop.cancelled() => WaitEnd::Over,
    };
    if end == WaitEnd::Over {
        // Nobody listens any more: calls from now on will be missed.
        fan.record.goes_away(fan.world.clock.now());
    }
    end
}

async fn on_socket(fan: &mut Fan<'_>, token: &str) -> WaitEnd {
    let world = fan.world;
    let mut first_sight = Some(Instant::now());
    let mut attempt = 0;
    loop {
        let rest = match world
            .line
            .watch(&world.caller, fan.plan.number, token)
            .await
        {
            Ok(socket) => {
                fan.record.comes_back(world.clock.now());
                let _open = world.tally.socket_opened();
                attempt = 0;
                match watch(fan, socket, &mut first_sight).await {
                    Watched::Ended(end) => return end,
                    Watched::ComeBack(after) => jitter(after, &mut fan.rng),
                    Watched::Broken => pause(0, None, &mut fan.rng),
                    Watched::Silent => {
                        fan.record.goes_away(world.clock.now().minus(SILENCE_MAX));
                        Duration::ZERO
                    }
                }
            }
            Err(SocketRefusal::Status(status)) if is_final(status) => {
                let code = format!("socket-http-{status}");
                world.measurements.code(Step::FirstStatus, &code);
                fan.record.turned_away = Some(code);
                return WaitEnd::Over;
            }
            Err(refusal) => {
                let code = match refusal {
                    SocketRefusal::Status(status) => format!("socket-http-{status}"),
                    SocketRefusal::Unreachable => "socket-unreachable".to_owned(),
                };
                world.measurements.code(Step::FirstStatus, &code);
                attempt += 1;
                pause(attempt, None, &mut fan.rng)
            }
        };
        fan.record.goes_away(world.clock.now());
        tokio::time::sleep(rest).await;
    }
}

fn is_final(status: u16) -> bool {
    matches!(status, 400..=428 | 430..=499)
}

/// How a socket ended.
enum Watched {
    Ended(WaitEnd),
    ComeBack(Duration),
    Broken,
    Silent,
}

async fn watch(
    fan: &mut Fan<'_>,
    mut socket: LiveSocket,
    first_sight: &mut Option<Instant>,
) -> Watched {
    let world = fan.world;
    let mut come_back = None;
    loop {
        let text = match tokio::time::timeout(SILENCE_MAX, socket.next()).await {
            Ok(Frame::Text(text)) => text,
            Ok(Frame::Closed) => return come_back.map_or(Watched::Broken, Watched::ComeBack),
            Err(_) => {
                world.measurements.code(Step::PushDelay, "socket-silent");
                return Watched::Silent;
            }
        };
        match serde_json::from_str(&text) {
            Ok(Kind::Status) => {}
            Ok(Kind::Heartbeat) => continue,
            Ok(Kind::Reconnect) => {
                // The server closes next; its close is awaited so that it sees an orderly end.
                let after =
                    serde_json::from_str::<ReconnectFrame>(&text).map_or(0, |it| it.after_ms);
                come_back = Some(Duration::from_millis(after).min(RECONNECT_MAX));
                continue;
            }
            Err(_) => {
                world.measurements.code(Step::PushDelay, "frame-unknown");
                continue;
            }
        }
        let Ok(document) = serde_json::from_str::<StatusDocument>(&text) else {
            world.measurements.code(Step::PushDelay, "frame-unreadable");
            continue;
        };
        if let Some(from) = first_sight.take() {
            let span = from.elapsed();
            world.measurements.latency(Step::FirstStatus, span);
        } else {
            let delay = world.clock.now().since(document.updated_at);
            world.measurements.latency(Step::PushDelay, delay);
        }
        let end = match fan.sees(&document) {
            Sight::Wait => continue,
            Sight::Called => WaitEnd::Called,
            Sight::Over => WaitEnd::Over,
        };
        socket.close().await;
        return Watched::Ended(end);
    }
}

async fn by_polling(fan: &mut Fan<'_>, token: &str) -> WaitEnd {
    let world = fan.world;
    let mut first_sight = Some(Instant::now());
    let mut attempt = 0;
    // The first look is at once, as a browser's would be.
    let mut rest = Duration::ZERO;
    loop {
        tokio::time::sleep(rest).await;
        let intended = Instant::now();
        let answer = world
            .line
            .status(&world.caller, fan.plan.number, token)
            .await;
        rest = match answer {
            Ok(answer) if answer.status == StatusCode::OK => {
                attempt = 0;
                world.measurements.latency(Step::Poll, intended.elapsed());
                if let Some(from) = first_sight.take() {
                    world
                        .measurements
                        .latency(Step::FirstStatus, from.elapsed());
                }
                let Ok(document) = answer.json::<StatusDocument>() else {
                    world.measurements.code(Step::Poll, "answer-unreadable");
                    rest = POLL_FIRST;
                    continue;
                };
                fan.record.comes_back(world.clock.now());
                match fan.sees(&document) {
                    Sight::Wait => {}
                    Sight::Called => return WaitEnd::Called,
                    Sight::Over => return WaitEnd::Over,
                }
                let after = Duration::from_millis(document.poll_after_ms);
                jitter(after.clamp(POLL_MIN, POLL_MAX), &mut fan.rng)
            }
            Ok(answer) if answer.is_busy() => {
                attempt += 1;
                if answer.status.is_server_error() {
                    fan.record.goes_away(world.clock.now());
                }
                pause(attempt, answer.retry_after, &mut fan.rng)
            }
            Ok(answer) => {
                fan.record.turned_away = Some(answer.code());
                return WaitEnd::Over;
            }
            Err(_) => {
                attempt += 1;
                fan.record.goes_away(world.clock.now());
                pause(attempt, None, &mut fan.rng)
            }
        };
    }
}

//! Memory per waiting socket, and the time from a call to its frame.
//!
//! A crowd of fans joins, opens sockets and waits in a room that moves slowly. What the gateway
//! has grown by, all in all, is divided by the sockets. Bare WebSockets on the same library, with
//! small and with default buffers, are measured in the same way. Then the room calls fans at a
//! fair rate, with the whole crowd watching, and every called fan notes when the frame came.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use contract::line::StatusDocument;
use contract::pass::PassClaims;
use contract::room::RoomSettings;
use contract::{Clock, PlaceId, RoomId, SystemClock, Timestamp};
use data_encoding::BASE64URL_NOPAD;
use futures_util::StreamExt;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::bare::{Bare, BareSizes};
use crate::gateway::{Gateway, nonce, quiet_room};
use crate::http1::{Connection, post_json};
use crate::pace::Latencies;
use crate::processes::resident_bytes;
use crate::report::{Memory, Report, progress};
use crate::stage::Stage;

/// Sockets of a crowd: what fits, twice, into the 20,000 open files that are common for a process.
const SOCKETS: u32 = 8000;
/// With default buffers a crowd takes sixteen times the memory.
const DEFAULT_BUFFER_SOCKETS: u32 = 1000;
/// Sockets that come and go first, so that what is needed once is there already.
const WARM_UP_SOCKETS: u32 = 200;
/// Sockets that are opened at the same time.
const OPENING_MAX: usize = 64;
/// How long a crowd may take until everyone has a frame.
const GATHER_MAX: Duration = Duration::from_mins(1);
/// Connections that join.
const JOINERS: u32 = 16;

/// Memory counts once it has changed by less than this share for three seconds.
const SETTLED_SHARE: u64 = 500;
const SETTLED_SECONDS: u32 = 3;
const SETTLE_SECONDS_MAX: u32 = 20;

/// While memory is measured, one fan is called every ten seconds.
const SLOW_PER_MINUTE: u64 = 6;
/// While calls are timed.
const CALLS_PER_MINUTE: u64 = 6000;
const CALLS_LAST: Duration = Duration::from_secs(10);

/// Measures sockets.
pub(crate) async fn measure(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let gateway = stage.gateway().await?;
    let settings = RoomSettings {
        new_users_per_minute: SLOW_PER_MINUTE,
        total_active_users: 10_000,
        ..quiet_room(&"bench-sockets".parse()?)?
    };
    gateway.room_open(&settings).await?;
    progress(&format!("sockets: {SOCKETS} fans"));
    let (memory, mut crowd) = gateway_memory(&gateway, &settings.room).await?;
    let frame_bytes = crowd.frame_bytes();
    report.memory(memory);
    let calls = call_latency(&gateway, &settings, &mut crowd).await?;
    report.call_latency(&calls.from_decision, &calls.from_publication);
    crowd.leave().await;
    gateway.room_delete(&settings.room).await?;
    gateway.stop().await;
    for (name, path, count) in [
        ("bare axum, small buffers", "/live/small", SOCKETS),
        (
            "bare axum, default buffers",
            "/live/default",
            DEFAULT_BUFFER_SOCKETS,
        ),
    ] {
        report.memory(bare_memory(stage, name, path, count, frame_bytes).await?);
    }
    Ok(())
}

async fn gateway_memory(gateway: &Gateway, room: &RoomId) -> anyhow::Result<(Memory, Crowd)> {
    let path = format!("/_line/v1/rooms/{room}/place/live");
    let gather = async |from: u32, count: u32| {
        let places = join_all(gateway.address, room, from, count).await?;
        Crowd::gather(gateway.address, &path, places).await
    };
    gather(SOCKETS, WARM_UP_SOCKETS).await?.leave().await;
    let before = settled_bytes(gateway.pid()).await?;
    let crowd = gather(0, SOCKETS).await?;
    let after = settled_bytes(gateway.pid()).await?;
    let memory = Memory::new("gateway", SOCKETS, before, after);
    Ok((memory, crowd))
}

async fn bare_memory(
    stage: &Stage,
    name: &'static str,
    path: &str,
    count: u32,
    frame_bytes: usize,
) -> anyhow::Result<Memory> {
    let sizes = BareSizes {
        frame: frame_bytes,
        ..BareSizes::default()
    };
    let bare = Bare::start(sizes, stage.dir()).await?;
    let nobodies = |count: u32| (0..count).map(|_| String::new()).collect();
    let warm_up = Crowd::gather(bare.address, path, nobodies(WARM_UP_SOCKETS)).await?;
    warm_up.leave().await;
    let before = settled_bytes(bare.pid()).await?;
    let crowd = Crowd::gather(bare.address, path, nobodies(count)).await?;
    let after = settled_bytes(bare.pid()).await?;
    crowd.leave().await;
    bare.stop().await;
    Ok(Memory::new(name, count, before, after))
}

/// The memory of a process once it does not change any more.
async fn settled_bytes(pid: u32) -> anyhow::Result<u64> {
    let mut bytes = resident_bytes(pid)?;
    let mut still = 0;
    for _ in 0..SETTLE_SECONDS_MAX {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = resident_bytes(pid)?;
        still = if now.abs_diff(bytes) < bytes / SETTLED_SHARE {
            still + 1
        } else {
            0
        };
        bytes = now;
        if still == SETTLED_SECONDS {
            break;
        }
    }
    Ok(bytes)
}

/// Lets fans number `from` and on join, and gives their place tokens.
async fn join_all(
    address: SocketAddr,
    room: &RoomId,
    from: u32,
    count: u32,
) -> anyhow::Result<Vec<String>> {
    let path = format!("/_line/v1/rooms/{room}/places");
    let mut joiners = JoinSet::new();
    for joiner in 0..JOINERS {
        let path = path.clone();
        let fans = (from + joiner..from + count).step_by(JOINERS as usize);
        joiners.spawn_blocking(move || join_each(address, &path, fans));
    }
    let mut places = Vec::new();
    while let Some(joined) = joiners.join_next().await {
        places.extend(joined??);
    }
    Ok(places)
}

fn join_each(
    address: SocketAddr,
    path: &str,
    fans: impl Iterator<Item = u32>,
) -> anyhow::Result<Vec<String>> {
    let mut connection = Connection::open(address)?;
    let mut places = Vec::new();
    for fan in fans {
        let body = format!(r#"{{"nonce":"{}"}}"#, nonce(u64::from(fan)));
        let answer = connection.call(&post_json(address, path, &body))?;
        let document: StatusDocument = serde_json::from_slice(answer.body)
            .with_context(|| format!("a join was answered {}", answer.status))?;
        places.push(document.place.context("a join without a place")?);
    }
    Ok(places)
}

/// Open sockets.
struct Crowd {
    sockets: JoinSet<anyhow::Result<()>>,
    called: mpsc::Receiver<CalledFrame>,
    noticed: Arc<Noticed>,
}

/// What all sockets of a crowd note together.
#[derive(Default)]
struct Noticed {
    /// Sockets that have a frame.
    greeted: AtomicU64,
    /// Bytes of the first frames.
    frame_bytes: AtomicU64,
}

/// A frame that calls a fan.
struct CalledFrame {
    place: PlaceId,
    came_at: Timestamp,
    claim_by: Timestamp,
}

impl Crowd {
    /// Opens a socket for each of `places`, presenting it unless it is empty, and waits until
    /// everyone has a frame.
    async fn gather(address: SocketAddr, path: &str, places: Vec<String>) -> anyhow::Result<Self> {
        let count = places.len();
        let (calls, called) = mpsc::channel(count.max(1));
        let noticed = Arc::new(Noticed::default());
        let opening = Arc::new(Semaphore::new(OPENING_MAX));
        let mut sockets = JoinSet::new();
        for place in places {
            let socket = WaitingSocket {
                address,
                url: format!("ws://{address}{path}"),
                place,
                calls: calls.clone(),
                noticed: noticed.clone(),
            };
            sockets.spawn(socket.wait(opening.clone()));
        }
        let mut crowd = Self {
            sockets,
            called,
            noticed,
        };
        let until = Instant::now() + GATHER_MAX;
        while crowd.noticed.greeted.load(Ordering::Relaxed) < count as u64 {
            if let Some(ended) = crowd.sockets.try_join_next() {
                ended?.context("a socket did not open")?;
                bail!("a socket closed");
            }
            if Instant::now() > until {
                bail!("the crowd did not gather in {GATHER_MAX:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(crowd)
    }

    /// The mean length of a first frame.
    fn frame_bytes(&self) -> usize {
        let bytes = self.noticed.frame_bytes.load(Ordering::Relaxed);
        let mean = bytes.checked_div(self.noticed.greeted.load(Ordering::Relaxed));
        usize::try_from(mean.unwrap_or(0)).unwrap_or(usize::MAX)
    }

    /// Hangs up.
    async fn leave(mut self) {
        self.sockets.shutdown().await;
    }
}

/// One fan's socket.
struct WaitingSocket {
    address: SocketAddr,
    url: String,
    place: String,
    calls: mpsc::Sender<CalledFrame>,
    noticed: Arc<Noticed>,
}

impl WaitingSocket {
    /// Opens the socket and listens until it ends.
    async fn wait(self, opening: Arc<Semaphore>) -> anyhow::Result<()> {
        let turn = opening.acquire().await?;
        let mut request = self.url.as_str().into_client_request()?;
        if !self.place.is_empty() {
            let bearer = HeaderValue::try_from(format!("Bearer {}", self.place))?;
            request.headers_mut().insert("authorization", bearer);
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(1024)
            .write_buffer_size(0);
        let stream = TcpStream::connect(self.address).await?;
        let opened = client_async_with_config(request, stream, Some(config)).await;
        let (mut socket, _) = opened?;
        drop(turn);
        let mut is_first = true;
        let mut is_called = false;
        while let Some(message) = socket.next().await {
            let Message::Text(text) = message? else {
                continue;
            };
            if is_first {
                is_first = false;
                let bytes = text.len() as u64;
                self.noticed.frame_bytes.fetch_add(bytes, Ordering::Relaxed);
                self.noticed.greeted.fetch_add(1, Ordering::Relaxed);
            }
            // The call is what was waited for; later frames about it are not.
            if !is_called && text.contains(r#""state":"called""#) {
                is_called = true;
                let frame = called_frame(&text, SystemClock.now());
                // Nobody asks any more once calls have been measured.
                let _late = self.calls.try_send(frame.context("a call without a pass")?);
            }
        }
        Ok(())
    }
}

fn called_frame(text: &str, came_at: Timestamp) -> Option<CalledFrame> {
    let document: StatusDocument = serde_json::from_str(text).ok()?;
    let claims = document.pass?.access_token;
    let claims = BASE64URL_NOPAD.decode(claims.split('.').nth(1)?.as_bytes());
    let claims: PassClaims = serde_json::from_slice(&claims.ok()?).ok()?;
    Some(CalledFrame {
        place: claims.sub,
        came_at,
        claim_by: document.claim_by?,
    })
}

/// How long frames took.
struct CallLatency {
    /// From when the leader decided to call, before the call was in the durable log.
    from_decision: Latencies,
    /// From when the call was in the log and was published.
    from_publication: Latencies,
}

async fn call_latency(
    gateway: &Gateway,
    settings: &RoomSettings,
    crowd: &mut Crowd,
) -> anyhow::Result<CallLatency> {
    while crowd.called.try_recv().is_ok() {}
    let faster = RoomSettings {
        new_users_per_minute: CALLS_PER_MINUTE,
        ..settings.clone()
    };
    gateway.room_change(&faster).await?;
    let mut frames = Vec::new();
    let receive = async {
        while let Some(frame) = crowd.called.recv().await {
            frames.push(frame);
        }
    };
    // It ends by time: there are more fans than calls.
    let _over = tokio::time::timeout(CALLS_LAST, receive).await;
    let log = gateway.admissions(&settings.room).await?;
    let called_at: HashMap<PlaceId, Timestamp> = log
        .into_iter()
        .map(|record| (record.place, record.called_at))
        .collect();
    let window = Duration::from_secs(settings.claim_window_seconds);
    let mut latency = CallLatency {
        from_decision: Latencies::new()?,
        from_publication: Latencies::new()?,
    };
    for frame in frames {
        let called_at = called_at.get(&frame.place);
        let called_at = called_at.context("a call that is not in the log")?;
        latency.from_decision.add(frame.came_at.since(*called_at));
        let published_at = frame.claim_by.minus(window);
        latency
            .from_publication
            .add(frame.came_at.since(published_at));
    }
    Ok(latency)
}

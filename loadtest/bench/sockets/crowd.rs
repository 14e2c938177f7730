//! A crowd of fans on open sockets, and what they note.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use contract::line::StatusDocument;
use contract::pass::PassClaims;
use contract::{Clock, PlaceId, SystemClock, Timestamp};
use data_encoding::BASE64URL_NOPAD;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::pace::Latencies;

/// Sockets that are opened at the same time.
const OPENING_MAX: usize = 64;
/// How long a crowd may take until everyone has a frame.
const GATHER_MAX: Duration = Duration::from_mins(3);
/// Whoever is refused tries again after half of this, and a random part of it that doubles each
/// time, as the page does.
const AGAIN_AFTER: Duration = Duration::from_millis(800);
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(30);

/// Open sockets.
pub(crate) struct Crowd {
    sockets: JoinSet<anyhow::Result<()>>,
    called: mpsc::Receiver<CalledFrame>,
    noticed: Arc<Noticed>,
    fan: Fan,
    /// Each place with its socket, the one that was opened first at the front.
    open: VecDeque<(String, AbortHandle)>,
}

/// What all sockets of a crowd note together.
#[derive(Default)]
struct Noticed {
    /// Sockets that have had a frame.
    greeted: AtomicU64,
    /// Bytes of the first frames.
    frame_bytes: AtomicU64,
    /// Whether changes are timed.
    is_timed: AtomicBool,
    /// From when a snapshot was taken to when a frame made of it came.
    changes: Mutex<Option<Latencies>>,
    /// Sockets that the gateway refused, by why.
    refused: Mutex<BTreeMap<String, u64>>,
}

/// A frame that calls a fan.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CalledFrame {
    pub(crate) place: PlaceId,
    pub(crate) came_at: Timestamp,
    pub(crate) claim_by: Timestamp,
}

impl Crowd {
    /// Opens a socket for each of `places`, presenting it unless it is empty, and waits until
    /// everyone has a frame.
    pub(crate) async fn gather(
        address: SocketAddr,
        path: &str,
        places: Vec<String>,
    ) -> anyhow::Result<Self> {
        let (calls, called) = mpsc::channel(places.len().max(1));
        let noticed = Arc::new(Noticed::default());
        let fan = Fan {
            address,
            url: format!("ws://{address}{path}").into(),
            calls,
            noticed: noticed.clone(),
            opening: Arc::new(Semaphore::new(OPENING_MAX)),
        };
        let mut crowd = Self {
            sockets: JoinSet::new(),
            called,
            noticed,
            fan,
            open: VecDeque::new(),
        };
        let count = places.len();
        for place in places {
            crowd.open(place);
        }
        crowd.all_greeted(count).await?;
        Ok(crowd)
    }

    fn open(&mut self, place: String) {
        let socket = self.sockets.spawn(self.fan.clone().wait(place.clone()));
        self.open.push_back((place, socket));
    }

    /// Waits until `count` first frames have come.
    async fn all_greeted(&mut self, count: usize) -> anyhow::Result<()> {
        let until = Instant::now() + GATHER_MAX;
        while self.noticed.greeted.load(Ordering::Relaxed) < count as u64 {
            self.check()?;
            if Instant::now() > until {
                bail!("the crowd did not gather in {GATHER_MAX:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Fails when a socket has ended that was not hung up.
    fn check(&mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.sockets.try_join_next() {
            match ended {
                Err(error) if error.is_cancelled() => {}
                ended => {
                    ended?.context("a socket did not open")?;
                    bail!("a socket closed");
                }
            }
        }
        Ok(())
    }

    /// The mean length of a first frame.
    pub(crate) fn frame_bytes(&self) -> usize {
        let bytes = self.noticed.frame_bytes.load(Ordering::Relaxed);
        let mean = bytes.checked_div(self.noticed.greeted.load(Ordering::Relaxed));
        usize::try_from(mean.unwrap_or(0)).unwrap_or(usize::MAX)
    }

    /// Watches for `lasts`: how soon changes are seen, and the calls that come.
    pub(crate) async fn watch(&mut self, lasts: Duration) -> anyhow::Result<Watched> {
        self.begin_watch()?;
        let mut calls = Vec::new();
        let receive = async {
            while let Some(frame) = self.called.recv().await {
                calls.push(frame);
            }
        };
        // It ends by time: there are more fans than calls.
        let _over = tokio::time::timeout(lasts, receive).await;
        self.end_watch(calls, 0)
    }

    /// Watches for `lasts`, while `per_second` sockets a second hang up and are opened again.
    pub(crate) async fn storm(
        &mut self,
        lasts: Duration,
        per_second: u32,
    ) -> anyhow::Result<Watched> {
        self.begin_watch()?;
        let mut calls = Vec::new();
        let between = Duration::from_secs(1) / per_second.max(1);
        let mut due = tokio::time::interval(between);
        let ends = Instant::now() + lasts;
        let mut reconnects = 0;
        while Instant::now() < ends {
            due.tick().await;
            if let Some((place, socket)) = self.open.pop_front() {
                socket.abort();
                self.open(place);
                reconnects += 1;
            }
            self.check()?;
            while let Ok(frame) = self.called.try_recv() {
                calls.push(frame);
            }
        }
        self.end_watch(calls, reconnects)
    }

    fn begin_watch(&mut self) -> anyhow::Result<()> {
        while self.called.try_recv().is_ok() {}
        *lock(&self.noticed.changes) = Some(Latencies::new()?);
        lock(&self.noticed.refused).clear();
        self.noticed.is_timed.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn end_watch(&self, calls: Vec<CalledFrame>, reconnects: u64) -> anyhow::Result<Watched> {
        self.noticed.is_timed.store(false, Ordering::Relaxed);
        let changes = lock(&self.noticed.changes).take();
        Ok(Watched {
            changes: changes.context("no changes are noted")?,
            calls,
            reconnects,
            refused: lock(&self.noticed.refused).clone(),
        })
    }

    /// Hangs up.
    pub(crate) async fn leave(mut self) {
        self.sockets.shutdown().await;
    }
}

/// What a crowd saw.
pub(crate) struct Watched {
    /// From when a snapshot was taken to when a frame made of it came.
    pub(crate) changes: Latencies,
    pub(crate) calls: Vec<CalledFrame>,
    /// Sockets that hung up and were opened again.
    pub(crate) reconnects: u64,
    /// Sockets that the gateway refused, by why: each of them was tried again.
    pub(crate) refused: BTreeMap<String, u64>,
}

impl Watched {
    /// Nothing yet.
    pub(crate) fn nothing() -> anyhow::Result<Self> {
        Ok(Self {
            changes: Latencies::new()?,
            calls: Vec::new(),
            reconnects: 0,
            refused: BTreeMap::new(),
        })
    }
}

impl Noticed {
    fn first(&self, text: &str) {
        self.frame_bytes
            .fetch_add(text.len() as u64, Ordering::Relaxed);
        self.greeted.fetch_add(1, Ordering::Relaxed);
    }

    fn change(&self, text: &str) {
        if !self.is_timed.load(Ordering::Relaxed) {
            return;
        }
        let now = SystemClock.now();
        if let (Some(taken_at), Some(changes)) = (updated_at(text), lock(&self.changes).as_mut()) {
            changes.add(now.since(taken_at));
        }
    }
}

/// Counts and histograms are whole between any two values.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One fan's way to a socket.
#[derive(Clone)]
struct Fan {
    address: SocketAddr,
    url: Arc<str>,
    calls: mpsc::Sender<CalledFrame>,
    noticed: Arc<Noticed>,
    opening: Arc<Semaphore>,
}

impl Fan {
    /// Opens the socket of `place`, again and again while it is refused.
    async fn open(&self, place: &str) -> anyhow::Result<WebSocketStream<TcpStream>> {
        let mut again_after = AGAIN_AFTER;
        loop {
            let turn = self.opening.acquire().await?;
            let mut request = (&*self.url).into_client_request()?;
            if !place.is_empty() {
                let bearer = HeaderValue::try_from(format!("Bearer {place}"))?;
                request.headers_mut().insert("authorization", bearer);
            }
            let config = WebSocketConfig::default()
                .read_buffer_size(1024)
                .write_buffer_size(0);
            let stream = TcpStream::connect(self.address).await?;
            let refused = match client_async_with_config(request, stream, Some(config)).await {
                Ok((socket, _)) => return Ok(socket),
                Err(Error::Http(answer)) if answer.status().is_server_error() => answer,
                Err(error) => return Err(error.into()),
            };
            drop(turn);
            let why = reason(refused.body().as_deref().unwrap_or_default());
            *lock(&self.noticed.refused).entry(why).or_default() += 1;
            let spread = again_after.mul_f64(rand::random());
            tokio::time::sleep(AGAIN_AFTER / 2 + spread).await;
            again_after = (2 * again_after).min(AGAIN_AFTER_MAX);
        }
    }

    /// Opens the socket of `place` and listens until it ends.
    async fn wait(self, place: String) -> anyhow::Result<()> {
        let mut socket = self.open(&place).await?;
        let mut is_first = true;
        let mut is_called = false;
        while let Some(message) = socket.next().await {
            let Message::Text(text) = message? else {
                continue;
            };
            if is_first {
                self.noticed.first(&text);
            }
            // The call is what was waited for; later frames about it are not.
            if text.contains(r#""state":"called""#) {
                if !is_called {
                    is_called = true;
                    let frame = called_frame(&text, SystemClock.now());
                    // Nobody asks any more once calls have been measured.
                    let _late = self.calls.try_send(frame.context("a call without a pass")?);
                }
            } else if !is_first {
                self.noticed.change(&text);
            }
            is_first = false;
        }
        Ok(())
    }
}

/// When the numbers of a status were taken. Found without reading the whole document: thousands
/// come each second, and the client shares the machine.
fn updated_at(text: &str) -> Option<Timestamp> {
    let (_, rest) = text.split_once(r#""updatedAt":""#)?;
    Timestamp::parse(rest.split_once('"')?.0)
}

/// What a problem document says.
fn reason(body: &[u8]) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let code = problem.and_then(|problem| Some(problem.get("code")?.as_str()?.to_owned()));
    code.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
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

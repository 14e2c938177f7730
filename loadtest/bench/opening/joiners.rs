//! Fans who join as fast as they are answered, over many connections on a few threads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use contract::RoomId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::gateway::nonce;
use crate::http1::{Head, parse_head, post_json};
use crate::pace::Latencies;
use crate::report::progress;

/// Threads of the client: as many as the smallest machine this runs on has CPUs.
const THREADS: u64 = 2;
const CONNECTIONS_PER_THREAD: u64 = 64;
/// Fans of each connection who keep their place token: the first, who are called first.
const KEEP_PER_CONNECTION: usize = 3_000;
/// Pause before a join that the line was too busy for is sent again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
const TELL_EVERY: Duration = Duration::from_secs(30);

/// Everyone who joined.
pub(super) struct Joined {
    /// Their order keys, in no order.
    pub(super) keys: Vec<u64>,
    /// Order key and place token of the first.
    pub(super) first: Vec<(u64, String)>,
    /// Until there was a place, over all answers.
    pub(super) latencies: Latencies,
    /// Joins that were sent again.
    pub(super) repeated: u64,
}

impl Joined {
    fn nobody() -> anyhow::Result<Self> {
        Ok(Self {
            keys: Vec::new(),
            first: Vec::new(),
            latencies: Latencies::new()?,
            repeated: 0,
        })
    }

    fn add(&mut self, others: Self) -> anyhow::Result<()> {
        self.keys.extend(others.keys);
        self.first.extend(others.first);
        self.repeated += others.repeated;
        self.latencies.add_all(&others.latencies)
    }
}

/// Lets `fans` fans join `room`, each with a nonce of their own.
pub(super) async fn join(address: SocketAddr, room: &RoomId, fans: u64) -> anyhow::Result<Joined> {
    let path: Arc<str> = format!("/_line/v1/rooms/{room}/places").into();
    let count = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (path, count) = (path.clone(), count.clone());
            thread::spawn(move || join_on_thread(address, &path, fans, thread, &count))
        })
        .collect();
    let mut told_at = Instant::now();
    while !threads.iter().all(thread::JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        if told_at.elapsed() >= TELL_EVERY {
            told_at = Instant::now();
            let millions = count.load(Ordering::Relaxed) / 10_000;
            progress(&format!(
                "{}.{:02} million joined",
                millions / 100,
                millions % 100
            ));
        }
    }
    let mut all = Joined::nobody()?;
    for thread in threads {
        let Ok(joined) = thread.join() else {
            bail!("a client broke");
        };
        all.add(joined?)?;
    }
    Ok(all)
}

fn join_on_thread(
    address: SocketAddr,
    path: &Arc<str>,
    fans: u64,
    thread: u64,
    count: &Arc<AtomicU64>,
) -> anyhow::Result<Joined> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut all = Joined::nobody()?;
    LocalSet::new().block_on(&runtime, async {
        let own: Vec<_> = (0..CONNECTIONS_PER_THREAD)
            .map(|connection| {
                let first = thread * CONNECTIONS_PER_THREAD + connection;
                let (path, count) = (path.clone(), count.clone());
                tokio::task::spawn_local(join_in_turn(address, path, first, fans, count))
            })
            .collect();
        for joined in own {
            all.add(joined.await??)?;
        }
        Ok(all)
    })
}

/// Every fan from number `first` to `fans` whom no other connection has, one after another.
async fn join_in_turn(
    address: SocketAddr,
    path: Arc<str>,
    first: u64,
    fans: u64,
    count: Arc<AtomicU64>,
) -> anyhow::Result<Joined> {
    let mut joined = Joined::nobody()?;
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut answer = Vec::with_capacity(4096);
    let mut number = first;
    while number < fans {
        let body = format!(r#"{{"nonce":"{}"}}"#, nonce(number));
        let request = post_json(address, &path, &body);
        let began = Instant::now();
        let body = loop {
            stream.write_all(&request).await?;
            let head = read_answer(&mut stream, &mut answer).await?;
            let body = std::str::from_utf8(&answer[head.length..])?;
            match head.status {
                200..300 => break body,
                503 => tokio::time::sleep(AGAIN_AFTER).await,
                other => bail!("a join was answered {other}: {body}"),
            }
            joined.repeated += 1;
        };
        joined.latencies.add(began.elapsed());
        let key = text_of(body, r#""orderKey":""#).context("a join without an order key")?;
        let key = key.parse()?;
        joined.keys.push(key);
        if joined.first.len() < KEEP_PER_CONNECTION {
            let place = text_of(body, r#""place":""#).context("a join without a place")?;
            joined.first.push((key, place.to_owned()));
        }
        count.fetch_add(1, Ordering::Relaxed);
        number += THREADS * CONNECTIONS_PER_THREAD;
    }
    Ok(joined)
}

/// Reads one answer and gives its head; the body follows it.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> anyhow::Result<Head> {
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            bail!("the gateway closed a connection");
        }
        let Some(head) = parse_head(answer)? else {
            continue;
        };
        if answer.len() >= head.length + head.body_length {
            return Ok(head);
        }
    }
}

/// The text that follows `name` up to the next quotation mark.
fn text_of<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = json.split_once(name)?;
    rest.split_once('"').map(|(text, _)| text)
}

//! Clients that stall on one stream while others of the connection move.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get as on_get;
use bytes::Bytes;
use contract::SystemClock;
use futures_util::StreamExt;
use futures_util::stream;
use gateway::edge::serve::ServeConfig;
use gateway::proxy::ProxyConfig;
use tokio::time::Instant;

use super::frames::{
    DATA, END_HEADERS, END_STREAM, Frames, HEADERS, RST_STREAM, WINDOW, WINDOW_UPDATE, get, open,
    post, read, send,
};
use super::impatient;
use crate::serving::{Gateway, Server, within};

const MOVING: u32 = 1;
const STILL: u32 = 3;
const QUIET: u32 = 5;
const SHORT: u32 = 7;
/// What a stream is reset with.
const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// Limits of a listener that soon loses patience with those who do not read. Nobody here answers
/// pings.
fn config() -> ServeConfig {
    ServeConfig {
        keepalive: Duration::from_secs(30),
        ..impatient()
    }
}

/// Answers that never end: one that is as fast as its client, one that says something now and then,
/// and one that falls silent.
fn router() -> Router {
    let chunk = Bytes::from(vec![b'x'; 8 * 1024]);
    let fast = async move || {
        let chunk = chunk.clone();
        Body::from_stream(stream::repeat_with(move || {
            Ok::<_, axum::Error>(chunk.clone())
        }))
    };
    let seldom = async || {
        Body::from_stream(stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Some((Ok::<_, axum::Error>("data: here\n\n"), ()))
        }))
    };
    let quiet = async || {
        let first = stream::iter([Ok::<_, axum::Error>("data: here\n\n")]);
        Body::from_stream(first.chain(stream::pending()))
    };
    Router::new()
        .route("/fast", on_get(fast))
        .route("/seldom", on_get(seldom))
        .route("/quiet", on_get(quiet))
        .route("/large", on_get(async || vec![b'x'; 1024 * 1024]))
        .route("/short", on_get(async || vec![b'x'; 1100]))
        .route("/", on_get(async || "here"))
}

/// Reads for a while with a window of 1090 bytes for each stream, which it opens for the moving one
/// alone. When each stream was reset, with what reason, and how many frames of data it had.
async fn watch(
    frames: &mut Frames,
    span: Duration,
) -> (HashMap<u32, (Duration, Vec<u8>)>, HashMap<u32, usize>) {
    let began = Instant::now();
    let (mut resets, mut parts) = (HashMap::new(), HashMap::new());
    while began.elapsed() < span {
        let frame = within("a frame", frames.next()).await;
        let frame = frame.expect("the connection ended");
        match frame.kind {
            DATA => {
                *parts.entry(frame.stream).or_default() += 1;
                if frame.stream == MOVING && !frame.payload.is_empty() {
                    let taken = u32::try_from(frame.payload.len()).unwrap();
                    frames.open(0, taken).await;
                    frames.open(MOVING, taken).await;
                }
            }
            RST_STREAM => {
                resets.insert(frame.stream, (began.elapsed(), frame.payload));
            }
            _ => {}
        }
    }
    (resets, parts)
}

#[tokio::test]
async fn a_stream_that_moves_keeps_none_that_stalls() {
    let server = Server::start_on_cores(router(), config());
    for moving in ["/fast", "/seldom"] {
        let mut frames = Frames::connect(server.addr, &[(WINDOW, 1090)]).await;
        for (stream, path) in [
            (MOVING, moving),
            (STILL, "/large"),
            (QUIET, "/quiet"),
            (SHORT, "/short"),
        ] {
            frames.ask(stream, &get(path, &[])).await;
        }
        let (resets, parts) = watch(&mut frames, Duration::from_millis(2_500)).await;
        for stream in [STILL, SHORT] {
            let (at, reason) = resets.get(&stream).unwrap_or_else(|| {
                panic!("{moving}: stream {stream} was kept: {resets:?} {parts:?}")
            });
            assert!(*at >= Duration::from_millis(500), "{moving}: {at:?}");
            assert_eq!(*reason, CANCEL, "{moving}");
        }
        // Who has nothing to say is waited for, and who is read goes on.
        assert_eq!(resets.len(), 2, "{moving}: {resets:?}");
        assert!(parts[&MOVING] > 20, "{moving}: {parts:?}");
        assert_eq!(parts[&QUIET], 1, "{moving}");
        let (later, more) = {
            frames.ask(9, &get("/", &[])).await;
            watch(&mut frames, Duration::from_millis(300)).await
        };
        assert!(
            later.is_empty() && more.contains_key(&9),
            "{later:?} {more:?}"
        );
    }
}

#[tokio::test]
async fn a_client_that_takes_a_little_now_and_then_keeps_its_stream() {
    let server = Server::start_on_cores(router(), config());
    let mut frames = Frames::connect(server.addr, &[(WINDOW, 1000)]).await;
    frames.ask(STILL, &get("/large", &[])).await;
    let Frames { reading, writing } = &mut frames;
    // Twenty thousand bytes each third of a second, over several times the patience.
    let opening = async {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            for stream in [0, STILL] {
                open(writing, stream, 20_000).await;
            }
        }
    };
    let mut bytes = 0;
    let taking = async {
        while let Some(frame) = read(reading).await {
            assert_ne!(frame.kind, RST_STREAM, "after {bytes} bytes");
            if frame.kind == DATA {
                bytes += frame.payload.len();
            }
        }
    };
    tokio::select! {
        () = opening => {}
        () = taking => panic!("the connection ended"),
    }
    assert!(bytes > 150_000, "{bytes}");
}

#[tokio::test]
async fn an_upload_that_stops_ends_its_own_stream() {
    let shop = Server::start(
        Router::new().route("/", on_get(async || "here").post(async |body: Bytes| body)),
    )
    .await;
    let config = ProxyConfig {
        body_idle_max: Duration::from_millis(300),
        ..ProxyConfig::default()
    };
    let gateway = Gateway::configured(shop.addr, config, Arc::new(SystemClock)).await;
    let mut frames = Frames::connect(gateway.server.addr, &[]).await;
    for stream in [1, 3] {
        let begun = post("/");
        let begun = frames.send(HEADERS, END_HEADERS, stream, &begun);
        begun.await.unwrap();
    }
    frames.send(DATA, 0, 1, b"half").await.unwrap();
    let Frames { reading, writing } = &mut frames;
    // The other upload goes on all the while.
    let uploading = async {
        loop {
            send(writing, DATA, 0, 3, b"more").await.unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    };
    let answered = async {
        loop {
            let frame = read(reading).await.expect("the connection ended");
            assert!(
                frame.stream != 3 || frame.kind == WINDOW_UPDATE,
                "{frame:?}"
            );
            if frame.kind == HEADERS {
                return frame;
            }
        }
    };
    let answered = tokio::select! {
        answered = within("the answer", answered) => answered,
        () = uploading => unreachable!(),
    };
    assert_eq!(answered.stream, 1);
    // `408`, as HPACK writes it.
    let status = [0x68, 0x0f, 0x7f];
    let mut threes = answered.payload.windows(3);
    assert!(
        threes.any(|three| three == status),
        "{:?}",
        answered.payload
    );
    frames.send(DATA, END_STREAM, 3, b"end").await.unwrap();
    let mut echoed = Vec::new();
    while !echoed.ends_with(b"end") {
        let frame = within("the echo", frames.next()).await;
        let frame = frame.expect("the connection ended");
        if frame.kind == DATA && frame.stream == 3 {
            echoed.extend(frame.payload);
        }
    }
    assert!(echoed.starts_with(b"more"));
}

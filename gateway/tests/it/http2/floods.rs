//! Clients that make work without wanting an answer, or want one that they do not take.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get as on_get;
use gateway::edge::serve::ServeConfig;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use web::RequestIds;

use super::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PING, RST_STREAM, WINDOW,
    frame, get,
};
use super::{client, impatient};
use crate::serving::Server;

const SOON: Duration = Duration::from_secs(10);

/// A router of which one path never answers; how many requests it saw.
fn slow() -> (Router, Arc<AtomicUsize>) {
    let seen = Arc::<AtomicUsize>::default();
    let count = seen.clone();
    let never = on_get(async move || {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<()>().await;
    });
    let router = Router::new()
        .route("/never", never)
        .route("/", on_get(async || "here"));
    (router, seen)
}

fn lasting() -> ServeConfig {
    ServeConfig::public("test", RequestIds::new(1))
}

#[tokio::test]
async fn a_client_that_resets_what_it_asks_for_is_cut_off_soon() {
    let (router, seen) = slow();
    let server = Server::start_on_cores(router, lasting());
    let mut frames = Frames::connect(server.addr, &[]).await;
    let began = Instant::now();
    let mut asked = 0;
    let block = get("/never", &[]);
    // Two seconds of it, if nobody minds.
    while began.elapsed() < Duration::from_secs(2) {
        let stream = 2 * asked + 1;
        let mut both = frame(HEADERS, END_HEADERS | END_STREAM, stream, &block);
        both.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
        if frames.writing.write_all(&both).await.is_err() {
            break;
        }
        asked += 1;
        if asked % 10 == 0 {
            // Time for the server to take these as requests.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    frames.until_end(SOON).await;
    let seen = seen.load(Ordering::Relaxed);
    println!("{asked} asked, {seen} seen");
    assert!(seen <= 400, "{seen} of {asked} requests were begun");
    // Others are served.
    let answer = client(&server).await.send_request(request("/")).await;
    assert_eq!(answer.unwrap().status(), 200);
}

#[tokio::test]
async fn a_burst_of_resets_does_not_even_become_requests() {
    let (router, seen) = slow();
    let server = Server::start_on_cores(router, lasting());
    let mut frames = Frames::connect(server.addr, &[]).await;
    let block = get("/never", &[]);
    let mut burst = Vec::new();
    for number in 0..20_000 {
        let stream = 2 * number + 1;
        burst.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block));
        burst.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
    }
    // The server may close before it has read all.
    let _broken = frames.writing.write_all(&burst).await;
    frames.until_end(SOON).await;
    let seen = seen.load(Ordering::Relaxed);
    assert!(seen <= 400, "{seen} requests were begun");
}

#[tokio::test]
async fn headers_that_never_end_are_cut_off_before_they_fill_memory() {
    let (router, _) = slow();
    let server = Server::start_on_cores(router, lasting());
    let mut frames = Frames::connect(server.addr, &[]).await;
    let begun = frames.send(HEADERS, END_STREAM, 1, &get("/", &[])).await;
    begun.unwrap();
    let more = super::frames::fields(&[("x-more", &"m".repeat(8_000))]);
    let mut count = 0;
    let flooding = async {
        while frames.send(CONTINUATION, 0, 1, &more).await.is_ok() {
            count += 1;
            assert!(count < 2_000, "16 MB of headers were taken");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, flooding).await.unwrap();
    // Most of them wait in the sockets' buffers, which nobody reads any more.
    println!("{count} frames of 8 kB");
    let answer = client(&server).await.send_request(request("/")).await;
    assert_eq!(answer.unwrap().status(), 200);
}

#[tokio::test]
async fn empty_continuations_are_cut_off_too() {
    let (router, _) = slow();
    let server = Server::start_on_cores(router, lasting());
    let mut frames = Frames::connect(server.addr, &[]).await;
    let begun = frames.send(HEADERS, END_STREAM, 1, &get("/", &[])).await;
    begun.unwrap();
    let empty = frame(CONTINUATION, 0, 1, &[]).repeat(1_000);
    let mut count = 0;
    let flooding = async {
        while frames.writing.write_all(&empty).await.is_ok() {
            count += 1_000;
            assert!(count < 10_000_000, "frames without end were taken");
        }
    };
    tokio::time::timeout(SOON, flooding).await.unwrap();
    println!("{count} empty frames");
}

#[tokio::test]
async fn a_client_that_opens_no_window_does_not_keep_its_answers() {
    let large = on_get(async || Body::from(vec![b'x'; 4 * 1024 * 1024]));
    let server = Server::start_on_cores(Router::new().route("/", large), impatient());
    // The stream's window is empty, while the connection's lets settings and pings through.
    let mut frames = Frames::connect(server.addr, &[(WINDOW, 0)]).await;
    frames.ask(1, &get("/", &[])).await;
    let began = Instant::now();
    let kinds = frames.until_end(SOON).await;
    assert!(kinds.contains(&HEADERS), "{kinds:?}");
    assert!(
        began.elapsed() >= Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_connection_without_requests_is_left_and_closed() {
    let (router, _) = slow();
    let server = Server::start_on_cores(router, impatient());
    let mut silent = Frames::connect(server.addr, &[]).await;
    let began = Instant::now();
    let kinds = silent.until_end(SOON).await;
    assert!(kinds.contains(&GOAWAY), "{kinds:?}");
    assert!(
        began.elapsed() >= Duration::from_millis(300),
        "{:?}",
        began.elapsed()
    );
    // With a request, it rests for as long as one of HTTP/1 does.
    let mut rested = Frames::connect(server.addr, &[]).await;
    rested.ask(1, &get("/", &[])).await;
    let began = Instant::now();
    let kinds = rested.until_end(SOON).await;
    assert!(
        kinds.contains(&GOAWAY) && kinds.contains(&HEADERS),
        "{kinds:?}"
    );
    assert!(
        began.elapsed() >= Duration::from_millis(700),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_request_that_takes_longer_than_any_rest_is_answered() {
    let late = on_get(async || {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        "late"
    });
    let server = Server::start_on_cores(Router::new().route("/", late), impatient());
    let mut client = client(&server).await;
    let answer = client.send_request(request("/")).await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn pings_that_are_not_read_do_not_fill_memory() {
    let (router, _) = slow();
    let server = Server::start_on_cores(router, impatient());
    let mut frames = Frames::connect(server.addr, &[]).await;
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(1_000);
    let mut count = 0;
    // The answers are not read, so the server stops reading too, and gives the client up.
    let flooding = async {
        while count < 20_000_000 && frames.writing.write_all(&pings).await.is_ok() {
            count += 1_000;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), flooding)
        .await
        .unwrap();
    println!("{count} pings");
    assert!(count < 20_000_000);
}

fn request(path: &str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let request = http::Request::get(format!("http://line.test{path}"));
    request.body(http_body_util::Full::default()).unwrap()
}

//! What the proxy does to spare an upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use contract::{ManualClock, ProblemCode, SystemClock};
use gateway::proxy::{BreakerState, ProxyConfig};
use http::StatusCode;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::serving::{Gateway, Server, get, get_problem, within};

#[tokio::test]
async fn the_breaker_opens_and_recovers() {
    let clock = ManualClock::default();
    let is_broken = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let requests = Arc::new(AtomicU64::new(0));
    let (broken, counted) = (Arc::clone(&is_broken), Arc::clone(&requests));
    let router = Router::new().fallback(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        let status = if broken.load(Ordering::SeqCst) {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        };
        async move { status }
    });
    let upstream = Server::start(router).await;
    let gateway = Gateway::configured(
        upstream.addr,
        ProxyConfig::default(),
        Arc::new(clock.clone()),
    )
    .await;
    let state = || gateway.proxy.breaker_state(&gateway.upstream);

    for _ in 0..10 {
        assert_eq!(
            get(&gateway.url("/")).await.0,
            StatusCode::SERVICE_UNAVAILABLE
        );
    }
    assert_eq!(state(), BreakerState::Open);
    let problem = get_problem(&gateway.url("/")).await;
    assert_eq!(problem.code, ProblemCode::UpstreamUnavailable);
    assert_eq!(
        requests.load(Ordering::SeqCst),
        10,
        "an open breaker let a request through"
    );

    clock.advance(Duration::from_secs(5));
    assert_eq!(state(), BreakerState::HalfOpen);
    assert_eq!(
        get(&gateway.url("/")).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(state(), BreakerState::Open);

    is_broken.store(false, Ordering::SeqCst);
    clock.advance(Duration::from_secs(5));
    assert_eq!(get(&gateway.url("/")).await.0, StatusCode::OK);
    assert_eq!(state(), BreakerState::Closed);
}

/// Says when it is dropped.
struct OnDrop(mpsc::UnboundedSender<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        // The test may be over.
        let _ended = self.0.send(());
    }
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_request_at_the_upstream() {
    let (begun, mut begins) = mpsc::unbounded_channel();
    let (ended, mut ends) = mpsc::unbounded_channel();
    let router = Router::new().fallback(move || {
        let (begun, guard) = (begun.clone(), OnDrop(ended.clone()));
        async move {
            let _guard = guard;
            begun.send(()).unwrap();
            std::future::pending::<()>().await;
        }
    });
    let upstream = Server::start(router).await;
    let gateway = Gateway::before(upstream.addr).await;
    let mut stream = TcpStream::connect(gateway.server.addr).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    within("the request at the upstream", begins.recv())
        .await
        .unwrap();
    drop(stream);
    within("the cancellation", ends.recv()).await.unwrap();
    let health = gateway.proxy.health(&gateway.upstream);
    assert_eq!((health.outcomes, health.failures), (0, 0));
}

#[tokio::test]
async fn more_requests_than_an_upstream_may_have_at_once_are_refused() {
    let (begun, mut begins) = mpsc::unbounded_channel();
    let router = Router::new().fallback(move || {
        begun.send(()).unwrap();
        std::future::pending::<StatusCode>()
    });
    let upstream = Server::start(router).await;
    let config = ProxyConfig {
        in_flight_per_upstream_max: 1,
        ..ProxyConfig::default()
    };
    let gateway = Gateway::configured(upstream.addr, config, Arc::new(SystemClock)).await;
    let url = gateway.url("/");
    let mut first = JoinSet::new();
    first.spawn(async move { get(&url).await });
    within("the first request", begins.recv()).await.unwrap();
    let problem = get_problem(&gateway.url("/")).await;
    assert_eq!(problem.code, ProblemCode::UpstreamUnavailable);
}

/// An upstream whose `/events` begins an event stream that says nothing, and that answers the rest.
async fn quiet_streams() -> Server {
    let events = || async {
        let quiet = futures_util::stream::once(async { Ok::<_, std::io::Error>("data: 1\n\n") });
        let quiet = futures_util::StreamExt::chain(quiet, futures_util::stream::pending());
        (
            [("content-type", "text/event-stream")],
            axum::body::Body::from_stream(quiet),
        )
    };
    let router = Router::new()
        .route("/events", axum::routing::get(events))
        .fallback(|| async { "page" });
    Server::start(router).await
}

#[tokio::test]
async fn one_sessions_streams_leave_pages_and_others_their_places() {
    let upstream = quiet_streams().await;
    let config = ProxyConfig {
        in_flight_per_upstream_max: 1,
        streams_per_session_max: 2,
        ..ProxyConfig::default()
    };
    let gateway = Gateway::configured(upstream.addr, config, Arc::new(SystemClock)).await;
    let http = reqwest::Client::new();
    let mut open = Vec::new();
    for _ in 0..2 {
        let stream = http.get(gateway.url("/events")).send();
        let stream = within("a stream", stream).await.unwrap();
        assert_eq!(stream.status(), StatusCode::OK);
        open.push(stream);
    }
    let problem = get_problem(&gateway.url("/events")).await;
    assert_eq!(problem.code, ProblemCode::RateLimited);
    // The only place for a request is free, because streams have their own.
    assert_eq!(get(&gateway.url("/")).await.0, StatusCode::OK);
    drop(open.pop());
    within("a stream's place", async {
        while http
            .get(gateway.url("/events"))
            .send()
            .await
            .unwrap()
            .status()
            != StatusCode::OK
        {}
    })
    .await;
}

#[tokio::test]
async fn a_quiet_stream_is_no_failure_and_is_not_cut_off() {
    let upstream = quiet_streams().await;
    let config = ProxyConfig {
        body_idle_max: Duration::from_millis(50),
        ..ProxyConfig::default()
    };
    let gateway = Gateway::configured(upstream.addr, config, Arc::new(SystemClock)).await;
    let stream = reqwest::get(gateway.url("/events"));
    let mut stream = within("a stream", stream).await.unwrap();
    assert!(within("an event", stream.chunk()).await.unwrap().is_some());
    let quiet = tokio::time::timeout(Duration::from_millis(400), stream.chunk()).await;
    assert!(quiet.is_err(), "the stream ended: {quiet:?}");
    assert_eq!(gateway.proxy.health(&gateway.upstream).failures, 0);
}

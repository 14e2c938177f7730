//! What the proxy does to spare an upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use contract::upstream::Bounds;
use contract::{ManualClock, ProblemCode, SystemClock};
use gateway::proxy::{BreakerState, ProxyConfig};
use http::StatusCode;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::serving::{FAN, Gateway, Server, get, get_as, get_problem, within};

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
        connections_per_upstream_max: 1,
        ..ProxyConfig::default()
    };
    // The room's own word goes before the limit of all.
    for (set, fits) in [(None, 1), (Some(2), 2)] {
        let bounds = Bounds {
            connections_max: set,
            ..Bounds::default()
        };
        let clock = Arc::new(SystemClock);
        let gateway = Gateway::of_room(upstream.addr, config, clock, bounds).await;
        let mut underway = JoinSet::new();
        for _ in 0..fits {
            let url = gateway.url("/");
            underway.spawn(async move { get(&url).await });
            within("a request", begins.recv()).await.unwrap();
        }
        let problem = get_problem(&gateway.url("/")).await;
        assert_eq!(problem.code, ProblemCode::UpstreamUnavailable);
    }
}

#[tokio::test]
async fn streams_leave_half_of_an_upstream_to_pages() {
    let upstream = quiet_streams().await;
    let bounds = Bounds {
        connections_max: Some(4),
        ..Bounds::default()
    };
    let (config, clock) = (ProxyConfig::default(), Arc::new(SystemClock));
    let gateway = Gateway::of_room(upstream.addr, config, clock, bounds).await;
    let http = reqwest::Client::new();
    let mut open = Vec::new();
    for (fan, status) in [
        (1, StatusCode::OK),
        (2, StatusCode::OK),
        (3, StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let stream = http.get(gateway.url("/events")).header(FAN, fan).send();
        let stream = within("a stream", stream).await.unwrap();
        assert_eq!(stream.status(), status, "fan {fan}");
        open.push(stream);
    }
    assert_eq!(get_as(4, &gateway.url("/")).await, StatusCode::OK);
}

#[tokio::test]
async fn a_stream_that_carries_nothing_for_too_long_ends_and_is_no_failure() {
    let upstream = quiet_streams().await;
    let bounds = Bounds {
        stream_idle_max: Some(Duration::from_millis(50)),
        ..Bounds::default()
    };
    let (config, clock) = (ProxyConfig::default(), Arc::new(SystemClock));
    let gateway = Gateway::of_room(upstream.addr, config, clock, bounds).await;
    let (status, body) = get(&gateway.url("/events")).await;
    // To its end, which a browser takes for a reason to come back.
    assert_eq!((status, &body[..]), (StatusCode::OK, &b"data: 1\n\n"[..]));
    assert_eq!(gateway.proxy.health(&gateway.upstream).failures, 0);
}

#[tokio::test]
async fn an_upstream_that_answers_nobody_in_time_is_left_alone_and_one_visitor_proves_nothing() {
    let router = Router::new().fallback(std::future::pending::<StatusCode>);
    let upstream = Server::start(router).await;
    let config = ProxyConfig {
        response_head_max: Duration::from_millis(50),
        ..ProxyConfig::default()
    };
    let clock = Arc::new(ManualClock::default());
    let gateway = Gateway::of_room(upstream.addr, config, clock, Bounds::default()).await;
    let url = gateway.url("/");
    let asks = async |fan: u8, times: usize| {
        let many = (0..times).map(|_| get_as(fan, &url));
        futures_util::future::join_all(many).await
    };
    let overdue = |statuses: Vec<StatusCode>| {
        let is_overdue = |status| status == StatusCode::GATEWAY_TIMEOUT;
        assert!(statuses.into_iter().all(is_overdue));
    };
    overdue(asks(1, 30).await);
    overdue(asks(2, 5).await);
    let health = gateway.proxy.health(&gateway.upstream);
    assert_eq!(
        (health.breaker, health.failures),
        (BreakerState::Closed, 35)
    );
    overdue(asks(3, 1).await);
    let state = gateway.proxy.breaker_state(&gateway.upstream);
    assert_eq!(state, BreakerState::Open);
    let problem = get_problem(&url).await;
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
        connections_per_upstream_max: 6,
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
    // Neither the page's share nor the upstream's is used up.
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

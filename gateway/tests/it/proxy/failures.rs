//! An upstream or a client that fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use contract::{ProblemCode, SystemClock};
use gateway::proxy::ProxyConfig;
use http::header::RETRY_AFTER;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::streaming::{LARGE, counted_body};
use super::{Recorder, read_head, scripted};
use crate::serving::{Gateway, channel_body, client, get, get_problem, within};

#[tokio::test]
async fn an_upstream_that_is_down_is_a_failed_upstream() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let gateway = Gateway::before(nobody).await;
    let request = Request::get(gateway.url("/")).body(Body::empty()).unwrap();
    let response = within("the answer", client().request(request))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert!(response.headers().contains_key(RETRY_AFTER));
    assert_eq!(
        get_problem(&gateway.url("/")).await.code,
        ProblemCode::UpstreamFailed
    );
}

/// Limits short enough to run into in a test.
fn impatient() -> ProxyConfig {
    ProxyConfig {
        response_head_max: Duration::from_millis(200),
        body_idle_max: Duration::from_millis(200),
        ..ProxyConfig::default()
    }
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_given_up() {
    let (silent, _tasks) = scripted(|_, mut stream| async move {
        read_head(&mut stream).await;
        // Until the gateway hangs up.
        let _closed = stream.read_u8().await;
    })
    .await;
    let gateway = Gateway::configured(silent, impatient(), Arc::new(SystemClock)).await;
    assert_eq!(
        get_problem(&gateway.url("/")).await.code,
        ProblemCode::UpstreamTimeout
    );
}

#[tokio::test]
async fn an_upstream_that_never_reads_is_given_up() {
    let (deaf, _tasks) = scripted(|_, stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let gateway = Gateway::configured(deaf, impatient(), Arc::new(SystemClock)).await;
    let body = counted_body(LARGE, Arc::default());
    let request = Request::post(gateway.url("/")).body(body).unwrap();
    let response = within("the answer", client().request(request))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn an_answer_that_stops_or_breaks_is_not_passed_off_as_whole() {
    for breaks in [true, false] {
        let (upstream, _tasks) = scripted(move |_, mut stream| async move {
            read_head(&mut stream).await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
                .await
                .unwrap();
            if !breaks {
                let _closed = stream.read_u8().await;
            }
        })
        .await;
        let gateway = Gateway::configured(upstream, impatient(), Arc::new(SystemClock)).await;
        let request = Request::get(gateway.url("/")).body(Body::empty()).unwrap();
        let response = within("the head", client().request(request)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        within("the fault", response.into_body().collect())
            .await
            .unwrap_err();
        assert_eq!(
            gateway.proxy.health(&gateway.upstream).failures,
            // One slow page is no state of the upstream's.
            u32::from(breaks),
            "breaks: {breaks}"
        );
    }
}

#[tokio::test]
async fn garbage_from_an_upstream_is_not_passed_on() {
    let (upstream, _tasks) = scripted(|_, mut stream| async move {
        read_head(&mut stream).await;
        stream
            .write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
            .await
            .unwrap();
    })
    .await;
    let gateway = Gateway::before(upstream).await;
    assert_eq!(
        get_problem(&gateway.url("/")).await.code,
        ProblemCode::UpstreamFailed
    );
}

#[tokio::test]
async fn a_client_that_stops_sending_is_told_so() {
    let recorder = Recorder::start().await;
    let gateway =
        Gateway::configured(recorder.server.addr, impatient(), Arc::new(SystemClock)).await;
    let (feed, body) = channel_body();
    feed.send(Bytes::from("some")).await.unwrap();
    let request = Request::post(gateway.url("/")).body(body).unwrap();
    let response = within("the answer", client().request(request))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(gateway.proxy.health(&gateway.upstream).failures, 0);
}

/// Answers the second connection and breaks the first after the whole request was read.
async fn breaks_once() -> (SocketAddr, JoinSet<()>, Arc<AtomicU64>) {
    let requests = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&requests);
    let (addr, tasks) = scripted(move |number, mut stream| {
        let counted = Arc::clone(&counted);
        async move {
            if read_head(&mut stream).await.is_empty() {
                return;
            }
            counted.fetch_add(1, Ordering::SeqCst);
            if number > 0 {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                stream.write_all(answer).await.unwrap();
            }
        }
    })
    .await;
    (addr, tasks, requests)
}

#[tokio::test]
async fn a_request_that_changes_nothing_is_sent_once_more() {
    let (addr, _tasks, requests) = breaks_once().await;
    let gateway = Gateway::before(addr).await;
    let (status, body) = get(&gateway.url("/")).await;
    assert_eq!((status, &body[..]), (StatusCode::OK, b"ok".as_slice()));
    assert_eq!(requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_request_that_may_change_something_is_sent_once() {
    for (method, body) in [
        (Method::POST, ""),
        (Method::POST, "x"),
        (Method::PUT, ""),
        (Method::DELETE, ""),
        (Method::PATCH, ""),
        // Safe, but what its body does nobody knows.
        (Method::GET, "x"),
    ] {
        let (addr, _tasks, requests) = breaks_once().await;
        let gateway = Gateway::before(addr).await;
        let request = Request::builder().method(&method).uri(gateway.url("/"));
        let request = request.body(Body::from(body)).unwrap();
        let response = within("the answer", client().request(request))
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY, "{method}");
        assert_eq!(requests.load(Ordering::SeqCst), 1, "{method} {body}");
    }
}

#[tokio::test]
async fn a_client_that_closes_its_half_has_left() {
    let (gone, mut left) = tokio::sync::mpsc::channel(1);
    let (address, _tasks) = scripted(move |_, mut stream| {
        let gone = gone.clone();
        async move {
            read_head(&mut stream).await;
            let _closed = stream.read_u8().await;
            gone.send(()).await.unwrap();
        }
    })
    .await;
    let gateway = Gateway::before(address).await;
    let mut stream = tokio::net::TcpStream::connect(gateway.server.addr)
        .await
        .unwrap();
    let asked = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(asked).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _reset = within("the end", stream.read_to_end(&mut answer)).await;
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    within("the cancel", left.recv()).await.unwrap();
}

#[tokio::test]
async fn an_upstream_that_closes_its_half_has_answered_whole() {
    let (address, _tasks) = scripted(|_, mut stream| async move {
        read_head(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\n\r\nall of it";
        stream.write_all(answer).await.unwrap();
        stream.shutdown().await.unwrap();
        // It goes on reading.
        let _closed = stream.read_u8().await;
    })
    .await;
    let gateway = Gateway::before(address).await;
    for _ in 0..2 {
        let (status, body) = get(&gateway.url("/")).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body, "all of it");
    }
}

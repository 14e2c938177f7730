//! The edge: sockets, addresses and limits.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::WebSocketUpgrade;
use axum::routing::{any, get as on_get};
use contract::Problem;
use gateway::edge::connections::ConnectionLimits;
use gateway::edge::refused_head::{Page, PageParts};
use gateway::edge::serve::ServeConfig;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use web::RequestIds;

use crate::serving::{Server, get, within};

fn hello() -> Router {
    Router::new().route("/", on_get(|| async { "hello" }))
}

/// All that `stream` receives until the server closes it.
async fn read_to_end(mut stream: TcpStream) -> String {
    let mut received = Vec::new();
    // A reset ends the connection as well; what came before it counts.
    let _end = within("closing", stream.read_to_end(&mut received)).await;
    String::from_utf8_lossy(&received).into_owned()
}

#[tokio::test]
async fn a_client_that_sends_its_head_too_slowly_is_cut_off() {
    let config = ServeConfig {
        head_max: Duration::from_millis(100),
        ..ServeConfig::public("slow-head", RequestIds::new(1))
    };
    let server = Server::start_with(hello(), config).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        .await
        .unwrap();
    let answer = read_to_end(stream).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_head_over_the_limit_is_refused() {
    let server = Server::start(hello()).await;
    for header in ["x".repeat(65 * 1024), "1\r\nX-A: ".repeat(210)] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX-A: {header}\r\n\r\n");
        // The server may refuse and close before it has read everything.
        let _refused = stream.write_all(head.as_bytes()).await;
        let answer = read_to_end(stream).await;
        assert!(!answer.contains("hello"), "{answer}");
        // A client that still sends when the connection is closed may miss the answer.
        if !answer.is_empty() {
            assert_refusal(&answer, 431);
        }
    }
}

/// A problem document with this status and the id of its header.
fn assert_refusal(answer: &str, status: u16) -> Problem {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let problem: Problem = serde_json::from_str(body).unwrap();
    assert_eq!(problem.status, status);
    let id = format!("x-request-id: {}\r\n", problem.request_id.as_ref().unwrap());
    assert!(head.contains(&id), "{answer}");
    assert!(
        head.contains("Content-Type: application/problem+json\r\n")
            || head.contains("content-type: application/problem+json\r\n"),
        "{answer}"
    );
    problem
}

async fn raw(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    read_to_end(stream).await
}

#[tokio::test]
async fn what_the_parser_refuses_is_answered_with_a_problem_document() {
    let server = Server::start(hello()).await;
    for head in [
        &b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
        b"GET / HTTP/3.7\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ] {
        assert_refusal(&raw(&server, head).await, 400);
        // Also after requests that were answered, and that answer is as it was.
        let good = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(good).await.unwrap();
        let mut first = vec![0; 512];
        let mut length = 0;
        while !first[..length].ends_with(b"hello") {
            length += within("the answer", stream.read(&mut first[length..]))
                .await
                .unwrap();
        }
        assert!(first.starts_with(b"HTTP/1.1 200 OK"));
        stream.write_all(head).await.unwrap();
        assert_refusal(&read_to_end(stream).await, 400);
    }
}

#[tokio::test]
async fn a_refusal_of_ours_is_sent_as_it_is() {
    // What a service answers in the words of the parser is the service's own.
    let forged = || async { (StatusCode::BAD_REQUEST, "HTTP/1.1 400 Bad Request\r\n\r\n") };
    let server = Server::start(Router::new().route("/", on_get(forged))).await;
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = raw(&server, request).await;
    assert!(
        answer.ends_with("\r\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_connection_rests_longer_than_a_head_may_take() {
    let config = ServeConfig {
        head_max: Duration::from_millis(200),
        keepalive: Duration::from_millis(1_500),
        ..ServeConfig::public("rests", RequestIds::new(1))
    };
    let server = Server::start_with(hello(), config).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let mut answered = vec![0; 4096];
    for _ in 0..2 {
        let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let length = within("an answer", stream.read(&mut answered))
            .await
            .unwrap();
        assert!(answered[..length].starts_with(b"HTTP/1.1 200"));
        let rested = tokio::time::timeout(Duration::from_millis(600), stream.read(&mut answered));
        assert!(
            rested.await.is_err(),
            "the connection was closed while it rested"
        );
    }
    // A head that has begun is another matter, and so is a rest that is too long.
    let began = tokio::time::Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    read_to_end(stream).await;
    assert!(began.elapsed() < Duration::from_millis(1_200));
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let began = tokio::time::Instant::now();
    assert!(read_to_end(stream).await.ends_with("hello"));
    assert!(began.elapsed() > Duration::from_millis(1_000));
}

#[tokio::test]
async fn one_address_has_a_share_of_the_connections() {
    let config = ServeConfig {
        connections: ConnectionLimits {
            per_address_max: 2,
            counts_loopback: true,
            ..ConnectionLimits::default()
        },
        refusal_page: Some(Page::new(|problem| PageParts {
            headers: [(CONTENT_TYPE, HeaderValue::from_static("text/html"))]
                .into_iter()
                .collect(),
            html: problem.title,
        })),
        ..ServeConfig::public("share", RequestIds::new(1))
    };
    let server = Server::start_with(hello(), config).await;
    let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(request).await.unwrap();
        assert_eq!(within("an answer", stream.read_u8()).await.unwrap(), b'H');
        open.push(stream);
    }
    // Nobody has to be asked: who says nothing is told as well.
    let refused = read_to_end(TcpStream::connect(server.addr).await.unwrap()).await;
    assert_refusal(&refused, 503);
    for (accept, reads) in [
        ("text/html", "text/html"),
        ("*/*", "application/problem+json"),
    ] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        // More than is kept, and more after it: what is unread would reset the connection.
        let request = format!(
            "GET / HTTP/1.1\r\nAccept: {accept}\r\n\r\n{}",
            "x".repeat(30_000)
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let refused = read_to_end(stream).await;
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
        assert!(
            refused.contains(&format!("content-type: {reads}")),
            "{refused}"
        );
        assert!(refused.contains("\r\nretry-after: 2\r\n"), "{refused}");
    }
    drop(open.pop());
    within("room for another", async {
        loop {
            let mut next = TcpStream::connect(server.addr).await.unwrap();
            next.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .await
                .unwrap();
            if read_to_end(next).await.contains("hello") {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_off() {
    let (ended, mut ends) = mpsc::unbounded_channel::<()>();
    let endless = move || {
        let ended = ended.clone();
        async move {
            let frame = bytes::Bytes::from(vec![b'x'; 64 * 1024]);
            // The sender inside is dropped together with the body.
            Body::from_stream(futures_util::stream::repeat_with(move || {
                assert!(!ended.is_closed());
                Ok::<_, std::io::Error>(frame.clone())
            }))
        }
    };
    let config = ServeConfig {
        write_stall_max: Duration::from_millis(100),
        ..ServeConfig::public("never-reads", RequestIds::new(1))
    };
    let mut server = Server::start_with(Router::new().route("/", on_get(endless)), config).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    within("the end of the connection", async {
        server.shutdown.cancel();
        server.tasks.join_next().await.unwrap().unwrap();
        // All senders are gone with the router and the body.
        assert!(ends.recv().await.is_none());
    })
    .await;
}

#[tokio::test]
async fn one_connection_too_many_is_refused_and_room_is_made_again() {
    let config = ServeConfig {
        connections: ConnectionLimits {
            total_max: 1,
            ..ConnectionLimits::default()
        },
        ..ServeConfig::public("full", RequestIds::new(1))
    };
    let server = Server::start_with(hello(), config).await;
    let mut first = TcpStream::connect(server.addr).await.unwrap();
    first
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(within("an answer", first.read_u8()).await.unwrap(), b'H');

    let answer = read_to_end(TcpStream::connect(server.addr).await.unwrap()).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let problem: contract::Problem = serde_json::from_str(body).unwrap();
    let id = format!("x-request-id: {}\r\n", problem.request_id.unwrap());
    assert!(head.contains(&id), "{answer}");

    drop(first);
    within("room for another", async {
        loop {
            let mut next = TcpStream::connect(server.addr).await.unwrap();
            next.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .await
                .unwrap();
            if read_to_end(next).await.contains("hello") {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_switched_connection_keeps_its_place() {
    let (release, released) = tokio::sync::watch::channel(false);
    let router = Router::new().route(
        "/live",
        any(move |upgrade: WebSocketUpgrade| {
            let mut released = released.clone();
            async move {
                upgrade.on_upgrade(|socket| async move {
                    let _socket = socket;
                    released.wait_for(|released| *released).await.unwrap();
                })
            }
        }),
    );
    let config = ServeConfig {
        connections: ConnectionLimits {
            total_max: 1,
            ..ConnectionLimits::default()
        },
        ..ServeConfig::public("switched", RequestIds::new(1))
    };
    let server = Server::start_with(router, config).await;
    let url = format!("ws://{}/live", server.addr);
    let (socket, _) = within("the handshake", tokio_tungstenite::connect_async(&url))
        .await
        .unwrap();
    let refused = read_to_end(TcpStream::connect(server.addr).await.unwrap()).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    release.send(true).unwrap();
    drop(socket);
    within("room for another", async {
        while tokio_tungstenite::connect_async(&url).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn shutdown_lets_running_requests_finish() {
    let (begun, mut begins) = mpsc::unbounded_channel();
    let (finish, finished) = tokio::sync::watch::channel(false);
    let router = Router::new().route(
        "/",
        on_get(move || {
            let (begun, mut finished) = (begun.clone(), finished.clone());
            async move {
                begun.send(()).unwrap();
                finished.wait_for(|finished| *finished).await.unwrap();
                "finished"
            }
        }),
    );
    let mut server = Server::start(router).await;
    let url = server.url("/");
    let mut running = JoinSet::new();
    running.spawn(async move { get(&url).await });
    within("the request", begins.recv()).await.unwrap();
    server.shutdown.cancel();
    within("the listener's end", async {
        while TcpStream::connect(server.addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    finish.send(true).unwrap();
    let (status, body) = within("the answer", running.join_next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (status, &body[..]),
        (StatusCode::OK, b"finished".as_slice())
    );
    within("the server's end", server.tasks.join_next())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn shutdown_cuts_off_what_outlasts_the_grace_period() {
    let (begun, mut begins) = mpsc::unbounded_channel();
    let router = Router::new().route(
        "/",
        on_get(move || {
            begun.send(()).unwrap();
            std::future::pending::<StatusCode>()
        }),
    );
    let config = ServeConfig {
        grace: Duration::from_millis(50),
        ..ServeConfig::public("grace", RequestIds::new(1))
    };
    let mut server = Server::start_with(router, config).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    within("the request", begins.recv()).await.unwrap();
    server.shutdown.cancel();
    within("the server's end", server.tasks.join_next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read_to_end(stream).await, "");
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_shutdown() {
    let mut server = Server::start(hello()).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(within("an answer", stream.read_u8()).await.unwrap(), b'H');
    server.shutdown.cancel();
    within("the server's end", server.tasks.join_next())
        .await
        .unwrap()
        .unwrap();
}

//! The proxy between a real client and a real upstream.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::WebSocketUpgrade;
use axum::extract::ws::{Message, WebSocket};
use axum::response::IntoResponse;
use axum::routing::{any, get as on_get, post};
use bytes::Bytes;
use contract::{ManualClock, ProblemCode, SystemClock, principal};
use futures_util::{SinkExt, StreamExt};
use gateway::proxy::{BreakerState, Command, ProxyConfig};
use http::header::{COOKIE, HOST, RETRY_AFTER};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::serving::{Gateway, Server, channel_body, client, fan, get, get_problem, within};

const MIB: usize = 1024 * 1024;

/// An upstream that keeps the heads of the requests it gets.
struct Recorder {
    server: Server,
    seen: Arc<Mutex<Vec<(String, HeaderMap)>>>,
}

impl Recorder {
    async fn start() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&seen);
        let router = Router::new().fallback(move |request: Request<Body>| {
            let line = format!("{} {}", request.method(), request.uri());
            keep.lock().unwrap().push((line, request.headers().clone()));
            async move {
                // Read to the end, so that what follows on the connection is the next request.
                let body = request.into_body().collect().await.unwrap().to_bytes();
                format!("{} bytes", body.len())
            }
        });
        Self {
            server: Server::start(router).await,
            seen,
        }
    }

    fn lines(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|(line, _)| line.clone()).collect()
    }

    fn last_headers(&self) -> HeaderMap {
        self.seen.lock().unwrap().last().unwrap().1.clone()
    }
}

/// An upstream that handles each connection by `script`, in which it is given its number.
async fn scripted<F, Fut>(script: F) -> (SocketAddr, JoinSet<()>)
where
    F: Fn(usize, TcpStream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            connections.spawn(script(number, stream));
        }
    });
    (addr, tasks)
}

/// Reads up to the empty line that ends a head.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Writes raw bytes to the gateway and gives all it answers until it closes.
async fn raw(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // The gateway may reset the connection after refusing; what it said before that counts.
    let _closed = within("closing", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn an_answer_streams_before_it_is_complete() {
    let (feed, body) = channel_body();
    let body = Arc::new(Mutex::new(Some(body)));
    let router = Router::new().route(
        "/",
        on_get(move || {
            let body = body.lock().unwrap().take().unwrap();
            async { body }
        }),
    );
    let upstream = Server::start(router).await;
    let gateway = Gateway::before(upstream.addr).await;

    let request = Request::get(gateway.url("/")).body(Body::empty()).unwrap();
    let mut response = within("the head", client().request(request)).await.unwrap();
    for part in ["first", "second"] {
        // The next part is only made after the one before it has arrived.
        feed.send(Bytes::from(part)).await.unwrap();
        let frame = within(part, response.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), part);
    }
    drop(feed);
    assert!(within("the end", response.frame()).await.is_none());
}

#[tokio::test]
async fn a_request_streams_before_it_is_complete() {
    let (arrived, mut arrivals) = mpsc::channel::<Bytes>(8);
    let router = Router::new().route(
        "/",
        post(move |request: Request<Body>| {
            let arrived = arrived.clone();
            async move {
                let mut body = request.into_body();
                while let Some(frame) = body.frame().await {
                    let data = frame.unwrap().into_data().unwrap();
                    arrived.send(data).await.unwrap();
                }
                "done"
            }
        }),
    );
    let upstream = Server::start(router).await;
    let gateway = Gateway::before(upstream.addr).await;

    let (feed, body) = channel_body();
    let request = Request::post(gateway.url("/")).body(body).unwrap();
    let mut sending = JoinSet::new();
    sending.spawn(async move { client().request(request).await.unwrap().status() });
    for part in ["first", "second"] {
        feed.send(Bytes::from(part)).await.unwrap();
        assert_eq!(within(part, arrivals.recv()).await.unwrap(), part);
    }
    drop(feed);
    let status = within("the answer", sending.join_next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status, StatusCode::OK);
}

/// `total` bytes in frames of 64 KiB, counted in `produced` when they are asked for.
fn counted_body(total: usize, produced: Arc<AtomicUsize>) -> Body {
    let frame = Bytes::from(vec![b'x'; 64 * 1024]);
    let frames = futures_util::stream::iter(0..total / frame.len()).map(move |_| {
        produced.fetch_add(frame.len(), Ordering::SeqCst);
        Ok::<_, std::io::Error>(frame.clone())
    });
    Body::from_stream(frames)
}

/// Reads `body` to its end; gives its length and how far its producer was ahead at most.
async fn read_counting_lead<B>(mut body: B, produced: &AtomicUsize) -> (usize, usize)
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Debug,
{
    let (mut read, mut lead_max) = (0, 0);
    while let Some(frame) = body.frame().await {
        lead_max = lead_max.max(produced.load(Ordering::SeqCst) - read);
        read += frame.unwrap().into_data().unwrap().len();
    }
    (read, lead_max)
}

/// Far more than all socket buffers between producer and reader, far less than a whole body.
const LEAD_MAX: usize = 48 * MIB;
const LARGE: usize = 160 * MIB;

#[tokio::test]
async fn a_large_upload_is_not_gathered() {
    let produced = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&produced);
    let router = Router::new().route(
        "/",
        post(move |request: Request<Body>| async move {
            let (read, lead) = read_counting_lead(request.into_body(), &counted).await;
            format!("{read} {lead}")
        }),
    );
    let upstream = Server::start(router).await;
    let gateway = Gateway::before(upstream.addr).await;

    let body = counted_body(LARGE, Arc::clone(&produced));
    let request = Request::post(gateway.url("/")).body(body).unwrap();
    let response = within("the answer", client().request(request))
        .await
        .unwrap();
    let answer = response.into_body().collect().await.unwrap().to_bytes();
    let (read, lead) = std::str::from_utf8(&answer)
        .unwrap()
        .split_once(' ')
        .unwrap();
    assert_eq!(read.parse::<usize>().unwrap(), LARGE);
    assert!(
        lead.parse::<usize>().unwrap() < LEAD_MAX,
        "{lead} bytes were underway at once"
    );
}

#[tokio::test]
async fn a_large_download_is_not_gathered() {
    let produced = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&produced);
    let router = Router::new().route(
        "/",
        on_get(move || async move { counted_body(LARGE, Arc::clone(&counted)) }),
    );
    let upstream = Server::start(router).await;
    let gateway = Gateway::before(upstream.addr).await;

    let request = Request::get(gateway.url("/")).body(Body::empty()).unwrap();
    let response = within("the head", client().request(request)).await.unwrap();
    let (read, lead) = within(
        "the whole body",
        read_counting_lead(response.into_body(), &produced),
    )
    .await;
    assert_eq!(read, LARGE);
    assert!(lead < LEAD_MAX, "{lead} bytes were underway at once");
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Text(text) = message {
            socket.send(Message::Text(text)).await.unwrap();
        }
    }
}

fn websocket_upstream() -> Router {
    Router::new().route(
        "/echo",
        any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }),
    )
}

#[tokio::test]
async fn a_websocket_passes_through() {
    use tokio_tungstenite::tungstenite::Message as Frame;

    let upstream = Server::start(websocket_upstream()).await;
    let gateway = Gateway::before(upstream.addr).await;
    let url = format!("ws://{}/echo", gateway.server.addr);
    let (mut socket, _) = within("the handshake", tokio_tungstenite::connect_async(url))
        .await
        .unwrap();
    for text in ["one", "two"] {
        socket.send(Frame::text(text)).await.unwrap();
        let echoed = within("the echo", socket.next()).await.unwrap().unwrap();
        assert_eq!(echoed.into_text().unwrap().as_str(), text);
    }
    assert_eq!(gateway.proxy.health(&gateway.upstream).in_flight, 1);
    socket.close(None).await.unwrap();
    within("closing", async { while socket.next().await.is_some() {} }).await;
    // Each direction ends by itself; the slot is free when both have.
    drop(socket);
    within("the slot", async {
        while gateway.proxy.health(&gateway.upstream).in_flight > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn shutdown_closes_tunnels() {
    let upstream = Server::start(websocket_upstream()).await;
    let gateway = Gateway::before(upstream.addr).await;
    let url = format!("ws://{}/echo", gateway.server.addr);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    within("shutdown", gateway.proxy.shutdown()).await;
    within("the end of the socket", async {
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await;
}

#[tokio::test]
async fn a_silent_tunnel_ends() {
    let upstream = Server::start(websocket_upstream()).await;
    let config = ProxyConfig {
        tunnel_idle_max: Duration::from_millis(200),
        ..ProxyConfig::default()
    };
    let gateway = Gateway::configured(upstream.addr, config, Arc::new(SystemClock)).await;
    let url = format!("ws://{}/echo", gateway.server.addr);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    within("the end of the socket", async {
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_to_http2_is_not_passed_on() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::before(recorder.server.addr).await;
    let answer = raw(
        gateway.server.addr,
        b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\
          Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let headers = recorder.last_headers();
    assert!(!headers.contains_key("upgrade"));
    assert!(!headers.contains_key("http2-settings"));
}

#[tokio::test]
async fn what_a_client_forges_never_arrives() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::before(recorder.server.addr).await;
    let answer = raw(
        gateway.server.addr,
        b"POST /a?b=c HTTP/1.1\r\nHost: tickets.example\r\n\
          Ropeline-Room: forged\r\nRopeline_Room: forged\r\nROPELINE-Subject: forged\r\n\
          X-Forwarded-For: forged\r\nX_Forwarded_For: forged\r\nX-Forwarded-Host: forged\r\n\
          Forwarded: for=forged\r\nX-Real-IP: forged\r\nX-Request-Id: forged\r\n\
          X-Original-URL: /forged\r\nX-Private: forged\r\nKeep-Alive: forged\r\n\
          Cookie: cart=1; __Host-ropeline_pass_eras=forged; ropeline_place_eras=forged\r\n\
          Connection: close, X-Private, X-Forwarded-For, Ropeline-Room, X-Request-Id\r\n\
          Transfer-Encoding: chunked\r\nTrailer: Ropeline-Room, X-Sum\r\n\r\n\
          5\r\nhello\r\n0\r\nRopeline-Room: forged\r\nX-Sum: 1\r\n\r\n",
    )
    .await;
    assert!(answer.contains("5 bytes"), "{answer}");
    assert_eq!(recorder.lines(), ["POST /a?b=c"]);
    let headers = recorder.last_headers();
    for (name, value) in &headers {
        let is_list_of_names = name == "trailer";
        assert!(
            is_list_of_names || !value.to_str().unwrap().contains("forged"),
            "{name}"
        );
    }
    assert_eq!(headers[COOKIE], "cart=1");
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-host"], "tickets.example");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-request-id"], "request-1");
    assert_eq!(headers[HOST], recorder.server.addr.to_string());
    assert_eq!(principal::read(&headers), [fan()]);
    assert!(!headers.contains_key("connection"));
    assert!(!headers.contains_key("x-private"));
}

#[tokio::test]
async fn a_forged_trailer_never_arrives() {
    let (heads, mut trailers) = mpsc::unbounded_channel();
    let router = Router::new().fallback(move |request: Request<Body>| {
        let heads = heads.clone();
        async move {
            let body = request.into_body().collect().await.unwrap();
            heads.send(body.trailers().cloned()).unwrap();
        }
    });
    let upstream = Server::start(router).await;
    let gateway = Gateway::before(upstream.addr).await;
    raw(
        gateway.server.addr,
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
          Trailer: Ropeline-Room, X-Sum\r\n\r\n\
          5\r\nhello\r\n0\r\nRopeline-Room: forged\r\nX-Sum: 1\r\n\r\n",
    )
    .await;
    let trailers = within("the trailers", trailers.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(trailers.len(), 1);
    assert_eq!(trailers["x-sum"], "1");
}

#[tokio::test]
async fn a_fan_does_not_learn_where_the_upstream_is() {
    let (addr, _tasks) = scripted(|_, mut stream| async move {
        let host = stream.local_addr().unwrap();
        read_head(&mut stream).await;
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{host}/next?a=b\r\n\
             Content-Location: //{host}/here\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let gateway = Gateway::before(addr).await;
    let request = Request::get(gateway.url("/")).body(Body::empty()).unwrap();
    let response = within("the answer", client().request(request))
        .await
        .unwrap();
    assert_eq!(response.headers()["location"], "/next?a=b");
    assert_eq!(response.headers()["content-location"], "/here");
}

#[tokio::test]
async fn an_upstreams_word_to_the_gateway_ends_here() {
    let router = Router::new().route(
        "/",
        on_get(|| async {
            [
                ("ropeline-command", "end-session"),
                ("ropeline-room", "leak"),
                ("keep-alive", "timeout=5"),
                ("x-hop", "1"),
                ("connection", "x-hop"),
                ("x-kept", "1"),
            ]
            .into_response()
        }),
    );
    let upstream = Server::start(router).await;
    let mut gateway = Gateway::before(upstream.addr).await;
    let request = Request::get(gateway.url("/")).body(Body::empty()).unwrap();
    let response = within("the answer", client().request(request))
        .await
        .unwrap();
    assert_eq!(gateway.commands.recv().await, Some(Command::EndSession));
    let mut names: Vec<_> = response
        .headers()
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "date", "x-kept"]);
}

#[tokio::test]
async fn ambiguous_framing_never_becomes_a_second_request() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::before(recorder.server.addr).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let attempts = [
        // Two lengths that contradict each other.
        format!(
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n{smuggled}"
        ),
        format!("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 40\r\n\r\n{smuggled}"),
        format!("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: +40\r\n\r\n{smuggled}"),
        // An encoding that one parser reads as chunked and another does not.
        format!(
            "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{smuggled}"
        ),
        format!(
            "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n{smuggled}"
        ),
        format!(
            "POST /a HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
        ),
        // A folded line.
        format!("POST /a HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n Content-Length: 40\r\n\r\n{smuggled}"),
        // A chunk size with more than a number.
        format!(
            "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{smuggled}"
        ),
    ];
    for attempt in &attempts {
        let answer = raw(gateway.server.addr, attempt.as_bytes()).await;
        assert!(
            answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4"),
            "{attempt}{answer}"
        );
        assert!(!answer.contains("HTTP/1.1 200"), "{attempt}{answer}");
    }
    assert!(
        !recorder.lines().contains(&"GET /smuggled".to_owned()),
        "{:?}",
        recorder.lines()
    );
}

#[tokio::test]
async fn length_and_chunks_together_reach_the_upstream_as_one_message() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::before(recorder.server.addr).await;
    let answer = raw(
        gateway.server.addr,
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nConnection: close\r\n\
          Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    .await;
    // Chunks win, the length is dropped and the connection ends: nothing is left to misread.
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert!(
        recorder.lines().iter().all(|line| line == "POST /a"),
        "{:?}",
        recorder.lines()
    );
    if let Some((_, headers)) = recorder.seen.lock().unwrap().first() {
        assert!(
            !headers.contains_key("content-length") || !headers.contains_key("transfer-encoding")
        );
    }
}

#[tokio::test]
async fn connect_and_trace_are_refused() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::before(recorder.server.addr).await;
    for head in ["TRACE / HTTP/1.1", "CONNECT inside:22 HTTP/1.1"] {
        let answer = raw(
            gateway.server.addr,
            format!("{head}\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    }
    assert!(recorder.lines().is_empty());
}

#[tokio::test]
async fn the_target_host_is_the_upstreams_whatever_the_client_names() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::before(recorder.server.addr).await;
    let answer = raw(
        gateway.server.addr,
        b"GET http://169.254.169.254/meta HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(recorder.lines(), ["GET /meta"]);
}

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
            1,
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
    for body in [Body::empty(), Body::from("x")] {
        let (addr, _tasks, requests) = breaks_once().await;
        let gateway = Gateway::before(addr).await;
        let request = Request::post(gateway.url("/")).body(body).unwrap();
        let response = within("the answer", client().request(request))
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        assert_eq!(requests.load(Ordering::SeqCst), 1);
    }
}

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

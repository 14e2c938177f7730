//! What comes by HTTP/2 and goes on by HTTP/1.1.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Frame;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::client_with;
use crate::serving::{Gateway, Server, within};

type Streamed = http_body_util::StreamBody<
    futures_util::stream::BoxStream<'static, Result<Frame<Bytes>, std::io::Error>>,
>;

/// A body in two parts, of unknown length.
fn in_parts() -> Streamed {
    let parts = [b"hel", b"lo!"].map(|part| Ok(Frame::data(Bytes::from_static(part))));
    http_body_util::StreamBody::new(Box::pin(futures_util::stream::iter(parts)))
}

async fn client<B>(gateway: &Gateway) -> SendRequest<B>
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    client_with(&gateway.server, Builder::new(TokioExecutor::new())).await
}

/// Tells in a header what arrived.
fn telling() -> Router {
    Router::new().fallback(async |request: Request<Body>| {
        let line = format!(
            "{:?} {} {}",
            request.version(),
            request.method(),
            request.uri()
        );
        let headers = request.headers();
        let has = |name: &str| {
            headers
                .get(name)
                .map_or("-", |value| value.to_str().unwrap())
        };
        let framing = format!("{}/{}", has("content-length"), has("transfer-encoding"));
        let hosts = headers.get_all("host").iter().count();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let seen = format!("{line} {framing} {hosts} {}", body.len());
        ([("x-seen", seen)], "answer")
    })
}

#[tokio::test]
async fn each_method_and_framing_of_http_2_is_one_request_of_http_1() {
    let upstream = Server::start(telling()).await;
    let gateway = Gateway::before(upstream.addr).await;
    let mut whole: SendRequest<Full<Bytes>> = client(&gateway).await;
    for (method, body, seen) in [
        ("GET", "", "-/- 1 0"),
        ("HEAD", "", "-/- 1 0"),
        ("DELETE", "", "-/- 1 0"),
        ("OPTIONS", "", "0/- 1 0"),
        ("BREW", "", "0/- 1 0"),
        ("POST", "hello!", "6/- 1 6"),
        ("PUT", "hello!", "6/- 1 6"),
        ("GET", "hello!", "6/- 1 6"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri("http://line.test/a?b=c");
        let request = request.body(Full::from(body)).unwrap();
        let answer = within(method, whole.send_request(request)).await.unwrap();
        let expected = format!("HTTP/1.1 {method} /a?b=c {seen}");
        assert_eq!(answer.headers()["x-seen"], expected);
        assert_eq!(answer.headers()["content-length"], "6");
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(text, if method == "HEAD" { "" } else { "answer" });
    }
    let mut parts: SendRequest<Streamed> = client(&gateway).await;
    let request = Request::post("http://line.test/a")
        .body(in_parts())
        .unwrap();
    let answer = within("parts", parts.send_request(request)).await.unwrap();
    assert_eq!(answer.headers()["x-seen"], "HTTP/1.1 POST /a -/chunked 1 6");
}

#[tokio::test]
async fn a_length_that_is_not_the_bodys_is_a_reset_and_no_request_that_is_whole() {
    let upstream = Server::start(telling()).await;
    let gateway = Gateway::before(upstream.addr).await;
    for length in ["3", "40"] {
        let mut client: SendRequest<Streamed> = client(&gateway).await;
        let request = Request::post("http://line.test/a").header("content-length", length);
        let request = request.body(in_parts()).unwrap();
        let answer = within("the end", client.send_request(request)).await;
        assert!(
            !answer.is_ok_and(|answer| answer.status().is_success()),
            "{length}"
        );
    }
}

/// An upstream that does with each connection what `script` says.
async fn scripted<F, Fut>(script: F) -> (std::net::SocketAddr, JoinSet<()>)
where
    F: Fn(tokio::net::TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            connections.spawn(script(stream));
        }
    });
    (address, tasks)
}

async fn head_of(stream: &mut tokio::net::TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn an_answer_that_breaks_is_a_reset_and_the_connection_goes_on() {
    let (address, _tasks) = scripted(async |mut stream| {
        let head = head_of(&mut stream).await;
        let answer: &[u8] = if head.contains("/breaks") {
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"
        } else if head.contains("/garbage") {
            b"garbage\r\n\r\n"
        } else {
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close, x-hop\r\nX-Hop: 1\r\n\r\nwhole"
        };
        stream.write_all(answer).await.unwrap();
    })
    .await;
    let gateway = Gateway::before(address).await;
    let mut client: SendRequest<Full<Bytes>> = client(&gateway).await;
    let mut ask = async |path: &str| {
        let request = Request::get(format!("http://line.test{path}"));
        let request = request.body(Full::default()).unwrap();
        within(path, client.send_request(request)).await.unwrap()
    };
    let broken = ask("/breaks").await;
    assert_eq!(broken.status(), 200);
    assert!(
        within("the break", broken.into_body().collect())
            .await
            .is_err()
    );
    assert_eq!(ask("/garbage").await.status(), 502);
    let whole = ask("/whole").await;
    assert!(!whole.headers().contains_key("x-hop") && !whole.headers().contains_key("connection"));
    assert_eq!(
        whole.into_body().collect().await.unwrap().to_bytes(),
        "whole"
    );
}

#[tokio::test]
async fn a_stream_that_is_reset_is_cancelled_at_the_upstream_and_no_other_is() {
    let (gone, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, asked) = (gone.clone(), answer.clone());
    let (address, _tasks) = scripted(move |mut stream| {
        let (gone, answer) = (told.clone(), asked.clone());
        async move {
            if head_of(&mut stream).await.contains("/left") {
                let _closed = stream.read_u8().await;
                gone.notify_one();
                return;
            }
            answer.notified().await;
            let text = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere";
            stream.write_all(text).await.unwrap();
        }
    })
    .await;
    let gateway = Gateway::before(address).await;
    let mut client: SendRequest<Full<Bytes>> = client(&gateway).await;
    let get = |path: &str| {
        let request = Request::get(format!("http://line.test{path}"));
        request.body(Full::default()).unwrap()
    };
    let stays = client.send_request(get("/stays"));
    let left = tokio::time::timeout(
        Duration::from_millis(300),
        client.send_request(get("/left")),
    );
    assert!(left.await.is_err(), "it is not answered");
    within("the cancel", gone.notified()).await;
    answer.notify_one();
    let stays = within("the other", stays).await.unwrap();
    assert_eq!(
        stays.into_body().collect().await.unwrap().to_bytes(),
        "here"
    );
}

#[tokio::test]
async fn forged_fields_and_trailers_by_http_2_never_arrive() {
    let upstream = Router::new().fallback(async |request: Request<Body>| {
        let (head, body) = request.into_parts();
        let collected = body.collect().await.unwrap();
        let mut all: HeaderMap = head.headers;
        all.extend(collected.trailers().cloned().unwrap_or_default());
        let names: Vec<_> = all.keys().map(|name| name.as_str().to_owned()).collect();
        let subjects = all.get_all("ropeline-subject").iter();
        assert!(subjects.count() <= 1);
        names.join(" ")
    });
    let upstream = Server::start(upstream).await;
    let gateway = Gateway::before(upstream.addr).await;
    let mut client: SendRequest<Streamed> = client(&gateway).await;
    let mut trailers = HeaderMap::new();
    for name in ["ropeline-command", "x-forwarded-proto", "x-end"] {
        trailers.insert(name, "1".parse().unwrap());
    }
    let frames = [
        Ok(Frame::data(Bytes::from_static(b"body"))),
        Ok(Frame::trailers(trailers)),
    ];
    let body =
        http_body_util::StreamBody::new(Box::pin(futures_util::stream::iter(frames))
            as futures_util::stream::BoxStream<'static, _>);
    let request = Request::builder()
        .method(Method::POST)
        .uri("http://line.test/")
        .header("te", "trailers")
        .header("trailer", "x-end, ropeline-command, x-forwarded-proto")
        .header("x-original-url", "/admin")
        .header("ropeline-subject", "forged")
        .body(body)
        .unwrap();
    let answer = within("the answer", client.send_request(request))
        .await
        .unwrap();
    let names = answer.into_body().collect().await.unwrap().to_bytes();
    let names = String::from_utf8(names.to_vec()).unwrap();
    assert!(
        !names.contains("x-original-url") && !names.contains("ropeline-command"),
        "{names}"
    );
    assert!(names.contains("x-end"), "{names}");
}

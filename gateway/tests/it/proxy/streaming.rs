//! Bodies stream both ways and are never gathered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::routing::{get as on_get, post};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{MIB, read_head, scripted};
use crate::serving::{Gateway, Server, channel_body, client, within};

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
pub(super) fn counted_body(total: usize, produced: Arc<AtomicUsize>) -> Body {
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
pub(super) const LARGE: usize = 160 * MIB;

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

#[tokio::test]
async fn a_grpc_web_call_passes_as_it_is() {
    // A message and, in the body as gRPC-Web has them, the trailers.
    let message: &[u8] = b"\x00\x00\x00\x00\x02\xff\x00";
    let trailers: &[u8] = b"\x80\x00\x00\x00\x0fgrpc-status:0\r\n";
    let router = Router::new().route(
        "/shop.Cart/Add",
        post(|request: Request<Body>| async move {
            let kind = request.headers()["content-type"].clone();
            let marks = request.headers()["x-grpc-web"].clone();
            let asked = request.into_body().collect().await.unwrap().to_bytes();
            let frames = [
                asked,
                Bytes::from_static(b"\x80\x00\x00\x00\x0fgrpc-status:0\r\n"),
            ];
            let frames = frames.map(Ok::<_, std::io::Error>);
            let body = Body::from_stream(futures_util::stream::iter(frames));
            ([("content-type", kind), ("x-was", marks)], body)
        }),
    );
    let upstream = Server::start(router).await;
    let gateway = Gateway::before(upstream.addr).await;
    let request = Request::post(gateway.url("/shop.Cart/Add"))
        .header("content-type", "application/grpc-web+proto")
        .header("x-grpc-web", "1")
        .header("grpc-timeout", "5S")
        .body(Body::from(message))
        .unwrap();
    let answer = within("the answer", client().request(request))
        .await
        .unwrap();
    assert_eq!(
        answer.headers()["content-type"],
        "application/grpc-web+proto"
    );
    assert_eq!(answer.headers()["x-was"], "1");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, [message, trailers].concat());
}

#[tokio::test]
async fn a_grpc_web_stream_is_not_gathered() {
    let (feed, body) = channel_body();
    let body = Arc::new(Mutex::new(Some(body)));
    let router = Router::new().route(
        "/shop.Cart/Watch",
        post(move || {
            let body = body.lock().unwrap().take().unwrap();
            async { ([("content-type", "application/grpc-web+proto")], body) }
        }),
    );
    let upstream = Server::start(router).await;
    let gateway = Gateway::before(upstream.addr).await;
    let request = Request::post(gateway.url("/shop.Cart/Watch"))
        .header("content-type", "application/grpc-web+proto")
        .body(Body::from("\0\0\0\0\0"))
        .unwrap();
    let mut answer = within("the head", client().request(request)).await.unwrap();
    for part in [
        &b"\x00\x00\x00\x00\x01a"[..],
        b"\x00\x00\x00\x00\x01b",
        b"\x80\x00\x00\x00\x0fgrpc-status:0\r\n",
    ] {
        feed.send(Bytes::from_static(part)).await.unwrap();
        let frame = within("a message", answer.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), part);
    }
    drop(feed);
    assert!(within("the end", answer.frame()).await.is_none());
}

#[tokio::test]
async fn a_client_may_send_all_of_its_body_before_it_reads_the_answer() {
    const BYTES: usize = 32 * MIB;
    let (address, _tasks) = scripted(|_, mut stream| async move {
        read_head(&mut stream).await;
        let (mut from, mut to) = stream.split();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n");
        let answering = async {
            to.write_all(head.as_bytes()).await.unwrap();
            to.write_all(&vec![b'a'; BYTES]).await.unwrap();
        };
        let mut taken = vec![0; BYTES];
        let ((), read) = tokio::join!(answering, from.read_exact(&mut taken));
        read.unwrap();
    })
    .await;
    let gateway = Gateway::before(address).await;
    let mut stream = tokio::net::TcpStream::connect(gateway.server.addr)
        .await
        .unwrap();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {BYTES}\r\n\r\n");
    let sending = async {
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'q'; BYTES]).await.unwrap();
    };
    within("all is sent", sending).await;
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200 "));
    let mut answer = vec![0; BYTES];
    within("the answer", stream.read_exact(&mut answer))
        .await
        .unwrap();
}

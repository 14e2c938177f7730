//! Clients that keep a body back until they are asked for it (`Expect: 100-continue`).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{read_head, scripted};
use crate::serving::{Gateway, within};

const HEAD: &str = "POST /upload HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
                    Content-Length: 5\r\n\r\n";
const ASKS: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const DONE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn asking(gateway: &Gateway) -> TcpStream {
    let mut client = TcpStream::connect(gateway.server.addr).await.unwrap();
    client.write_all(HEAD.as_bytes()).await.unwrap();
    client
}

#[tokio::test]
async fn a_refusal_comes_without_the_body_being_asked_for() {
    for closes in [true, false] {
        let (heads, mut seen) = mpsc::unbounded_channel();
        let (addr, _tasks) = scripted(move |_, mut stream| {
            let heads = heads.clone();
            async move {
                let head = read_head(&mut stream).await;
                let close = if closes { "Connection: close\r\n" } else { "" };
                let answer = format!(
                    "HTTP/1.1 413 Payload Too Large\r\n{close}Content-Length: 9\r\n\r\ntoo large"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
                let mut body = Vec::new();
                if !closes {
                    let _ended = stream.read_to_end(&mut body).await;
                }
                heads.send((head, body)).unwrap();
            }
        })
        .await;
        let gateway = Gateway::before(addr).await;
        for round in 0..20 {
            let mut client = asking(&gateway).await;
            let mut answer = String::new();
            within("the refusal", client.read_to_string(&mut answer))
                .await
                .unwrap();
            assert!(
                answer.starts_with("HTTP/1.1 413 "),
                "{closes} {round}: {answer}"
            );
            assert!(answer.ends_with("too large"), "{closes} {round}: {answer}");
            assert!(
                !answer.contains("100 Continue"),
                "{closes} {round}: {answer}"
            );
            let (head, body) = within("the request", seen.recv()).await.unwrap();
            assert!(
                head.to_lowercase().contains("expect: 100-continue"),
                "{head}"
            );
            assert!(body.is_empty(), "{body:?}");
        }
        assert_eq!(
            gateway.proxy.health(&gateway.upstream).failures,
            0,
            "{closes}"
        );
        within("the slots", async {
            while gateway.proxy.health(&gateway.upstream).in_flight > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn the_body_is_asked_for_when_the_upstream_asks() {
    let (addr, _tasks) = scripted(|_, mut stream| async move {
        while !read_head(&mut stream).await.is_empty() {
            stream.write_all(ASKS.as_bytes()).await.unwrap();
            let mut body = [0; 5];
            stream.read_exact(&mut body).await.unwrap();
            assert_eq!(&body, b"hello");
            stream.write_all(DONE.as_bytes()).await.unwrap();
        }
    })
    .await;
    let gateway = Gateway::before(addr).await;
    // Again on the same connections, which have rested.
    let mut client = TcpStream::connect(gateway.server.addr).await.unwrap();
    for _ in 0..3 {
        client.write_all(HEAD.as_bytes()).await.unwrap();
        let began = Instant::now();
        assert_eq!(within("asking", read_head(&mut client)).await, ASKS);
        assert!(
            began.elapsed() < Duration::from_millis(900),
            "the upstream asked at once"
        );
        client.write_all(b"hello").await.unwrap();
        let answer = within("the answer", read_head(&mut client)).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let mut body = [0; 2];
        client.read_exact(&mut body).await.unwrap();
    }
}

#[tokio::test]
async fn an_upstream_that_never_asks_gets_the_body_all_the_same() {
    let (addr, _tasks) = scripted(|_, mut stream| async move {
        read_head(&mut stream).await;
        let mut body = [0; 5];
        stream.read_exact(&mut body).await.unwrap();
        stream.write_all(DONE.as_bytes()).await.unwrap();
    })
    .await;
    let gateway = Gateway::before(addr).await;
    let mut client = asking(&gateway).await;
    assert_eq!(within("asking", read_head(&mut client)).await, ASKS);
    client.write_all(b"hello").await.unwrap();
    let answer = within("the answer", read_head(&mut client)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

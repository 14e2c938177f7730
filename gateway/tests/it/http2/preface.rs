//! The beginning of a connection in several segments.

use std::time::Duration;

use axum::Router;
use axum::routing::get as on_get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::frames::{Frames, HEADERS, PREFACE, get};
use super::impatient;
use crate::serving::{Server, within};

fn server() -> Server {
    let router = Router::new().route("/", on_get(async || "here"));
    Server::start_on_cores(router, impatient())
}

#[tokio::test]
async fn a_preface_in_several_segments_is_one() {
    let server = server();
    let cuts = [1, 4, 8, 12, 16, 18, 19, 23];
    let mut pieces: Vec<Vec<&[u8]>> = cuts
        .iter()
        .map(|cut| vec![&PREFACE[..*cut], &PREFACE[*cut..]])
        .collect();
    pieces.push(PREFACE.chunks(6).collect());
    for pieces in pieces {
        let mut frames = Frames::connect_in_pieces(server.addr, &[], &pieces).await;
        frames.ask(1, &get("/", &[])).await;
        let kinds = frames.until_end(Duration::from_secs(10)).await;
        assert!(kinds.contains(&HEADERS), "{pieces:?}: {kinds:?}");
    }
}

#[tokio::test]
async fn half_a_preface_is_waited_for_no_longer_than_a_head() {
    let server = server();
    for (sent, expected) in [
        (&b"PRI * HTTP/2.0\r\n\r\n"[..], ""),
        (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "HTTP/1.1 400 "),
        (b"PRI /there HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP/1.1 404 "),
    ] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(&sent[..8]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
        stream.write_all(&sent[8..]).await.unwrap();
        let mut answer = Vec::new();
        within("the end", stream.read_to_end(&mut answer))
            .await
            .unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with(expected) && answer.is_empty() == expected.is_empty(),
            "{expected}: {answer}"
        );
    }
}

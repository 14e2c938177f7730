//! Requests that are answered before their bodies were read.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::serving::within;
use crate::test_app::World;

/// A fan whose request is answered early, and the next fan whom a balancer sends by the same
/// connection.
#[tokio::test]
async fn a_connection_whose_body_was_not_wanted_takes_the_next_request() {
    let world = World::create().await;
    world.room(json!({"totalActiveUsers": 0})).await;
    let app = world.gateway().await;
    for (target, length) in [
        ("/eras", 14),
        ("/eras", 60_000),
        ("/eras", 900_000),
        ("/_line/v1/rooms/none/places", 60_000),
        ("/_line/none", 60_000),
        ("/eras/%2f", 60_000),
    ] {
        let mut client = TcpStream::connect(app.addr()).await.unwrap();
        let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        // The answer is on its way, or could be.
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.write_all(&vec![b'x'; length]).await.unwrap();
        let next = "GET /_line/v1/rooms/eras HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        client.write_all(next.as_bytes()).await.unwrap();
        let mut answers = String::new();
        within("the answers", client.read_to_string(&mut answers))
            .await
            .unwrap();
        assert_eq!(
            answers.matches("HTTP/1.1 ").count(),
            2,
            "{target} {length}: {answers}"
        );
        assert!(
            answers.contains("HTTP/1.1 200 OK"),
            "{target} {length}: {answers}"
        );
    }
}

#[tokio::test]
async fn an_answer_to_a_body_that_is_too_much_says_that_the_connection_closes_and_arrives() {
    let world = World::create().await;
    world.room(json!({"totalActiveUsers": 0})).await;
    let app = world.gateway().await;
    for expect in ["", "Expect: 100-continue\r\n"] {
        let mut client = TcpStream::connect(app.addr()).await.unwrap();
        let length = 3_000_000;
        let head =
            format!("POST /eras HTTP/1.1\r\nHost: a\r\n{expect}Content-Length: {length}\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        if expect.is_empty() {
            // A client that reads only once it has sent everything it can.
            let _refused = client.write_all(&vec![b'x'; length]).await;
        }
        let mut answer = Vec::new();
        within("the answer", client.read_to_end(&mut answer))
            .await
            .unwrap();
        let answer = String::from_utf8(answer).unwrap().to_lowercase();
        assert!(answer.starts_with("http/1.1 403"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

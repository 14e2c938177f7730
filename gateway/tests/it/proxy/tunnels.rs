//! Switched connections.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::WebSocketUpgrade;
use axum::extract::ws::{Message, WebSocket};
use axum::routing::any;
use contract::SystemClock;
use contract::upstream::Bounds;
use futures_util::{SinkExt, StreamExt};
use gateway::proxy::ProxyConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Recorder, raw, read_head, scripted};
use crate::serving::{Gateway, Server, within};

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
    let bounds = Bounds {
        stream_idle_max: Some(Duration::from_millis(200)),
        ..Bounds::default()
    };
    let (config, clock) = (ProxyConfig::default(), Arc::new(SystemClock));
    let gateway = Gateway::of_room(upstream.addr, config, clock, bounds).await;
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
async fn a_tunnel_ends_when_its_upstream_has_closed_though_the_client_goes_on() {
    let (addr, _tasks) = scripted(|_, mut stream| async move {
        read_head(&mut stream).await;
        let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                        Upgrade: chat\r\n\r\n";
        stream.write_all(switched.as_bytes()).await.unwrap();
    })
    .await;
    let gateway = Gateway::before(addr).await;
    let mut client = TcpStream::connect(gateway.server.addr).await.unwrap();
    let asks = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n";
    client.write_all(asks.as_bytes()).await.unwrap();
    let head = within("the switch", read_head(&mut client)).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    within("the end of the tunnel", async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while gateway.proxy.health(&gateway.upstream).in_flight > 0 {
            ticks.tick().await;
            // What fails here says the same.
            if client.write_all(b"still here").await.is_err() {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_with_a_body_switches_nothing() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::before(recorder.server.addr).await;
    for framing in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        // Where the body ends and the other protocol begins would be in doubt.
        let asked = format!(
            "POST /a HTTP/1.1\r\nHost: x\r\nUpgrade: chat/7\r\nConnection: upgrade, close\r\n{framing}"
        );
        let answer = raw(gateway.server.addr, asked.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with("5 bytes"), "{answer}");
        let seen = recorder.last_headers();
        assert!(!seen.contains_key("upgrade"), "{seen:?}");
    }
}

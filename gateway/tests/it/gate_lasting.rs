//! Connections through the gate that outlast the request they began with.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::WebSocketUpgrade;
use axum::extract::ws::WebSocket;
use axum::response::IntoResponse;
use axum::routing::{any, get};
use bytes::Bytes;
use contract::room::Override;
use futures_util::{SinkExt, StreamExt};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::serving::{Server, within};
use crate::test_app::{TestApp, World};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

/// A shop with a socket that echoes and a stream of events that never ends.
async fn shop() -> Server {
    let events = || async {
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(": hi\n\n"))]);
        let body = Body::from_stream(first.chain(futures_util::stream::pending()));
        ([("content-type", "text/event-stream; charset=utf-8")], body).into_response()
    };
    let router = Router::new()
        .route(
            "/eras/echo",
            any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }),
        )
        .route("/eras/events", get(events))
        .fallback(|| async { "page" });
    Server::start(router).await
}

/// A room in front of such a shop.
async fn open_room(mut changes: Value) -> (World, TestApp, Server) {
    let shop = shop().await;
    let world = World::create().await;
    changes["upstream"] = json!(shop.url(""));
    world.room(changes).await;
    let app = world.gateway().await;
    (world, app, shop)
}

async fn tunnel(app: &TestApp, pass: Option<&str>) -> Socket {
    let url = format!("ws://{}/eras/echo", app.addr());
    let mut request = url.into_client_request().unwrap();
    if let Some(pass) = pass {
        let headers = request.headers_mut();
        headers.insert("ropeline-pass", pass.parse().unwrap());
    }
    let connecting = tokio_tungstenite::connect_async(request);
    let (mut socket, _) = within("the handshake", connecting).await.unwrap();
    echoes(&mut socket).await;
    socket
}

async fn echoes(socket: &mut Socket) {
    socket.send(Message::text("hi")).await.unwrap();
    let echoed = within("the echo", socket.next()).await.unwrap().unwrap();
    assert_eq!(echoed.into_text().unwrap().as_str(), "hi");
}

async fn ends(mut socket: Socket) {
    within("the end of the tunnel", async {
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await;
}

#[tokio::test]
async fn a_tunnel_and_a_stream_end_with_their_session() {
    let (_world, app, _shop) = open_room(json!({})).await;
    let (fan, other) = (app.join(1).await, app.join(2).await);
    let (pass, others) = (fan.claimed(&app).await, other.claimed(&app).await);
    let mut stays = tunnel(&app, Some(&others)).await;
    let tunnels = [
        tunnel(&app, Some(&pass)).await,
        tunnel(&app, Some(&pass)).await,
    ];
    let events = app.http.get(app.server.url("/eras/events"));
    let events = events.header("ropeline-pass", &pass).send().await.unwrap();
    assert_eq!(events.status(), StatusCode::OK);
    fan.call(&app, Method::DELETE, "pass").await;
    for tunnel in tunnels {
        ends(tunnel).await;
    }
    let text = within("the end of the stream", events.text())
        .await
        .unwrap();
    assert_eq!(text, ": hi\n\n");
    echoes(&mut stays).await;
}

#[tokio::test]
async fn a_tunnel_lasts_as_long_as_its_session_slides() {
    let settings = json!({"sessionDurationSeconds": 100, "sessionMaxSeconds": 150});
    let (world, app, _shop) = open_room(settings).await;
    let used = app.join(1).await.claimed(&app).await;
    let unused = app.join(2).await.claimed(&app).await;
    let mut lasts = tunnel(&app, Some(&used)).await;
    let over = tunnel(&app, Some(&unused)).await;
    world.clock.advance(Duration::from_secs(60));
    let visit = app.get("/eras/a", &[("ropeline-pass", &used)]).await;
    assert!(visit.cookie().starts_with("ropeline_pass_eras="));
    world.clock.advance(Duration::from_secs(50));
    ends(over).await;
    echoes(&mut lasts).await;
    world.clock.advance(Duration::from_secs(50));
    ends(lasts).await;
}

#[tokio::test]
async fn a_tunnel_from_before_the_opening_ends_with_it() {
    let (world, app, _shop) = open_room(json!({"queueAll": false})).await;
    let tunnel = tunnel(&app, None).await;
    world.word(Override::Open, None).await;
    ends(tunnel).await;
}

#[tokio::test]
async fn a_session_prolonged_at_one_gateway_goes_on_at_another() {
    let settings = json!({"sessionDurationSeconds": 100, "sessionMaxSeconds": 150});
    let (world, app, _shop) = open_room(settings).await;
    let other = world.gateway().await;
    let pass = app.join(1).await.claimed(&app).await;
    let visit = async |at: &TestApp, pass: &str| {
        let answer = at.get("/eras/a", &[("ropeline-pass", pass)]).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer
    };
    visit(&other, &pass).await;
    world.clock.advance(Duration::from_secs(60));
    let renewed = visit(&app, &pass).await;
    let pass = renewed.cookie().strip_prefix("ropeline_pass_eras=");
    world.clock.advance(Duration::from_secs(50));
    visit(&other, pass.unwrap()).await;
}

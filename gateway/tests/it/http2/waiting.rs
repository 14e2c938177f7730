//! The line over HTTP/2: joining, polling, the pass, and WebSockets by extended `CONNECT`.

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, Request};
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::{client, client_with};
use crate::serving::within;
use crate::test_app::{JSON, World};

async fn answered(answer: http::Response<hyper::body::Incoming>) -> (u16, Value) {
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn a_fan_joins_waits_by_websocket_is_called_and_enters() {
    let world = World::create().await;
    world.room(json!({})).await;
    let app = world.gateway().await;
    let mut fan = client(&app.server).await;
    let post = |path: &str, body: &str| {
        Request::post(format!("http://line.test{path}"))
            .header("content-type", JSON)
            .body(Full::from(body.to_owned()))
            .unwrap()
    };
    let nonce = json!({ "nonce": "AAAAAAAAAAAAAAAAAAAAAA" }).to_string();
    let join = || post("/_line/v1/rooms/eras/places", &nonce);
    // A line that is being made answers 503 for a moment.
    let joined = within("a place", async {
        loop {
            let (status, body) = answered(fan.send_request(join()).await.unwrap()).await;
            if status != 503 {
                assert!((200..300).contains(&status), "{status}: {body}");
                return body;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    let bearer = format!("Bearer {}", joined.await["place"].as_str().unwrap());

    let mut socket: http2::SendRequest<Empty<Bytes>> =
        client_with(&app.server, http2::Builder::new(TokioExecutor::new())).await;
    let mut open = Request::builder()
        .method(Method::CONNECT)
        .uri("http://line.test/_line/v1/rooms/eras/place/live")
        .header("authorization", &bearer)
        .header("sec-websocket-version", "13")
        .body(Empty::new())
        .unwrap();
    open.extensions_mut()
        .insert(Protocol::from_static("websocket"));
    // The setting that allows it has to arrive first.
    within("the settings", socket.ready()).await.unwrap();
    let opened = within("the socket", async {
        loop {
            match socket.send_request(open.clone()).await {
                Ok(answer) => return answer,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    });
    let opened = opened.await;
    assert_eq!(opened.status(), 200);
    assert!(!opened.headers().contains_key("sec-websocket-accept"));
    let stream = TokioIo::new(hyper::upgrade::on(opened).await.unwrap());
    let mut frames = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    let called = async {
        while let Some(frame) = frames.next().await {
            if let Message::Text(text) = frame.unwrap() {
                let told: Value = serde_json::from_str(&text).unwrap();
                if told["state"] == "called" {
                    return;
                }
            }
        }
        panic!("the socket ended before the call");
    };
    within("the call", called).await;
    within("the close", frames.close(None)).await.unwrap();

    let claim = Request::post("http://line.test/_line/v1/rooms/eras/pass");
    let claim = claim.header("authorization", &bearer).body(Full::default());
    let answer = fan.send_request(claim.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let (_, pass) = answered(answer).await;
    let pass = pass["access_token"].as_str().unwrap().to_owned();
    let enter = Request::get("http://line.test/eras/seats").header("ropeline-pass", pass);
    let inside = fan.send_request(enter.body(Full::default()).unwrap()).await;
    let inside = inside.unwrap();
    assert_eq!(inside.status(), 200);
    let text = inside.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text, "/eras/seats");
}

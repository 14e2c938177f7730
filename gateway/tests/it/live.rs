//! A fan's live connection.

use contract::line::StatusDocument;
use futures_util::StreamExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::serving::within;
use crate::test_app::{Fan, TestApp};

pub(crate) type Live = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A WebSocket of `fan`.
pub(crate) async fn connect(app: &TestApp, fan: &Fan) -> Live {
    let url = format!("ws://{}/_line/v1/rooms/eras/place/live", app.addr());
    let mut request = url.into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("authorization", fan.bearer().parse().unwrap());
    let connecting = tokio_tungstenite::connect_async(request);
    within("the connection", connecting).await.unwrap().0
}

/// The next status frame that `wanted` accepts.
pub(crate) async fn frame(
    live: &mut Live,
    wanted: impl Fn(&StatusDocument) -> bool,
) -> StatusDocument {
    within("the frame", async {
        loop {
            if let Message::Text(text) = live.next().await.unwrap().unwrap() {
                let frame: serde_json::Value = serde_json::from_str(&text).unwrap();
                if frame["type"] != "status" {
                    continue;
                }
                let status: StatusDocument = serde_json::from_value(frame).unwrap();
                if wanted(&status) {
                    return status;
                }
            }
        }
    })
    .await
}

//! WebSockets by RFC 6455: the handshake, and an end in which the peer can read the close frame.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use contract::{Problem, ProblemCode};
use data_encoding::BASE64;
use futures_util::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::task::TaskTracker;
use web::ApiError;

use super::intake::Metered;

/// The only version of RFC 6455.
const VERSION: HeaderValue = HeaderValue::from_static("13");
/// Decoded length of `Sec-WebSocket-Key`.
const KEY_BYTES: usize = 16;
/// Longest message that a waiting client may send; none of its messages has content that is read.
const CLIENT_MESSAGE_BYTES_MAX: usize = 1024;
/// Read buffer of a WebSocket: frames are a few hundred bytes.
const BUFFER_BYTES: usize = 512;
/// Bytes that may wait to be written.
const WRITE_BYTES_MAX: usize = 64 * 1024;
/// Longest wait for the peer to take a close frame and send its own.
const CLOSE_MAX: Duration = Duration::from_secs(2);
/// How long bytes are read after the last frame: closing with unread bytes would make the system
/// reset the connection before the frame arrives.
const LINGER_MAX: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// The server's side of a connection.
pub(super) type WebSocket = WebSocketStream<Metered<TokioIo<Upgraded>>>;

/// The message to a client that asks for neither.
pub(super) const ASK: &str = "Ask for a WebSocket or for text/event-stream.";

/// A request that may become a WebSocket.
pub(super) struct Handshake {
    accept: HeaderValue,
    upgrade: OnUpgrade,
}

/// Why a request cannot become a WebSocket.
pub(super) enum Refusal {
    /// It asks for another version.
    Version,
    /// It is not a handshake.
    Malformed(&'static str),
}

impl Handshake {
    /// Reads the handshake of a request; `None` if it does not ask for a WebSocket.
    pub(super) fn of(parts: &mut Parts) -> Result<Option<Self>, Refusal> {
        let headers = &parts.headers;
        if !has_token(headers, UPGRADE, "websocket") {
            return Ok(None);
        }
        if parts.version != Version::HTTP_11 || parts.method != Method::GET {
            return Err(Refusal::Malformed(
                "A WebSocket begins with a GET of HTTP/1.1.",
            ));
        }
        if !has_token(headers, CONNECTION, "upgrade") {
            return Err(Refusal::Malformed(ASK));
        }
        if headers.get(SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
            return Err(Refusal::Version);
        }
        let accept = accept(headers).ok_or(Refusal::Malformed(
            "Sec-WebSocket-Key: 16 random bytes as base64, once.",
        ))?;
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let upgrade = upgrade.ok_or(Refusal::Malformed("This connection cannot be upgraded."))?;
        Ok(Some(Self { accept, upgrade }))
    }

    /// Accepts the handshake and runs `serve` in a task of its own. In the same task, the future
    /// would stay as large as the handshake's largest state for as long as the fan waits.
    pub(super) fn accept<F>(
        self,
        tasks: &TaskTracker,
        serve: impl FnOnce(WebSocket) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (upgrade, tracker) = (self.upgrade, tasks.clone());
        tasks.spawn(async move {
            // A client that has disconnected needs no task.
            if let Ok(upgraded) = upgrade.await {
                let io = Metered::new(TokioIo::new(upgraded));
                let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config()));
                let socket = socket.await;
                tracker.spawn(serve(socket));
            }
        });
        let headers = [
            (CONNECTION, HeaderValue::from_static("upgrade")),
            (UPGRADE, HeaderValue::from_static("websocket")),
            (SEC_WEBSOCKET_ACCEPT, self.accept),
        ];
        (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Malformed(detail) => {
                let problem = Problem::new(ProblemCode::BadRequest).detail(detail);
                ApiError::from(problem).into_response()
            }
            Self::Version => {
                let problem = Problem::new(ProblemCode::UpgradeRequired)
                    .detail("Only version 13 of the WebSocket protocol is spoken here.");
                let headers = [
                    (SEC_WEBSOCKET_VERSION, VERSION),
                    (CONNECTION, HeaderValue::from_static("upgrade")),
                    (UPGRADE, HeaderValue::from_static("websocket")),
                ];
                (headers, ApiError::from(problem)).into_response()
            }
        }
    }
}

/// Whether a comma-separated header contains `wanted`.
fn has_token(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    let values = headers.get_all(name).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|word| word.trim().eq_ignore_ascii_case(wanted))
}

/// The `Sec-WebSocket-Accept` of a request; `None` unless it has exactly one key of 16 bytes.
fn accept(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).into_iter();
    let (key, None) = (keys.next()?, keys.next()) else {
        return None;
    };
    let bytes = BASE64.decode(key.as_bytes()).ok()?;
    if bytes.len() != KEY_BYTES {
        return None;
    }
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BYTES_MAX)
        .max_message_size(Some(CLIENT_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(CLIENT_MESSAGE_BYTES_MAX))
}

/// How a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The gateway closes it.
    Close(CloseCode, &'static str),
    /// The client closes it; the library answers with the client's own code.
    Answer,
    /// The client is gone, so no close frame is sent.
    Lost,
}

impl End {
    /// For a client that exceeds the limits on frames or bytes.
    pub(super) const FLOODED: Self = Self::Close(CloseCode::Policy, "too many frames");

    /// The end for an error in the client's data (RFC 6455, section 7.4.1).
    pub(super) fn after(error: &Error, socket: &WebSocket) -> Self {
        match error {
            Error::Io(_) if socket.get_ref().is_flooded() => Self::FLOODED,
            Error::Utf8(_) => Self::Close(CloseCode::Invalid, "text that is not UTF-8"),
            Error::Capacity(_) => Self::Close(CloseCode::Size, "message too large"),
            Error::Protocol(_) => Self::Close(CloseCode::Protocol, "frame that may not be sent"),
            _ => Self::Lost,
        }
    }
}

/// Ends a connection in a way that lets the client read the close frame.
pub(super) async fn end(mut socket: WebSocket, how: End) {
    let goodbye = async {
        if let End::Close(code, reason) = how {
            // Flushes a pending pong, which must not follow the close frame.
            socket.flush().await?;
            let frame = CloseFrame {
                code,
                reason: reason.into(),
            };
            socket.send(Message::Close(Some(frame))).await?;
        }
        // Reading also sends pending frames; it ends when both sides have closed.
        while let Some(Ok(_)) = socket.next().await {}
        Ok::<_, Error>(())
    };
    if !matches!(how, End::Lost) && timeout(CLOSE_MAX, goodbye).await.is_ok() {
        // The client may have disconnected.
        let _gone = timeout(LINGER_MAX, linger(&mut socket)).await;
    }
}

/// Shuts the sending side down, then reads until the peer does too.
async fn linger(socket: &mut WebSocket) -> std::io::Result<()> {
    let stream = socket.get_mut().inner();
    stream.shutdown().await?;
    let mut unread = vec![0; BUFFER_BYTES];
    let mut taken = 0;
    while taken < LINGER_BYTES_MAX {
        match stream.read(&mut unread).await? {
            0 => break,
            bytes => taken += bytes,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().cloned();
        pairs
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn the_key_is_one_of_sixteen_bytes() {
        let key = |value| headers(&[(SEC_WEBSOCKET_KEY, value)]);
        // The example of RFC 6455, section 1.3.
        let given = accept(&key("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(given.unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for wrong in ["", "x", "dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZQ"] {
            assert_eq!(accept(&key(wrong)), None, "{wrong:?}");
        }
        let mut twice = key("dGhlIHNhbXBsZSBub25jZQ==");
        twice.append(SEC_WEBSOCKET_KEY, twice[SEC_WEBSOCKET_KEY].clone());
        assert_eq!(accept(&twice), None);
        assert_eq!(accept(&HeaderMap::new()), None);
    }

    #[test]
    fn words_are_found_in_lists_and_not_inside_others() {
        let listed = headers(&[(CONNECTION, "keep-alive, Upgrade")]);
        assert!(has_token(&listed, CONNECTION, "upgrade"));
        let inside = headers(&[(CONNECTION, "no-upgrade")]);
        assert!(!has_token(&inside, CONNECTION, "upgrade"));
    }
}

//! Calls to the line.

use std::net::{IpAddr, SocketAddr};

use contract::RoomId;
use contract::line::{JoinRequest, PassGrant};
use contract::pass::PassClaims;
use data_encoding::BASE64URL_NOPAD;
use futures_util::StreamExt;
use reqwest::Method;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::call::{Answer, CONNECT_TIMEOUT, CallError, Caller, FORWARDED_FOR};
use crate::measurements::Step;

/// Read buffer of a socket. A frame is about 500 bytes; small buffers make many sockets cheap.
const SOCKET_READ_BUFFER: usize = 2048;
/// The longest frame that is read.
const FRAME_BYTES_MAX: usize = 64 << 10;

/// The line of one room.
pub(crate) struct LineClient {
    /// `http://host:port/_line/v1/rooms/{room}`
    base: String,
    address: SocketAddr,
    source: Option<IpAddr>,
}

/// Why a socket did not open.
#[derive(Debug)]
pub(crate) enum SocketRefusal {
    /// The server refused with this status.
    Status(u16),
    /// No connection, or not a WebSocket.
    Unreachable,
}

/// What a socket brought.
pub(crate) enum Frame {
    /// A text frame.
    Text(String),
    /// The connection is over.
    Closed,
}

/// An open socket to the line.
pub(crate) struct LiveSocket(WebSocketStream<TcpStream>);

impl LiveSocket {
    /// The next frame with content.
    pub(crate) async fn next(&mut self) -> Frame {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Frame::Text(text.as_str().to_owned()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Frame::Closed,
                // Pings are answered by the library.
                Some(Ok(_)) => {}
            }
        }
    }

    /// Says goodbye. A peer that does not listen any more is no loss.
    pub(crate) async fn close(mut self) {
        let farewell = self.0.close(None);
        let _unanswered = tokio::time::timeout(CONNECT_TIMEOUT, farewell).await;
    }
}

impl LineClient {
    /// The line of `room` at `url`, which resolves to `address`.
    pub(crate) fn new(
        url: &str,
        room: &RoomId,
        address: SocketAddr,
        source: Option<IpAddr>,
    ) -> Self {
        Self {
            base: format!("{}/_line/v1/rooms/{room}", url.trim_end_matches('/')),
            address,
            source,
        }
    }

    /// Asks for a place.
    pub(crate) async fn join(
        &self,
        caller: &Caller,
        fan: u32,
        body: &JoinRequest,
    ) -> Result<Answer, CallError> {
        let request = caller.http().post(format!("{}/places", self.base));
        caller.send(Step::Join, fan, request.json(body)).await
    }

    /// Reads the fan's status.
    pub(crate) async fn status(
        &self,
        caller: &Caller,
        fan: u32,
        token: &str,
    ) -> Result<Answer, CallError> {
        self.on(caller, (Step::Poll, fan), Method::GET, "place", token)
            .await
    }

    /// Leaves the line.
    pub(crate) async fn leave(
        &self,
        caller: &Caller,
        fan: u32,
        token: &str,
    ) -> Result<Answer, CallError> {
        self.on(caller, (Step::Leave, fan), Method::DELETE, "place", token)
            .await
    }

    /// Claims the pass.
    pub(crate) async fn claim(
        &self,
        caller: &Caller,
        fan: u32,
        token: &str,
    ) -> Result<Answer, CallError> {
        self.on(caller, (Step::Claim, fan), Method::POST, "pass", token)
            .await
    }

    /// Ends the session.
    pub(crate) async fn end_session(
        &self,
        caller: &Caller,
        fan: u32,
        token: &str,
    ) -> Result<Answer, CallError> {
        self.on(caller, (Step::Leave, fan), Method::DELETE, "pass", token)
            .await
    }

    async fn on(
        &self,
        caller: &Caller,
        (step, fan): (Step, u32),
        method: Method,
        what: &str,
        token: &str,
    ) -> Result<Answer, CallError> {
        let request = caller
            .http()
            .request(method, format!("{}/{what}", self.base))
            .bearer_auth(token);
        caller.send(step, fan, request).await
    }

    /// Opens a socket that brings the fan's status.
    pub(crate) async fn watch(
        &self,
        caller: &Caller,
        fan: u32,
        token: &str,
    ) -> Result<LiveSocket, SocketRefusal> {
        let request = self
            .handshake(token, caller.forwarded_for(fan))
            .ok_or(SocketRefusal::Unreachable)?;
        let permit = caller.turn().await;
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, self.open(request)).await;
        drop(permit);
        opened.unwrap_or(Err(SocketRefusal::Unreachable))
    }

    fn handshake(&self, token: &str, forwarded_for: Option<String>) -> Option<Request<()>> {
        let url = format!("{}/place/live", self.base.replacen("http", "ws", 1));
        let mut request = url.into_client_request().ok()?;
        let headers = request.headers_mut();
        let bearer = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
        headers.insert("authorization", bearer);
        if let Some(address) = forwarded_for {
            headers.insert(FORWARDED_FOR, HeaderValue::try_from(address).ok()?);
        }
        Some(request)
    }

    async fn open(&self, request: Request<()>) -> Result<LiveSocket, SocketRefusal> {
        let stream = self.dial().await.map_err(|_| SocketRefusal::Unreachable)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(SOCKET_READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(FRAME_BYTES_MAX)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(LiveSocket(socket)),
            Err(tungstenite::Error::Http(answer)) => {
                Err(SocketRefusal::Status(answer.status().as_u16()))
            }
            Err(_) => Err(SocketRefusal::Unreachable),
        }
    }

    async fn dial(&self) -> std::io::Result<TcpStream> {
        let socket = if self.address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        if let Some(source) = self.source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        socket.connect(self.address).await
    }
}

/// The claims of a pass, unverified: the audit compares them with the admission log.
pub(crate) fn claims(grant: &PassGrant) -> Option<PassClaims> {
    let body = grant.access_token.split('.').nth(1)?;
    let text = BASE64URL_NOPAD.decode(body.as_bytes()).ok()?;
    serde_json::from_slice(&text).ok()
}

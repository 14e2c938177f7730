//! Serves a router on a listener, with limits against slow clients, large requests and too many
//! clients.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::{counter, gauge};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;
use web::RequestIds;

use super::connections::{ConnectionLimits, ConnectionPlace, Connections};
use super::head_watch::{HeadState, HeadWatch};
use super::refused_head::{Page, Refusals};
use super::telemetry;
use super::turned_away::TurnedAway;
use super::unread;
use super::write_stall::WriteStall;

/// Pause after a failed accept, so that a lack of open files does not cause a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Limits of a listener.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// The listener's name in metrics.
    pub name: &'static str,
    /// Time until a request's head is complete, from its first byte, or from the accept on a new
    /// connection.
    pub head_max: Duration,
    /// How long an idle connection is kept after a response. Longer than the 60 s of common load
    /// balancers, so that they close first: a request sent while the gateway closes would be lost.
    pub keepalive: Duration,
    /// Bytes of a request's line and headers together that the parser accepts. The router's own
    /// limit (see [`super::head`]) is smaller, because only a parsed request gets a complete
    /// response.
    pub head_bytes_max: usize,
    /// Headers of a request that the parser accepts.
    pub header_count_max: usize,
    /// Bytes buffered per connection while a request is served.
    pub connection_buffer_bytes: usize,
    /// Longest time that a client may read nothing of its response.
    pub write_stall_max: Duration,
    /// Limits on connections.
    pub connections: ConnectionLimits,
    /// Time from shutdown until unfinished requests are cut off.
    pub grace: Duration,
    /// Generates the ids of requests that are refused before they are served.
    pub request_ids: RequestIds,
    /// The page for people whose request cannot be read; a problem document when `None`.
    pub refusal_page: Option<Page>,
}

/// A client's socket. It keeps the connection counted for as long as it exists, also after a switch
/// to another protocol, when the server no longer owns it.
struct Socket {
    inner: WriteStall<TcpStream>,
    name: &'static str,
    _place: ConnectionPlace,
}

impl ServeConfig {
    /// The limits of a public listener.
    pub fn public(name: &'static str, request_ids: RequestIds) -> Self {
        Self {
            name,
            head_max: Duration::from_secs(10),
            keepalive: Duration::from_secs(75),
            head_bytes_max: 64 * 1024,
            header_count_max: 200,
            connection_buffer_bytes: 64 * 1024,
            write_stall_max: Duration::from_mins(1),
            connections: ConnectionLimits::default(),
            grace: Duration::from_secs(20),
            request_ids,
            refusal_page: None,
        }
    }
}

/// The service behind a listener.
pub trait Answering: Clone + Send + Sync + 'static {
    /// Answers `request`, which came over a connection from `peer`.
    fn answer(
        &self,
        peer: SocketAddr,
        request: Request<Body>,
    ) -> impl Future<Output = http::Response<Body>> + Send;
}

/// Handlers read the peer from `ConnectInfo<SocketAddr>`.
impl Answering for Router {
    async fn answer(&self, peer: SocketAddr, mut request: Request<Body>) -> http::Response<Body> {
        request.extensions_mut().insert(ConnectInfo(peer));
        let Ok(response) = Service::call(&mut self.clone(), request).await;
        response
    }
}

/// Serves `answering` until `shutdown`, then lets running requests finish within the grace period.
///
/// Switched connections (WebSocket) count against the limit, but `answering` has to close them:
/// shutdown does not wait for them.
pub async fn serve(
    listener: TcpListener,
    answering: impl Answering,
    config: ServeConfig,
    shutdown: CancellationToken,
) {
    let places = Connections::new(config.connections.clone());
    serve_counted(listener, answering, config, places, shutdown).await;
}

/// Like [`serve`], with connections counted together with those of other listeners.
pub(super) async fn serve_counted(
    listener: TcpListener,
    answering: impl Answering,
    config: ServeConfig,
    places: Connections,
    shutdown: CancellationToken,
) {
    let connections = TaskTracker::new();
    let cut_off = CancellationToken::new();
    let http = http1_builder(&config);
    let refusals = Refusals {
        ids: config.request_ids.clone(),
        page: config.refusal_page.clone(),
    };
    let turned_away = TurnedAway::new(config.name, refusals.clone(), connections.clone());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                rest_after(&error, &config).await;
                continue;
            }
        };
        let place = match places.enter(peer.ip()) {
            Ok(place) => place,
            Err(full) => {
                turned_away.tell(stream, full);
                continue;
            }
        };
        // Frames and small responses are written in one piece, so Nagle's algorithm would only
        // delay them.
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let state = HeadState::default();
        let socket = HeadWatch::new(
            Socket::new(stream, place, &config),
            state.clone(),
            config.head_max,
            config.keepalive,
            refusals.clone(),
        );
        let client = Client {
            peer,
            state,
            answering: answering.clone(),
        };
        let stop = Stop {
            shutdown: shutdown.clone(),
            cut_off: cut_off.clone(),
        };
        connections.spawn(serve_connection(http.clone(), socket, client, stop));
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(config.grace, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            listener = config.name,
            connections = connections.len(),
            "requests were cut off because the grace period is over"
        );
        cut_off.cancel();
        connections.wait().await;
    }
}

fn http1_builder(config: &ServeConfig) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        // `HeadWatch` has the timeout, because it tells a slow head from an idle connection.
        .header_read_timeout(None)
        .max_header_size(config.head_bytes_max)
        .max_headers(config.header_count_max)
        .max_buf_size(config.connection_buffer_bytes);
    http
}

/// The peer of a connection, and the service that answers it.
struct Client<A> {
    peer: SocketAddr,
    state: HeadState,
    answering: A,
}

/// How a connection ends before its client closes it.
struct Stop {
    /// It ends after the request that is being answered.
    shutdown: CancellationToken,
    /// It ends at once.
    cut_off: CancellationToken,
}

async fn serve_connection(
    http: http1::Builder,
    socket: HeadWatch<Socket>,
    client: Client<impl Answering>,
    stop: Stop,
) {
    let service = service_fn(|request: Request<Incoming>| {
        client.state.serving();
        async {
            let (request, rest) = unread::watch(request);
            let mut response = client.answering.answer(client.peer, request).await;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                client.state.switched();
            } else if let Some(rest) = rest
                && rest.settle(&mut response).await
            {
                client.state.linger();
            }
            Ok::<_, Infallible>(response.map(|body| client.state.until_answered(body)))
        }
    });
    let mut connection = pin!(
        http.serve_connection(TokioIo::new(socket), service)
            .with_upgrades()
    );
    // Each is looked at whenever the connection has something to do, so the second wait begins
    // only when the first is over.
    let served = tokio::select! {
        biased;
        served = connection.as_mut() => served,
        () = stop.shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                served = connection => served,
                () = stop.cut_off.cancelled() => return,
            }
        }
    };
    if let Err(error) = served {
        tracing::trace!(
            error = &error as &dyn std::error::Error,
            "a connection broke"
        );
    }
}

async fn rest_after(error: &io::Error, config: &ServeConfig) {
    let is_client_gone = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    );
    if !is_client_gone {
        counter!(telemetry::ACCEPT_FAILURES_TOTAL, "listener" => config.name).increment(1);
        tracing::warn!(listener = config.name, %error, "a connection could not be accepted");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

impl Socket {
    fn new(stream: TcpStream, place: ConnectionPlace, config: &ServeConfig) -> Self {
        gauge!(telemetry::CONNECTIONS, "listener" => config.name).increment(1.0);
        Self {
            inner: WriteStall::new(stream, config.write_stall_max),
            name: config.name,
            _place: place,
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        gauge!(telemetry::CONNECTIONS, "listener" => self.name).decrement(1.0);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

//! Serves a router on a listener, with limits against slow clients, large requests and too many
//! clients.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use futures_util::FutureExt;
use futures_util::future::join_all;
use http::header::CONNECTION;
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::{counter, gauge};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;
use web::RequestIds;

use super::connections::{ConnectionLimits, ConnectionPlace, Connections};
use super::head_watch::{HeadState, HeadWatch};
use super::refused_head::{Page, Refusals};
use super::sockets::prefer_successor;
use super::telemetry;
use super::turned_away::TurnedAway;
use super::unread;
use super::write_stall::WriteStall;

/// Pause after a failed accept, so that a lack of open files does not cause a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long connections are accepted after the end of a listener with a successor, those that the
/// kernel gave to it before; and how long they may take to send their first request.
const SETTLES_WITHIN: Duration = Duration::from_millis(300);

/// How a listener leaves its address to a successor.
#[derive(Clone, Debug)]
pub struct Handover {
    /// Cancelled when the process begins to drain: from then on a successor gets new connections,
    /// and those that are kept are closed after their next answer.
    pub draining: CancellationToken,
    /// Sockets that this process has on the address.
    pub sockets: usize,
}

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
    /// How the listener leaves its address to a successor; it has none when `None`.
    pub handover: Option<Handover>,
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
            handover: None,
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

/// Like [`serve`], on all of these listeners.
pub async fn serve_all(
    listeners: Vec<std::net::TcpListener>,
    answering: impl Answering,
    config: ServeConfig,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let places = Connections::new(config.connections.clone());
    let serving = listeners.into_iter().map(|listener| {
        let listener = TcpListener::from_std(listener)?;
        let (answering, config) = (answering.clone(), config.clone());
        Ok(serve_counted(
            listener,
            answering,
            config,
            places.clone(),
            shutdown.clone(),
        ))
    });
    let serving: io::Result<Vec<_>> = serving.collect();
    join_all(serving?).await;
    Ok(())
}

/// Like [`serve`], with connections counted together with those of other listeners.
pub(super) async fn serve_counted(
    listener: TcpListener,
    answering: impl Answering,
    config: ServeConfig,
    places: Connections,
    shutdown: CancellationToken,
) {
    let serving = Serving::new(answering, config, places, shutdown);
    let config = &serving.config;
    let draining = serving.draining.as_ref();
    let mut is_left = false;
    loop {
        tokio::select! {
            accepted = listener.accept() => serving.take(accepted).await,
            () = cancelled(draining), if !is_left => {
                is_left = true;
                leave(&listener, config);
            }
            () = serving.shutdown.cancelled() => break,
        }
    }
    if !is_left {
        leave(&listener, config);
    }
    // What the kernel has given to this listener already.
    if draining.is_some() {
        let settled = Instant::now() + SETTLES_WITHIN;
        while let Ok(accepted) = timeout_at(settled, listener.accept()).await {
            serving.take(accepted).await;
        }
    }
    while let Some(Ok(accepted)) = listener.accept().now_or_never() {
        serving.take(Ok(accepted)).await;
    }
    drop(listener);
    serving.end().await;
}

async fn cancelled(token: Option<&CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => std::future::pending().await,
    }
}

/// Leaves new connections to a successor, if there is one.
fn leave(listener: &TcpListener, config: &ServeConfig) {
    let Some(handover) = &config.handover else {
        return;
    };
    if let Err(error) = prefer_successor(listener, handover.sockets) {
        tracing::warn!(
            listener = config.name,
            %error,
            "a successor gets new connections only when this gateway has ended"
        );
    }
}

/// What a listener serves its connections with.
struct Serving<A> {
    answering: A,
    config: ServeConfig,
    places: Connections,
    shutdown: CancellationToken,
    /// Cancelled when the process begins to drain. Each listener has one of its own, because asking
    /// takes a lock.
    draining: Option<CancellationToken>,
    connections: TaskTracker,
    cut_off: CancellationToken,
    http: http1::Builder,
    refusals: Refusals,
    turned_away: TurnedAway,
}

impl<A: Answering> Serving<A> {
    fn new(
        answering: A,
        config: ServeConfig,
        places: Connections,
        shutdown: CancellationToken,
    ) -> Self {
        let connections = TaskTracker::new();
        let refusals = Refusals {
            ids: config.request_ids.clone(),
            page: config.refusal_page.clone(),
        };
        let handover = config.handover.as_ref();
        Self {
            draining: handover.map(|handover| handover.draining.child_token()),
            turned_away: TurnedAway::new(config.name, refusals.clone(), connections.clone()),
            http: http1_builder(&config),
            cut_off: CancellationToken::new(),
            answering,
            config,
            places,
            shutdown,
            connections,
            refusals,
        }
    }

    /// Serves a connection that was accepted, in a task of its own.
    async fn take(&self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => return rest_after(&error, &self.config).await,
        };
        let place = match self.places.enter(peer.ip()) {
            Ok(place) => place,
            Err(full) => return self.turned_away.tell(stream, full),
        };
        // Frames and small responses are written in one piece, so Nagle's algorithm would only
        // delay them.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let state = HeadState::default();
        let socket = HeadWatch::new(
            Socket::new(stream, place, &self.config),
            state.clone(),
            self.config.head_max,
            self.config.keepalive,
            self.refusals.clone(),
        );
        let client = Client {
            peer,
            state,
            answering: self.answering.clone(),
            draining: self.draining.clone(),
            has_asked: AtomicBool::new(false),
        };
        let stop = Stop {
            shutdown: self.shutdown.clone(),
            cut_off: self.cut_off.clone(),
        };
        let serving = serve_connection(self.http.clone(), socket, client, stop);
        self.connections.spawn(serving);
    }

    /// Lets running requests finish within the grace period.
    async fn end(self) {
        self.connections.close();
        let finished = tokio::time::timeout(self.config.grace, self.connections.wait());
        if finished.await.is_err() {
            tracing::warn!(
                listener = self.config.name,
                connections = self.connections.len(),
                "requests were cut off because the grace period is over"
            );
            self.cut_off.cancel();
            self.connections.wait().await;
        }
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
    /// Cancelled when the process begins to drain.
    draining: Option<CancellationToken>,
    /// Whether a request has come.
    has_asked: AtomicBool,
}

impl<A> Client<A> {
    /// Whether its connection is to be closed after the answer under way, so that the client's next
    /// request is for another gateway.
    fn is_to_leave(&self) -> bool {
        self.draining
            .as_ref()
            .is_some_and(CancellationToken::is_cancelled)
    }
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
        client.has_asked.store(true, Ordering::Relaxed);
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
            if client.is_to_leave() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
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
            // A connection without a request would be closed at once, and one may be on its way.
            let has_asked = client.has_asked.load(Ordering::Relaxed);
            let settles = if has_asked { Duration::ZERO } else { SETTLES_WITHIN };
            let ending = async {
                if let Ok(served) = timeout(settles, connection.as_mut()).await {
                    return served;
                }
                connection.as_mut().graceful_shutdown();
                connection.await
            };
            tokio::select! {
                biased;
                served = ending => served,
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

//! Serving a router on a listener, with limits against slow, large and too many clients.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use contract::problem::{PROBLEM_MEDIA_TYPE, RETRY_AFTER_DEFAULT_SECONDS};
use contract::{Problem, ProblemCode};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::{counter, gauge};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;
use web::request_id::X_REQUEST_ID;
use web::{RequestId, RequestIds};

use super::telemetry;
use super::write_stall::WriteStall;

/// Pause after the system refused to accept, so that running out of files is not a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Limits of a listener.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// The listener's name in metrics.
    pub name: &'static str,
    /// Until a request's head is complete, counted from when the connection is ready for it.
    /// It therefore also ends connections on which no further request comes.
    pub head_max: Duration,
    /// Bytes of a request's line and headers together.
    pub head_bytes_max: usize,
    /// Headers of a request.
    pub header_count_max: usize,
    /// Bytes buffered per connection while a request is served.
    pub connection_buffer_bytes: usize,
    /// How long a client may take none of what it is sent.
    pub write_stall_max: Duration,
    /// Connections at once, switched ones included. A process has 20,000 open files; what is left
    /// is for upstreams, stores and logs.
    pub connections_max: usize,
    /// From the order to stop until unfinished requests are cut off.
    pub grace: Duration,
    /// Numbers the connections that are refused: no request of theirs is read.
    pub request_ids: RequestIds,
}

/// A client's socket. It holds its place among the connections for as long as it exists, also
/// after it was switched to another protocol and has left the server's hands.
struct Socket {
    inner: WriteStall<TcpStream>,
    name: &'static str,
    _place: OwnedSemaphorePermit,
}

impl ServeConfig {
    /// The limits of a listener that anyone may reach.
    pub fn public(name: &'static str, request_ids: RequestIds) -> Self {
        Self {
            name,
            head_max: Duration::from_secs(10),
            head_bytes_max: 16 * 1024,
            header_count_max: 100,
            connection_buffer_bytes: 64 * 1024,
            write_stall_max: Duration::from_mins(1),
            connections_max: 16_000,
            grace: Duration::from_secs(20),
            request_ids,
        }
    }
}

/// Serves `router` until `shutdown`, then lets running requests finish within the grace period.
///
/// Handlers find the peer in `ConnectInfo<SocketAddr>`. Switched connections (WebSocket) are the
/// router's to end: they count against the limit but are not waited for.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: ServeConfig,
    shutdown: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(config.connections_max));
    let connections = TaskTracker::new();
    let cut_off = CancellationToken::new();
    let http = http1_builder(&config);
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
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            refuse(&stream, &config);
            continue;
        };
        // Frames and small answers are whole when they are written; waiting only delays them.
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let socket = Socket::new(stream, place, &config);
        let serving =
            serve_connection(http.clone(), socket, peer, router.clone(), shutdown.clone());
        let cut_off = cut_off.clone();
        connections.spawn(async move {
            tokio::select! {
                () = serving => {}
                () = cut_off.cancelled() => {}
            }
        });
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
        .header_read_timeout(config.head_max)
        .max_header_size(config.head_bytes_max)
        .max_headers(config.header_count_max)
        .max_buf_size(config.connection_buffer_bytes);
    http
}

async fn serve_connection(
    http: http1::Builder,
    socket: Socket,
    peer: SocketAddr,
    router: Router,
    shutdown: CancellationToken,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let mut router = router.clone();
        async move { Ok::<_, Infallible>(answer(&mut router, request).await) }
    });
    let mut connection = pin!(
        http.serve_connection(TokioIo::new(socket), service)
            .with_upgrades()
    );
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::trace!(
            error = &error as &dyn std::error::Error,
            "a connection broke"
        );
    }
}

async fn answer(router: &mut Router, request: Request<Incoming>) -> http::Response<Body> {
    let Ok(response) = Service::call(router, request.map(Body::new)).await;
    response
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

fn refuse(stream: &TcpStream, config: &ServeConfig) {
    counter!(telemetry::CONNECTIONS_REFUSED_TOTAL, "listener" => config.name).increment(1);
    // Written as far as the socket takes it at once, which is all of it on a new connection.
    if let Err(error) = stream.try_write(full(&config.request_ids.next_id()).as_bytes()) {
        tracing::trace!(%error, "a refused client did not wait for the answer");
    }
}

/// The answer to a connection over the limit.
fn full(id: &RequestId) -> String {
    let mut problem = Problem::new(ProblemCode::LineUnavailable)
        .detail("Too many connections. Try again in a moment.");
    problem.request_id = Some(id.as_str().to_owned());
    // A problem is strings, numbers and JSON values, all of which serialise.
    let body = serde_json::to_string(&problem).unwrap_or_default();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: {PROBLEM_MEDIA_TYPE}\r\n\
         Content-Length: {}\r\nRetry-After: {RETRY_AFTER_DEFAULT_SECONDS}\r\n\
         Cache-Control: no-store\r\n{X_REQUEST_ID}: {}\r\nConnection: close\r\n\r\n{body}",
        body.len(),
        id.as_str(),
    )
}

impl Socket {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit, config: &ServeConfig) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_one_too_many_is_well_formed() {
        let text = full(&RequestIds::new(7).next_id());
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("Content-Length: {}\r\n", body.len())),
            "{}",
            body.len()
        );
        let problem: contract::Problem = serde_json::from_str(body).unwrap();
        assert_eq!(problem.code, contract::ProblemCode::LineUnavailable);
        assert!(head.contains("\r\nRetry-After: 2\r\n"));
        let id = problem.request_id.unwrap();
        assert!(
            head.contains(&format!("\r\nx-request-id: {id}\r\n")),
            "{head}"
        );
    }
}

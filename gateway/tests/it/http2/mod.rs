//! HTTP/2 on the listeners, with curl, hyper's client, and frames made by hand.

mod cases;
mod floods;
mod frames;
mod preface;
mod requests;
mod stalls;
mod waiting;

use std::time::Duration;

use bytes::Bytes;
use gateway::edge::serve::ServeConfig;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use web::RequestIds;

use crate::serving::Server;

/// Hyper's client on a connection of its own to `server`, that begins with HTTP/2.
async fn client(server: &Server) -> http2::SendRequest<Full<Bytes>> {
    client_with(server, http2::Builder::new(TokioExecutor::new())).await
}

async fn client_with<B>(
    server: &Server,
    builder: http2::Builder<TokioExecutor>,
) -> http2::SendRequest<B>
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TcpStream::connect(server.addr).await.unwrap();
    let (client, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    crate::http2::spawned(async move {
        // Tests close servers and connections.
        let _ended = connection.await;
    });
    client
}

/// Runs `task` beside the test.
fn spawned(task: impl Future<Output = ()> + Send + 'static) {
    tokio_util::task::TaskTracker::new().spawn(task);
}

/// Limits of a listener that loses patience soon.
fn impatient() -> ServeConfig {
    ServeConfig {
        head_max: Duration::from_millis(400),
        keepalive: Duration::from_millis(800),
        write_stall_max: Duration::from_millis(600),
        ..ServeConfig::public("test", RequestIds::new(1))
    }
}

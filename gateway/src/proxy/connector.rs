//! Opening connections to upstreams.

use std::io;
use std::time::Duration;

use contract::upstream::Upstream;
use http::uri::PathAndQuery;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::net::TcpStream;
use tower::{Service, ServiceExt};

use super::connection::Connection;
use super::idle::BoxError;
use crate::edge::write_stall::WriteStall;

/// Connects over TCP, with one limit for name resolution and connecting together.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    tcp: HttpConnector,
    connect_max: Duration,
    write_stall_max: Duration,
    buffer_bytes: usize,
}

impl Connector {
    pub(super) fn new(
        connect_max: Duration,
        write_stall_max: Duration,
        buffer_bytes: usize,
    ) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        Self {
            tcp,
            connect_max,
            write_stall_max,
            buffer_bytes,
        }
    }

    /// A new connection to `upstream`.
    pub(super) async fn connect(&self, upstream: &Upstream) -> Result<Connection, BoxError> {
        let uri = upstream.resolve(PathAndQuery::from_static("/"))?;
        let mut tcp = self.tcp.clone();
        let connecting = async { tcp.ready().await?.call(uri).await };
        let stream = tokio::time::timeout(self.connect_max, connecting)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "connecting took too long"))??;
        let stream: TcpStream = stream.into_inner();
        let stream = WriteStall::new(stream, self.write_stall_max);
        Ok(Connection::open(stream, self.buffer_bytes).await?)
    }
}

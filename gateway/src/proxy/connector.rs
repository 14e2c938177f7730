//! Opening connections to upstreams.

use std::io;
use std::time::Duration;

use contract::upstream::Upstream;
use http::uri::PathAndQuery;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt};

use super::connection::{Connection, HeadSize};
use super::idle::BoxError;
use super::multiplexed::Multiplexed;
use super::trust::{Protocol, Trust};
use super::wire::Wire;
use crate::edge::write_stall::WriteStall;

/// Connects over TCP and TLS, with one limit for name resolution, connecting and the handshake
/// together.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    trust: Trust,
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
        // The scheme only says which port is meant.
        tcp.enforce_http(false);
        Self {
            tcp,
            trust: Trust::default(),
            connect_max,
            write_stall_max,
            buffer_bytes,
        }
    }

    /// Believes these authorities too, whose certificates are in `pem`.
    pub(super) fn trust(&mut self, pem: &[u8]) {
        self.trust = Trust::with(pem);
    }

    /// A new connection to `upstream`, which may send heads of this size.
    pub(super) async fn connect(
        &self,
        upstream: &Upstream,
        heads: HeadSize,
    ) -> Result<Connection, BoxError> {
        let wire = self.wire_in_time(upstream, Protocol::Http1).await?;
        Ok(Connection::open(wire, self.buffer_bytes, heads).await?)
    }

    /// A new connection to `upstream` that requests share, driven by a task in `tasks`. An
    /// encrypted upstream has to choose HTTP/2; any other is expected to speak it.
    pub(super) async fn connect_http2(
        &self,
        upstream: &Upstream,
        tasks: &TaskTracker,
    ) -> Result<Multiplexed, BoxError> {
        let wire = self.wire_in_time(upstream, Protocol::Http2).await?;
        Ok(Multiplexed::open(wire, self.buffer_bytes, tasks).await?)
    }

    async fn wire_in_time(
        &self,
        upstream: &Upstream,
        protocol: Protocol,
    ) -> Result<Wire, BoxError> {
        tokio::time::timeout(self.connect_max, self.wire(upstream, protocol))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "connecting took too long"))?
    }

    async fn wire(&self, upstream: &Upstream, protocol: Protocol) -> Result<Wire, BoxError> {
        let uri = upstream.resolve(PathAndQuery::from_static("/"))?;
        let mut tcp = self.tcp.clone();
        let stream: TcpStream = tcp.ready().await?.call(uri).await?.into_inner();
        let stream = WriteStall::new(stream, self.write_stall_max);
        if !upstream.is_encrypted() {
            return Ok(Wire::plain(stream));
        }
        let connector = self.trust.connector(protocol).ok_or("TLS is not there")?;
        let name = ServerName::try_from(upstream.host_name().to_owned())?;
        let encrypted = connector.connect(name, stream).await.inspect_err(|error| {
            tracing::warn!(upstream = upstream.url(), %error, "no encrypted connection");
        })?;
        if protocol == Protocol::Http2 && !Protocol::is_http2(&encrypted) {
            return Err("the server does not speak HTTP/2".into());
        }
        Ok(Wire::encrypted(encrypted))
    }
}

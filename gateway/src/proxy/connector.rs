//! Opening connections to upstreams.

use std::io;
use std::time::Duration;

use contract::upstream::Upstream;
use http::uri::PathAndQuery;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tower::{Service, ServiceExt};

use super::connection::{Connection, HeadSize};
use super::idle::BoxError;
use super::trust::Trust;
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
        let wire = tokio::time::timeout(self.connect_max, self.wire(upstream))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "connecting took too long"))??;
        Ok(Connection::open(wire, self.buffer_bytes, heads).await?)
    }

    async fn wire(&self, upstream: &Upstream) -> Result<Wire, BoxError> {
        let uri = upstream.resolve(PathAndQuery::from_static("/"))?;
        let mut tcp = self.tcp.clone();
        let stream: TcpStream = tcp.ready().await?.call(uri).await?.into_inner();
        let stream = WriteStall::new(stream, self.write_stall_max);
        if !upstream.is_encrypted() {
            return Ok(Wire::plain(stream));
        }
        let connector = self.trust.connector().ok_or("TLS is not there")?;
        let name = ServerName::try_from(upstream.host_name().to_owned())?;
        let encrypted = connector.connect(name, stream).await;
        encrypted.map(Wire::encrypted).map_err(|error| {
            tracing::warn!(upstream = upstream.url(), %error, "no encrypted connection");
            error.into()
        })
    }
}

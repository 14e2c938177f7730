//! Limits of a listener, and what precedes HTTP on its connections.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use web::RequestIds;

use super::client_ip::TrustedProxies;
use super::connections::ConnectionLimits;
use super::refused_head::Page;

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
    /// connection. Also the time for a PROXY header and a TLS handshake together.
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
    /// Bytes buffered per connection of HTTP/1, and per stream of HTTP/2, while a request is
    /// served.
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
    /// What TLS is spoken with; plain connections when `None`.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whose PROXY headers are believed. Each connection has to come from one of these and begin
    /// with such a header; none does when `None`.
    pub proxy_protocol: Option<TrustedProxies>,
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
            tls: None,
            proxy_protocol: None,
        }
    }
}

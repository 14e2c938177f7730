//! HAProxy as a plain reverse proxy.

use std::net::SocketAddr;
use std::path::Path;

use tokio::process::Command;

use crate::peer::{Peer, free_address};

/// Threads: one for each CPU of the smallest machine this runs on.
const THREADS: u32 = 2;
/// Unused connections to the upstream that are kept.
const KEEPALIVE: u32 = 128;

/// Starts one in front of `upstream`, with all its files in `dir`.
pub(crate) async fn start(upstream: SocketAddr, dir: &Path) -> anyhow::Result<Peer> {
    let address = free_address()?;
    let dir = tempfile::tempdir_in(dir)?.keep();
    let settings = dir.join("haproxy.cfg");
    std::fs::write(&settings, configuration(address, upstream))?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&settings);
    Peer::start("haproxy", command, address, &dir).await
}

/// A configuration that passes everything on over kept connections, with the headers a gateway
/// adds and without a log of requests, which the gateway has not either.
fn configuration(address: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "global
    maxconn 4096
    nbthread {THREADS}
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend fans
    bind {address}
    default_backend page
backend page
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-Request-Id %[uuid()]
    server page {upstream} pool-max-conn {KEEPALIVE}
"
    )
}

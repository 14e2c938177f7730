//! Pingora as a plain reverse proxy: a program of its own in `pingora/`, which `scripts/bench`
//! builds.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use tokio::process::Command;

use crate::peer::{Peer, free_address};

/// Threads: one for each CPU of the smallest machine this runs on.
const THREADS: u32 = 2;

/// Starts `binary` in front of `upstream`, with its log in `dir`.
pub(crate) async fn start(binary: &Path, upstream: SocketAddr, dir: &Path) -> anyhow::Result<Peer> {
    let address = free_address()?;
    let dir = tempfile::tempdir_in(dir)?.keep();
    let binary = binary
        .canonicalize()
        .with_context(|| format!("{} is not built", binary.display()))?;
    let mut command = Command::new(binary);
    command
        .arg(address.to_string())
        .arg(upstream.to_string())
        .arg(THREADS.to_string());
    Peer::start("pingora", command, address, &dir).await
}

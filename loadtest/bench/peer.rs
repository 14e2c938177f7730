//! A server of somebody else's, which the gateway is compared with.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use test_support::program::Program;
use tokio::process::Command;

use crate::processes::{READY_MAX, family};

/// A running server.
pub(crate) struct Peer {
    program: Program,
    pub address: SocketAddr,
}

impl Peer {
    /// Starts `command`, which has to listen on `address`, with its log in `dir`.
    pub(crate) async fn start(
        name: &'static str,
        command: Command,
        address: SocketAddr,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        let mut program = Program::start(name, command, dir)?;
        program
            .ready(READY_MAX, async |_| {
                TcpStream::connect(address).ok().map(drop)
            })
            .await?;
        Ok(Self { program, address })
    }

    /// Its processes.
    pub(crate) fn pids(&self) -> Vec<u32> {
        family(self.program.pid())
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        self.program.stop().await;
    }
}

/// An address that nobody listens on at the moment.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}

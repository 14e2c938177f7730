//! Listening sockets, one for each core, over which the kernel spreads connections
//! (`SO_REUSEPORT`); a gateway and its successor on one machine share an address for a while.
//!
//! The kernel gives each new connection to one socket of the address and leaves it there; those
//! that wait in the queue of a socket that is closed are reset. So a gateway that is about to stop
//! tells the kernel to give new connections to its successor alone, accepts what waits already, and
//! only then closes its sockets.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;

use nix::libc::{sock_filter, sock_fprog};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::AttachReusePortCbpf;
use tokio::net::TcpSocket;

/// Connections that may wait to be accepted per listener; the kernel limits this further to
/// `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// The instruction of a kernel filter that returns a constant (`BPF_RET | BPF_K`).
const RETURN_CONSTANT: u16 = 0x06;
/// No socket has this index, so the kernel spreads connections over all of them.
const ALL: u32 = u32::MAX;

/// Whether somebody else may listen on the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody may. A second gateway is started on one port by mistake only, although the kernel
    /// would let two share it.
    Alone,
    /// A gateway may that is to be stopped next.
    TakeOver,
}

/// Sockets on one address.
pub struct Sockets {
    /// Those that hold the address and take no connections yet.
    bound: Vec<TcpSocket>,
    listening: Vec<std::net::TcpListener>,
    address: SocketAddr,
}

impl Sockets {
    /// `count` sockets on `address`. A successor's take no connections before
    /// [`Sockets::listen`]: its start may still fail, and nobody is to wait for it.
    pub fn bind(address: SocketAddr, count: NonZeroUsize, claim: Claim) -> io::Result<Self> {
        // With port 0 the kernel chooses a free port, so no other process can have it.
        if address.port() != 0 && claim == Claim::Alone {
            let alone = socket(address)?;
            alone.bind(address)?;
            alone.listen(1)?;
        }
        let shared = |address| {
            let socket = socket(address)?;
            socket.set_reuseport(true)?;
            socket.bind(address)?;
            Ok::<_, io::Error>(socket)
        };
        let first = shared(address)?;
        let address = first.local_addr()?;
        let mut bound = vec![first];
        while bound.len() < count.get() {
            bound.push(shared(address)?);
        }
        let sockets = Self {
            bound,
            listening: Vec::new(),
            address,
        };
        match claim {
            // Whoever comes next is to find the port taken.
            Claim::Alone => sockets.listening(),
            Claim::TakeOver => Ok(sockets),
        }
    }

    /// Their address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens on all of them.
    pub fn listen(self) -> io::Result<Vec<std::net::TcpListener>> {
        let is_successor = self.listening.is_empty();
        let sockets = self.listening()?;
        if is_successor && let Some(first) = sockets.listening.first() {
            // What the gateway before told the kernel was about its own sockets.
            prefer(first, ALL)?;
        }
        Ok(sockets.listening)
    }

    fn listening(mut self) -> io::Result<Self> {
        for socket in self.bound.drain(..) {
            let listener = socket.listen(BACKLOG)?.into_std()?;
            self.listening.push(listener);
        }
        Ok(self)
    }
}

/// Gives new connections to the successor of a gateway that has `own` sockets, of which `listener`
/// is one. Without a successor nothing changes.
///
/// The sockets of an address are numbered in the order in which they began to listen, so the first
/// of the successor's has the number `own`. While this gateway's are closed one after the other the
/// number stays a successor's, if that has as many.
pub(super) fn prefer_successor(listener: &impl AsFd, own: usize) -> io::Result<()> {
    prefer(listener, u32::try_from(own).unwrap_or(ALL))
}

/// Gives new connections to the socket with this number; to all, where there is none.
fn prefer(listener: &impl AsFd, number: u32) -> io::Result<()> {
    let mut filter = [sock_filter {
        code: RETURN_CONSTANT,
        jt: 0,
        jf: 0,
        k: number,
    }];
    let program = sock_fprog {
        len: 1,
        filter: filter.as_mut_ptr(),
    };
    Ok(setsockopt(listener, AttachReusePortCbpf, &program)?)
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // Without this, sockets of an earlier process in TIME_WAIT would block the port.
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);
    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    fn bind(address: SocketAddr, claim: Claim) -> io::Result<Sockets> {
        Sockets::bind(address, TWO, claim)
    }

    /// How many of `count` new connections wait at these sockets.
    fn taken(listeners: &[std::net::TcpListener], address: SocketAddr, count: usize) -> usize {
        let clients: Vec<_> = (0..count)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let mut taken = 0;
        for listener in listeners {
            while listener.accept().is_ok() {
                taken += 1;
            }
        }
        drop(clients);
        taken
    }

    #[tokio::test]
    async fn listeners_share_a_port_and_leave_it_to_nobody_else() {
        let first = bind(ANY, Claim::Alone).unwrap();
        let address = first.address();
        let second = bind(address, Claim::Alone).err().unwrap();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        let listeners = first.listen().unwrap();
        let addresses: Vec<_> = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap())
            .collect();
        assert_eq!(addresses, [address; 2]);
        assert!(bind(address, Claim::Alone).is_err());
        drop(listeners);
        bind(address, Claim::Alone).unwrap();
    }

    #[tokio::test]
    async fn a_successor_takes_nothing_before_it_listens_and_all_when_it_is_preferred() {
        let sockets = bind(ANY, Claim::Alone).unwrap();
        let address = sockets.address();
        let old = sockets.listen().unwrap();
        // Nobody to prefer.
        prefer_successor(&old[0], old.len()).unwrap();
        assert_eq!(taken(&old, address, 20), 20);
        let successor = bind(address, Claim::TakeOver).unwrap();
        assert_eq!(taken(&old, address, 20), 20);
        let new = successor.listen().unwrap();
        let by_old = taken(&old, address, 200);
        assert!((1..200).contains(&by_old), "{by_old}");
        assert_eq!(taken(&new, address, 0), 200 - by_old);
        prefer_successor(&old[0], old.len()).unwrap();
        assert_eq!(taken(&new, address, 20), 20);
        for old in old {
            drop(old);
            assert_eq!(taken(&new, address, 20), 20);
        }
        // The next one.
        let third = bind(address, Claim::TakeOver).unwrap().listen().unwrap();
        let by_new = taken(&new, address, 200);
        assert!((1..200).contains(&by_new), "{by_new}");
        drop(third);
    }
}

//! The sockets of the listeners, and the TLS that is spoken on them.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::acme::kept::Kept;
use crate::config::{CertificateSource, Config};
use crate::edge::certificate::PairFiles;
use crate::edge::reread::Reread;
use crate::edge::sockets::{Claim, Sockets};
use crate::edge::tls::{self, Shown};
use crate::health::from_here;

/// Names of the listeners in metrics.
pub(super) const PUBLIC: &str = "public";
pub(super) const PUBLIC_TLS: &str = "public-tls";
pub(super) const OPS: &str = "ops";

const UNSPOKEN: &str = "TLS cannot be spoken";

/// The sockets of the listeners.
pub(super) struct Listening {
    /// On the public address, one for each core.
    public: Sockets,
    /// On the public address for TLS, one for each core.
    tls: Option<Sockets>,
    /// On the operators' address, one.
    ops: Sockets,
}

/// The sockets, when they take connections.
pub(super) struct Opened {
    pub(super) public: Vec<std::net::TcpListener>,
    pub(super) tls: Vec<std::net::TcpListener>,
    pub(super) ops: Vec<std::net::TcpListener>,
}

/// The URLs of the listeners for programs on this machine.
pub(super) struct Urls {
    pub(super) listen: String,
    pub(super) tls: Option<String>,
    pub(super) ops: String,
}

impl Listening {
    /// Binds the addresses of `config`.
    pub(super) fn bind(config: &Config) -> Result<Self> {
        let claim = if config.take_over {
            Claim::TakeOver
        } else {
            Claim::Alone
        };
        let sockets = |address, count| {
            let bound = Sockets::bind(address, count, claim);
            bound.map_err(|error| anyhow!(unbound(address, &error)))
        };
        let tls = config.tls.as_ref();
        Ok(Self {
            public: sockets(config.listen, config.threads)?,
            tls: tls
                .map(|tls| sockets(tls.listen, config.threads))
                .transpose()?,
            ops: sockets(config.ops_listen, NonZeroUsize::MIN)?,
        })
    }

    pub(super) fn urls(&self, config: &Config) -> Urls {
        let url = |scheme: &str, address| format!("{scheme}://{}", from_here(address));
        let of_ops = if config.ops_tls.is_some() {
            "https"
        } else {
            "http"
        };
        Urls {
            listen: url("http", self.public.address()),
            tls: self.tls.as_ref().map(|tls| url("https", tls.address())),
            ops: url(of_ops, self.ops.address()),
        }
    }

    /// Host and port, by which people tell gateways apart.
    pub(super) fn name(&self) -> String {
        let address = self.public.address();
        let host = nix::unistd::gethostname().ok();
        let host = host.and_then(|host| host.into_string().ok());
        let host = host.unwrap_or_else(|| address.ip().to_string());
        format!("{host}:{}", address.port())
    }

    /// Takes connections.
    pub(super) fn listen(self) -> io::Result<Opened> {
        Ok(Opened {
            public: self.public.listen()?,
            tls: self.tls.map_or_else(|| Ok(Vec::new()), Sockets::listen)?,
            ops: self.ops.listen()?,
        })
    }
}

/// What TLS is spoken with on the listeners.
#[derive(Default)]
pub(super) struct Encryption {
    pub(super) public: Option<Arc<ServerConfig>>,
    pub(super) ops: Option<Arc<ServerConfig>>,
    /// The certificate that fans see, where people without TLS are sent to it.
    pub(super) redirects: Option<Shown>,
    certificates: Vec<Reread>,
}

impl Encryption {
    /// Reads the certificates of `config`.
    pub(super) fn of(config: &Config) -> Result<Self> {
        let mut made = Self::default();
        if let Some(tls) = &config.tls {
            let shown = Shown::default();
            made.public = Some(tls::server_config(&shown).context(UNSPOKEN)?);
            match &tls.source {
                CertificateSource::Files(files) => made.show(files, &shown, PUBLIC_TLS)?,
                CertificateSource::Acme(wanted) => {
                    let files = Kept::at(wanted.kept_in.clone()).files();
                    let mut reread = Reread::awaiting(files, shown.clone(), PUBLIC_TLS);
                    reread.look_once();
                    made.certificates.push(reread);
                }
            }
            made.redirects = tls.redirects.then_some(shown);
        }
        if let Some(files) = &config.ops_tls {
            let shown = Shown::default();
            made.ops = Some(tls::server_config(&shown).context(UNSPOKEN)?);
            made.show(files, &shown, OPS)?;
        }
        Ok(made)
    }

    /// Shows the certificate of these files, which have to be good.
    fn show(&mut self, files: &PairFiles, shown: &Shown, listener: &'static str) -> Result<()> {
        let mut reread = Reread::new(files.clone(), shown.clone(), listener);
        if !reread.look_once() {
            files.read().context("no certificate")?;
        }
        self.certificates.push(reread);
        Ok(())
    }

    /// Takes certificates into use again when they change, until `stop`.
    pub(super) fn keep(&mut self, tasks: &TaskTracker, stop: &CancellationToken) {
        for reread in self.certificates.drain(..) {
            tasks.spawn(reread.run(stop.clone()));
        }
    }
}

/// The error message for `address` that cannot be bound, with what to do.
fn unbound(address: SocketAddr, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there; is another gateway running? To take its place without \
             a gap, start with --take-over"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need a right that this user has not; choose another port"
        }
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address",
        _ => return format!("could not listen on {address}: {error}"),
    };
    format!("could not listen on {address}: {why}")
}

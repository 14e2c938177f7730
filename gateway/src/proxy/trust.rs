//! Which certificates of upstreams are believed.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A protocol that is spoken with upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, for calls of gRPC.
    Http2,
}

impl Protocol {
    /// The name by which it is offered (ALPN).
    fn name(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }

    /// Whether the server has chosen HTTP/2.
    pub(super) fn is_http2<T>(stream: &TlsStream<T>) -> bool {
        stream.get_ref().1.alpn_protocol() == Some(Self::Http2.name())
    }
}

/// The authorities that the system believes and those of an operator, read when the first encrypted
/// connection is made.
#[derive(Clone, Default)]
pub(super) struct Trust(Arc<Shared>);

/// What makes encrypted connections, by what is spoken on them.
struct Connectors {
    http1: TlsConnector,
    http2: TlsConnector,
}

#[derive(Default)]
struct Shared {
    /// Certificates of more authorities, as PEM.
    more: Vec<u8>,
    connectors: OnceLock<Option<Connectors>>,
}

impl Trust {
    /// The authorities of the system, and those whose certificates are in `pem`.
    pub(super) fn with(pem: &[u8]) -> Self {
        Self(Arc::new(Shared {
            more: pem.to_vec(),
            connectors: OnceLock::new(),
        }))
    }

    /// What makes encrypted connections; `None` if TLS cannot be set up at all.
    pub(super) fn connector(&self, protocol: Protocol) -> Option<&TlsConnector> {
        let made = self.0.connectors.get_or_init(|| connectors(&self.0.more));
        made.as_ref().map(|made| match protocol {
            Protocol::Http1 => &made.http1,
            Protocol::Http2 => &made.http2,
        })
    }
}

/// The authorities of the system, and those whose certificates are in `more`, as PEM.
pub(crate) fn roots(more: &[u8]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // Authorities that rustls cannot read are left out.
    for found in rustls_native_certs::load_native_certs().certs {
        let _added = roots.add(found);
    }
    for found in CertificateDer::pem_slice_iter(more).flatten() {
        let _added = roots.add(found);
    }
    roots
}

fn connectors(more: &[u8]) -> Option<Connectors> {
    let roots = roots(more);
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        ClientConfig::builder_with_provider(crypto).with_safe_default_protocol_versions();
    let config = match versions {
        Ok(builder) => builder.with_root_certificates(roots).with_no_client_auth(),
        Err(error) => {
            tracing::error!(%error, "no encrypted upstream can be reached");
            return None;
        }
    };
    let of = |protocol: Protocol| {
        let mut config = config.clone();
        config.alpn_protocols = vec![protocol.name().to_vec()];
        TlsConnector::from(Arc::new(config))
    };
    Some(Connectors {
        http1: of(Protocol::Http1),
        http2: of(Protocol::Http2),
    })
}

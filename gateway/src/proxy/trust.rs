//! Which certificates of upstreams are believed.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// The protocol that is spoken with upstreams.
const ALPN: &[u8] = b"http/1.1";

/// The authorities that the system believes and those of an operator, read when the first encrypted
/// connection is made.
#[derive(Clone, Default)]
pub(super) struct Trust(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Certificates of more authorities, as PEM.
    more: Vec<u8>,
    connector: OnceLock<Option<TlsConnector>>,
}

impl Trust {
    /// The authorities of the system, and those whose certificates are in `pem`.
    pub(super) fn with(pem: &[u8]) -> Self {
        Self(Arc::new(Shared {
            more: pem.to_vec(),
            connector: OnceLock::new(),
        }))
    }

    /// What makes encrypted connections; `None` if TLS cannot be set up at all.
    pub(super) fn connector(&self) -> Option<&TlsConnector> {
        let made = self.0.connector.get_or_init(|| connector(&self.0.more));
        made.as_ref()
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

fn connector(more: &[u8]) -> Option<TlsConnector> {
    let roots = roots(more);
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        ClientConfig::builder_with_provider(crypto).with_safe_default_protocol_versions();
    let mut config = match versions {
        Ok(builder) => builder.with_root_certificates(roots).with_no_client_auth(),
        Err(error) => {
            tracing::error!(%error, "no encrypted upstream can be reached");
            return None;
        }
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    Some(TlsConnector::from(Arc::new(config)))
}

//! TLS on listeners: versions, sessions, and the certificate in force.
//!
//! TLS 1.2 and 1.3 are spoken. Sessions are resumed by tickets that every core of this process can
//! read, so none has to be kept; early data is not taken, because it can be replayed.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};

/// HTTP/2 over TLS (RFC 7301).
pub const H2: &[u8] = b"h2";
/// HTTP/1.1 over TLS.
pub const HTTP_1_1: &[u8] = b"http/1.1";

/// The certificate that a listener shows. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shown(Arc<Certificates>);

#[derive(Debug, Default)]
struct Certificates {
    current: ArcSwapOption<CertifiedKey>,
}

impl Shown {
    /// Shows this certificate from now on; connections that are open keep theirs.
    pub fn show(&self, key: Arc<CertifiedKey>) {
        self.0.current.store(Some(key));
    }

    /// Whether there is one to show: without one, handshakes are refused.
    pub fn is_some(&self) -> bool {
        self.0.current.load().is_some()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}

/// Which certificates and signatures are understood.
pub fn crypto() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// How a listener speaks TLS that shows the certificate of `shown`.
pub fn server_config(shown: &Shown) -> Result<Arc<ServerConfig>, rustls::Error> {
    let versions = [&version::TLS13, &version::TLS12];
    let mut config = ServerConfig::builder_with_provider(crypto())
        .with_protocol_versions(&versions)?
        .with_no_client_auth()
        .with_cert_resolver(shown.0.clone());
    config.alpn_protocols = [H2, HTTP_1_1].map(<[u8]>::to_vec).to_vec();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = ring::Ticketer::new()?;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

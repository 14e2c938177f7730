//! Which authorities are believed when a server shows its certificate.

use data_encoding::BASE64;
use redis::TlsCertificates;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The authorities that the system believes, and those of a file.
#[derive(Clone)]
pub struct Roots {
    /// The certificates of all of them, as PEM.
    pem: String,
}

/// Why authorities cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootsError {
    /// There is none.
    #[error("there is no certificate in it; one begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// One is damaged.
    #[error("certificate {0} in it cannot be read: {1}")]
    Unreadable(usize, String),
}

impl Roots {
    /// The authorities of the system, and those whose certificates are in `pem`.
    pub fn with(pem: &[u8]) -> Result<Self, RootsError> {
        let mut readable = RootCertStore::empty();
        let mut certificates = Vec::new();
        for (index, found) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let unreadable = |why: String| RootsError::Unreadable(index + 1, why);
            let found = found.map_err(|error| unreadable(error.to_string()))?;
            let added = readable.add(found.clone());
            added.map_err(|error| unreadable(error.to_string()))?;
            certificates.push(found);
        }
        if certificates.is_empty() {
            return Err(RootsError::NoCertificate);
        }
        // One that the system has and rustls cannot read would spoil all the others.
        let of_system = rustls_native_certs::load_native_certs().certs;
        let of_system = of_system.into_iter();
        certificates.extend(of_system.filter(|found| readable.add(found.clone()).is_ok()));
        Ok(Self {
            pem: certificates.iter().map(encoded).collect(),
        })
    }

    /// The certificates of all of them.
    pub fn as_pem(&self) -> &[u8] {
        self.pem.as_bytes()
    }

    /// As the Redis client takes them.
    pub(super) fn certificates(&self) -> TlsCertificates {
        TlsCertificates {
            client_tls: None,
            root_cert: Some(self.pem.clone().into_bytes()),
        }
    }
}

fn encoded(certificate: &CertificateDer<'_>) -> String {
    let text = BASE64.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused() {
        let refused = |pem: &str| Roots::with(pem.as_bytes()).map(drop).unwrap_err();
        assert_eq!(refused(""), RootsError::NoCertificate);
        assert_eq!(refused("nothing of the kind"), RootsError::NoCertificate);
        let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let RootsError::Unreadable(1, _) = refused(damaged) else {
            panic!("accepted")
        };
    }
}

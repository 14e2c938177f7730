//! Reading a certificate and its key from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::tls;

/// The files of a certificate with its chain, and of its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// The certificate, and after it those of the authorities between it and the root.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A certificate that can be shown.
#[derive(Clone, Debug)]
pub struct Certified {
    /// The chain with the key.
    pub key: Arc<CertifiedKey>,
    /// From when the certificate is valid, since 1970.
    pub begins_at: Duration,
    /// When it expires, since 1970.
    pub expires_at: Duration,
}

/// Why a pair of files cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PairError {
    /// The certificate.
    #[error("{}: {why}", .file.display())]
    Certificate {
        /// Its file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The key.
    #[error("{}: {why}", .file.display())]
    Key {
        /// Its file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl PairFiles {
    /// Reads both files.
    pub fn read(&self) -> Result<Certified, PairError> {
        let of_certificate = |why: String| PairError::Certificate {
            file: self.cert.clone(),
            why,
        };
        let of_key = |why: String| PairError::Key {
            file: self.key.clone(),
            why,
        };
        let chain = read(&self.cert).map_err(of_certificate)?;
        let key = read(&self.key).map_err(of_key)?;
        certified(&chain, &key).map_err(|fault| match fault {
            Fault::Certificate(why) => of_certificate(why),
            Fault::Key(why) => of_key(why),
        })
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| error.to_string())
}

/// Which of the two is at fault, and why.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// The certificate.
    Certificate(String),
    /// The key.
    Key(String),
}

/// The certificate of a `chain` and its `key`, both PEM.
pub fn certified(chain: &[u8], key: &[u8]) -> Result<Certified, Fault> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.map_err(|error| Fault::Certificate(format!("it is no PEM file: {error}")))?;
    let Some(first) = chain.first() else {
        return Err(Fault::Certificate(
            "there is no certificate in it, as `-----BEGIN CERTIFICATE-----`".to_owned(),
        ));
    };
    let (begins_at, expires_at) = validity(first).map_err(Fault::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
        Fault::Key(
            "there is no private key in it that can be read, as `-----BEGIN PRIVATE KEY-----`; \
             one with a password cannot"
                .to_owned(),
        )
    })?;
    let key = CertifiedKey::from_der(chain, key, &tls::crypto()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            Fault::Key("it is not the key of the certificate".to_owned())
        }
        rustls::Error::InvalidCertificate(_) => Fault::Certificate(error.to_string()),
        error => Fault::Key(error.to_string()),
    })?;
    Ok(Certified {
        key: Arc::new(key),
        begins_at,
        expires_at,
    })
}

fn validity(certificate: &CertificateDer<'_>) -> Result<(Duration, Duration), String> {
    let certificate = Certificate::from_der(certificate)
        .map_err(|error| format!("its certificate cannot be read: {error}"))?;
    let validity = certificate.tbs_certificate.validity;
    let (from, until) = (validity.not_before, validity.not_after);
    Ok((from.to_unix_duration(), until.to_unix_duration()))
}

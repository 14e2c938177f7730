//! How programs on this machine reach the operators' listener by TLS: they believe exactly the
//! certificate in its file, whatever name it is for and whoever gave it.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
};

use crate::edge::certificate::PairFiles;
use crate::edge::tls;

/// Believes one certificate.
#[derive(Debug)]
struct Exactly {
    certificate: CertificateDer<'static>,
    crypto: Arc<CryptoProvider>,
}

/// The beginning of a connection to the listener at `address` that shows the certificate of
/// `files`.
pub(crate) fn connection(files: &PairFiles, address: IpAddr) -> Result<ClientConnection> {
    let pem = std::fs::read(&files.cert);
    let pem = pem.with_context(|| format!("could not read {}", files.cert.display()))?;
    let certificate = CertificateDer::from_pem_slice(&pem).context("no certificate")?;
    let crypto = tls::crypto();
    let config = ClientConfig::builder_with_provider(crypto.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Exactly {
            certificate,
            crypto,
        }))
        .with_no_client_auth();
    let name = ServerName::from(address);
    Ok(ClientConnection::new(Arc::new(config), name)?)
}

impl ServerCertVerifier for Exactly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *end_entity == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.crypto.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.crypto.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.crypto.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

//! A private RSA key of the settings.

use std::fmt;
use std::sync::Arc;

use ring::rand::SystemRandom;
use ring::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

/// A private key that signs by `RSASSA-PKCS1-v1_5` with SHA-256.
#[derive(Clone)]
pub(super) struct RsaKey(Arc<RsaKeyPair>);

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaKey(..)")
    }
}

impl RsaKey {
    /// The first private key of a PEM file, in the form of PKCS #8 or #1.
    pub(super) fn read(pem: &[u8]) -> Result<Self, String> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => {
                "there is no private key in it, or it is encrypted".to_owned()
            }
            error => format!("it cannot be read: {error:?}"),
        })?;
        let pair = match &key {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err("it is no RSA key".to_owned()),
        };
        let refused = |error| format!("it is no RSA key of 2048 bits or more: {error}");
        Ok(Self(Arc::new(pair.map_err(refused)?)))
    }

    /// The public half, as `RSAPublicKey` in DER.
    pub(super) fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// Signs. The randomness hides the key from measurements, and is not in the signature.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ring::error::Unspecified> {
        let mut signature = vec![0; self.0.public().modulus_len()];
        let random = SystemRandom::new();
        self.0
            .sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
        Ok(signature)
    }
}

//! The keys of wallets, and what is wrong with them. No I/O.

use std::fmt;

use cms::cert::x509::Certificate;
use cms::cert::x509::der::asn1::{ObjectIdentifier, PrintableStringRef, Utf8StringRef};
use cms::cert::x509::der::{Decode, Tag, Tagged};
use contract::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;

use super::rsa_key::RsaKey;

/// In the subject of a certificate for passes: the pass type identifier, and the team.
const USER_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1");
const ORGANISATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");

/// What tickets can be added to.
#[derive(Clone, Debug, Default)]
pub struct WalletConfig {
    /// Apple Wallet.
    pub apple: Option<AppleWallet>,
    /// Google Wallet.
    pub google: Option<GoogleWallet>,
}

/// What signs Apple's passes.
#[derive(Clone)]
pub struct AppleWallet {
    /// The certificate for passes first, then those of its issuers.
    pub(super) certificates: Vec<Certificate>,
    pub(super) key: RsaKey,
    pub(super) pass_type: String,
    pub(super) team: String,
}

impl fmt::Debug for AppleWallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppleWallet")
            .field("pass_type", &self.pass_type)
            .finish_non_exhaustive()
    }
}

impl AppleWallet {
    /// The certificate for passes, with Apple's intermediate one after it (PEM), and the key of the
    /// first (PEM).
    pub fn read(certificates: &[u8], key: &[u8]) -> Result<Self, String> {
        let mut read = Vec::new();
        for found in CertificateDer::pem_slice_iter(certificates) {
            let found =
                found.map_err(|error| format!("a certificate cannot be read: {error:?}"))?;
            let found = Certificate::from_der(&found)
                .map_err(|error| format!("a certificate cannot be read: {error}"))?;
            read.push(found);
        }
        let Some(own) = read.first() else {
            return Err("there is no certificate in it: it has to be PEM".to_owned());
        };
        if read.len() < 2 {
            return Err(
                "Apple's intermediate certificate (WWDR) has to follow that for passes".to_owned(),
            );
        }
        let named = |oid, what: &str| {
            subject(own, oid).ok_or_else(|| {
                format!("the first certificate is none for passes: its subject has no {what}")
            })
        };
        let pass_type = named(USER_ID, "pass type identifier (UID)")?;
        let team = named(ORGANISATIONAL_UNIT, "team (OU)")?;
        if read[1].tbs_certificate.subject != own.tbs_certificate.issuer {
            return Err("the second certificate is not that of the issuer of the first".to_owned());
        }
        let key = RsaKey::read(key).map_err(|why| format!("the key: {why}"))?;
        let public = &own
            .tbs_certificate
            .subject_public_key_info
            .subject_public_key;
        if public.as_bytes() != Some(key.public()) {
            return Err("the key is not that of the first certificate".to_owned());
        }
        Ok(Self {
            certificates: read,
            key,
            pass_type,
            team,
        })
    }

    /// What works and is not wise at `now`.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let ends = self.certificates.iter().map(|certificate| {
            let until = certificate.tbs_certificate.validity.not_after;
            i64::try_from(until.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
        });
        let first = ends.min()?;
        (first < now.as_unix_seconds())
            .then(|| "a certificate has ended: telephones refuse the passes".to_owned())
    }
}

/// A text of the subject of a certificate.
fn subject(certificate: &Certificate, oid: ObjectIdentifier) -> Option<String> {
    let names = certificate.tbs_certificate.subject.0.iter();
    let mut attributes = names.flat_map(|name| name.0.iter());
    let found = attributes.find(|attribute| attribute.oid == oid)?;
    match found.value.tag() {
        Tag::Utf8String => {
            let text = found.value.decode_as::<Utf8StringRef<'_>>().ok()?;
            Some(text.as_str().to_owned())
        }
        Tag::PrintableString => {
            let text = found.value.decode_as::<PrintableStringRef<'_>>().ok()?;
            Some(text.as_str().to_owned())
        }
        _ => None,
    }
}

/// What signs links to save a ticket in Google Wallet.
#[derive(Clone)]
pub struct GoogleWallet {
    pub(super) issuer: String,
    pub(super) email: String,
    pub(super) key: RsaKey,
}

impl fmt::Debug for GoogleWallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoogleWallet")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// A service account's file, as far as it is used.
#[derive(Deserialize)]
struct ServiceAccount {
    client_email: String,
    private_key: String,
}

impl GoogleWallet {
    /// The issuer's number, and the file of a service account with its key (JSON).
    pub fn read(issuer: &str, account: &[u8]) -> Result<Self, String> {
        let issuer = issuer.trim();
        if issuer.is_empty() || !issuer.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("`{issuer}` is no issuer id: it has digits only"));
        }
        let account: ServiceAccount = serde_json::from_slice(account)
            .map_err(|error| format!("it is no file of a service account: {error}"))?;
        let key = RsaKey::read(account.private_key.as_bytes())
            .map_err(|why| format!("the key of the service account: {why}"))?;
        Ok(Self {
            issuer: issuer.to_owned(),
            email: account.client_email,
            key,
        })
    }
}

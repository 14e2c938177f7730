//! Detached signatures (CMS, RFC 5652), as Apple wants them. Pure but for the key.

use std::time::Duration;

use cms::cert::x509::Certificate;
use cms::cert::x509::attr::Attribute;
use cms::cert::x509::der::asn1::{ObjectIdentifier, OctetString, SetOfVec, UtcTime};
use cms::cert::x509::der::{self, Any, Encode, Tag};
use cms::cert::x509::spki::AlgorithmIdentifierOwned;
use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use contract::Timestamp;
use sha2::{Digest, Sha256};

use super::rsa_key::RsaKey;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Why something could not be signed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CmsError {
    #[error("it cannot be written in DER: {0}")]
    Der(#[from] der::Error),
    #[error("there is no certificate")]
    NoCertificate,
    #[error("the key does not sign")]
    Key(#[from] ring::error::Unspecified),
}

/// The signature of `content`, which is not in it, by `key`, which belongs to the first of
/// `certificates`; all of them go along. In DER.
pub(super) fn detached(
    content: &[u8],
    certificates: &[Certificate],
    key: &RsaKey,
    at: Timestamp,
) -> Result<Vec<u8>, CmsError> {
    let Some(signer) = certificates.first() else {
        return Err(CmsError::NoCertificate);
    };
    let seconds = u64::try_from(at.as_ms() / 1000).unwrap_or(0);
    let signed_at = UtcTime::from_unix_duration(Duration::from_secs(seconds))?;
    let attributes = SetOfVec::try_from(vec![
        attribute(CONTENT_TYPE, Any::encode_from(&DATA)?)?,
        attribute(SIGNING_TIME, Any::encode_from(&signed_at)?)?,
        attribute(
            MESSAGE_DIGEST,
            Any::encode_from(&OctetString::new(&Sha256::digest(content)[..])?)?,
        )?,
    ])?;
    let sha_256 = AlgorithmIdentifierOwned {
        oid: SHA_256,
        parameters: None,
    };
    let signer_info = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: signer.tbs_certificate.issuer.clone(),
            serial_number: signer.tbs_certificate.serial_number.clone(),
        }),
        digest_alg: sha_256.clone(),
        signature_algorithm: AlgorithmIdentifierOwned {
            oid: RSA,
            parameters: Some(Any::new(Tag::Null, Vec::new())?),
        },
        // The attributes are signed as a set, with its own tag.
        signature: OctetString::new(key.sign(&attributes.to_der()?)?)?,
        signed_attrs: Some(attributes),
        unsigned_attrs: None,
    };
    let chain = certificates.iter().cloned();
    let chain: Vec<_> = chain.map(CertificateChoices::Certificate).collect();
    let data = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![sha_256])?,
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: DATA,
            econtent: None,
        },
        certificates: Some(CertificateSet(SetOfVec::try_from(chain)?)),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![signer_info])?),
    };
    let info = ContentInfo {
        content_type: SIGNED_DATA,
        content: Any::encode_from(&data)?,
    };
    Ok(info.to_der()?)
}

fn attribute(oid: ObjectIdentifier, value: Any) -> Result<Attribute, der::Error> {
    Ok(Attribute {
        oid,
        values: SetOfVec::try_from(vec![value])?,
    })
}

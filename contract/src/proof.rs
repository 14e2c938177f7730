//! The proof that a request came through the gate: a short JSON Web Token for the service behind it.
//!
//! It is signed by a key of its own, derived from the signing key, and published apart from the keys
//! of passes: who verifies passes can never take a proof for one.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use hkdf::Hkdf;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::ids::{PlaceId, RoomId};
use crate::jwk::Jwk;

/// How long a proof is valid, in seconds: a request is on its way for no longer, and a copy of it
/// is of no use after that.
pub const PROOF_SECONDS: i64 = 30;
/// `token_use` of a proof.
pub const TOKEN_USE_PROOF: &str = "proof";
/// `typ` of a proof.
const TYPE: &str = "ropeline-proof+jwt";
/// Domain separation: no other key is derived for this purpose.
const PURPOSE: &[u8] = b"proof-key-v1";

/// The claims of a proof. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofClaims {
    /// The issuer, as of passes.
    pub iss: String,
    /// The room that the request belongs to.
    pub aud: RoomId,
    /// The fan whose session it is of; absent where the path needs no pass and none came along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<PlaceId>,
    /// The request id, as in `X-Request-Id`.
    pub jti: String,
    /// When the gate let the request through.
    pub iat: i64,
    /// When the proof ends.
    pub exp: i64,
    /// The method.
    pub method: String,
    /// The host that the fan asked for, as in `X-Forwarded-Host`; empty where none was named.
    pub host: String,
    /// Path and query as the service gets them.
    pub path: String,
    /// Always `proof`.
    pub token_use: String,
}

/// The key that signs proofs, derived from a signing key.
pub struct ProofKey {
    kid: String,
    public: [u8; 32],
    encoding: EncodingKey,
}

impl ProofKey {
    /// The key that is derived from the secret half of a signing key.
    pub fn derived(secret: &[u8; 32]) -> Option<Self> {
        let mut seed = [0; 32];
        let derived = Hkdf::<Sha256>::new(Some(b"ropeline"), secret).expand(PURPOSE, &mut seed);
        derived.ok()?;
        let key = SigningKey::from_bytes(&seed);
        let public = key.verifying_key().to_bytes();
        Some(Self {
            kid: HEXLOWER.encode(&public[..8]),
            public,
            encoding: EncodingKey::from_ed_der(key.to_pkcs8_der().ok()?.as_bytes()),
        })
    }

    /// Signs `claims`.
    pub fn sign(&self, claims: &ProofClaims) -> Option<String> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.encoding).ok()
    }

    /// The public half.
    pub fn jwk(&self) -> Jwk {
        Jwk::ed25519(self.kid.clone(), BASE64URL_NOPAD.encode(&self.public))
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};

    use super::*;
    use crate::clock::Timestamp;
    use crate::pass::{PassKey, PassKeys};

    fn claims() -> ProofClaims {
        ProofClaims {
            iss: "https://line.test".to_owned(),
            aud: "eras".parse().unwrap(),
            sub: Some(PlaceId::from_bytes([7; 16])),
            jti: "r-1".to_owned(),
            iat: 1_790_000_000,
            exp: 1_790_000_000 + PROOF_SECONDS,
            method: "POST".to_owned(),
            host: "shop.example".to_owned(),
            path: "/checkout?a=1".to_owned(),
            token_use: TOKEN_USE_PROOF.to_owned(),
        }
    }

    #[test]
    fn a_proof_is_read_with_the_published_key_and_is_no_pass() {
        let passes = PassKeys::new(
            "https://line.test",
            vec![PassKey::from_seed([3; 32]).unwrap()],
        )
        .unwrap();
        let proof = passes.sign_proof(&claims()).unwrap();
        let published = passes.proof_jwks().keys;
        assert_eq!(published.len(), 1);
        let header = jsonwebtoken::decode_header(&proof).unwrap();
        assert_eq!(header.typ.as_deref(), Some(TYPE));
        assert_eq!(header.kid.as_deref(), Some(published[0].kid.as_str()));
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false;
        validation.set_audience(&["eras"]);
        let read = |x: &str| {
            let key = DecodingKey::from_ed_components(x).unwrap();
            jsonwebtoken::decode::<ProofClaims>(&proof, &key, &validation)
        };
        assert_eq!(read(&published[0].x).unwrap().claims, claims());
        let of_passes = &passes.jwks().keys[0];
        assert_ne!(of_passes.kid, published[0].kid);
        assert!(read(&of_passes.x).is_err());
        assert!(
            passes
                .verify(&proof, Timestamp::from_ms(1_790_000_001_000))
                .is_err()
        );
    }

    #[test]
    fn each_signing_key_has_one_proof_key() {
        let kid = |seed| ProofKey::derived(&[seed; 32]).unwrap().kid;
        assert_eq!(kid(1), kid(1));
        assert_ne!(kid(1), kid(2));
    }
}

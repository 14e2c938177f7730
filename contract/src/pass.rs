//! The pass: a JSON Web Token (RFC 7519) signed with EdDSA (RFC 8037) that proves admission.
//!
//! Time is always a parameter: the library's own clock and leeway are disabled. The algorithm is
//! fixed on both sides; a token with another one is refused before its signature is verified.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey, EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding,
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::ids::{PlaceId, RoomId};
use crate::jwk::Jwk;
use crate::proof::{ProofClaims, ProofKey};

pub use crate::jwk::JwkSet;

/// Tolerated clock difference between gateways for `nbf`. Expiry has no leeway.
pub const NOT_BEFORE_LEEWAY: Duration = Duration::from_secs(5);

/// Longest accepted token, in bytes. Real ones have about 500.
pub const PASS_BYTES_MAX: usize = 2048;

/// The claims of a pass. Times are Unix seconds, as RFC 7519 defines them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassClaims {
    /// The issuer: the gateway's public URL unless configured.
    pub iss: String,
    /// The room it admits to.
    pub aud: RoomId,
    /// The place that was called.
    pub sub: PlaceId,
    /// The session id. One call yields one session, so claiming twice returns the same id.
    pub jti: String,
    /// When it was issued.
    pub iat: i64,
    /// When it starts to be valid.
    pub nbf: i64,
    /// When it ends.
    pub exp: i64,
    /// The ordinal of the admission in the room's log, from 1.
    pub queue_position: u64,
    /// Always `access`.
    pub token_use: String,
}

impl PassClaims {
    /// When the pass ends.
    pub fn expires_at(&self) -> Timestamp {
        Timestamp::from_ms(self.exp.saturating_mul(1000))
    }
}

/// `token_use` of a pass.
pub const TOKEN_USE_ACCESS: &str = "access";

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a PKCS#8 PEM file with an Ed25519 private key.
    #[error("not an Ed25519 private key in PKCS#8 PEM form")]
    Unreadable,
}

/// Why a text is not a valid pass. The reason is for logs and metrics; clients of the public API
/// learn only that a pass is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassError {
    /// Not genuine: malformed, forged, or of another algorithm, issuer or key.
    #[error("the pass is not genuine")]
    Forged,
    /// Genuine, but for another room.
    #[error("the pass is for another room")]
    OtherRoom,
    /// Genuine, but expired or not yet valid.
    #[error("the pass has expired or is not valid yet")]
    Expired,
}

/// The id of an installation, derived from the public half of its first ticket key. It never changes
/// while the database exists.
pub fn installation_id(first_ticket_key: &[u8; 32]) -> String {
    let mut digest = Sha256::new();
    digest.update(b"ropeline-installation-v1");
    digest.update(first_ticket_key);
    HEXLOWER.encode(&digest.finalize()[..16])
}

/// One Ed25519 key pair. Its id is derived from the public half, so every process with the same key
/// uses the same id.
pub struct PassKey {
    kid: String,
    public: [u8; 32],
    secret: [u8; 32],
    encoding: EncodingKey,
    decoding: DecodingKey,
    proof: ProofKey,
}

impl PassKey {
    /// The key whose secret half is `seed`.
    pub fn from_seed(seed: [u8; 32]) -> Result<Self, KeyError> {
        Self::from_signing_key(&SigningKey::from_bytes(&seed))
    }

    /// The key in a PKCS#8 PEM file.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let key = SigningKey::from_pkcs8_pem(pem.trim()).map_err(|_| KeyError::Unreadable)?;
        Self::from_signing_key(&key)
    }

    fn from_signing_key(key: &SigningKey) -> Result<Self, KeyError> {
        let der = key.to_pkcs8_der().map_err(|_| KeyError::Unreadable)?;
        let public = key.verifying_key().to_bytes();
        let x = BASE64URL_NOPAD.encode(&public);
        Ok(Self {
            kid: HEXLOWER.encode(&public[..8]),
            public,
            secret: key.to_bytes(),
            proof: ProofKey::derived(key.as_bytes()).ok_or(KeyError::Unreadable)?,
            encoding: EncodingKey::from_ed_der(der.as_bytes()),
            decoding: DecodingKey::from_ed_components(&x).map_err(|_| KeyError::Unreadable)?,
        })
    }

    /// The key as a PKCS#8 PEM file, to be kept secret. Without the public half, which RFC 8410
    /// allows but OpenSSL 3 cannot read.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let pair = KeypairBytes {
            secret_key: self.secret,
            public_key: None,
        };
        pair.to_pkcs8_pem(LineEnding::LF)
            .map(|pem| pem.to_string())
            .map_err(|_| KeyError::Unreadable)
    }

    /// The secret half, from which keys for other purposes are derived.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// The public half.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The id that tokens name this key by: the first eight bytes of its public half, in hexadecimal.
    pub fn kid(&self) -> &str {
        &self.kid
    }
}

/// Signs passes with one of its keys and verifies with all of them, so that a key can be replaced
/// while its passes stay valid.
pub struct PassKeys {
    issuer: String,
    keys: Vec<PassKey>,
    /// Index of the key that signs.
    signer: AtomicUsize,
    validation: Validation,
}

impl PassKeys {
    /// Keys of `issuer`; the first one signs until [`PassKeys::sign_with`]. Fails without keys.
    pub fn new(issuer: impl Into<String>, keys: Vec<PassKey>) -> Result<Self, KeyError> {
        if keys.is_empty() {
            return Err(KeyError::Unreadable);
        }
        let issuer = issuer.into();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&issuer]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp", "nbf"]);
        // Time and audience are checked below, with the caller's time and room.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Ok(Self {
            issuer,
            keys,
            signer: AtomicUsize::new(0),
            validation,
        })
    }

    /// Signs with the key `id` from now on. Whether there is such a key.
    pub fn sign_with(&self, id: &str) -> bool {
        let index = self.keys.iter().position(|key| key.kid == id);
        if let Some(index) = index {
            self.signer.store(index, Ordering::Relaxed);
        }
        index.is_some()
    }

    /// The `iss` of the passes.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs `claims` with the key that signs now.
    pub fn sign(&self, claims: &PassClaims) -> Result<String, PassError> {
        let signer = self.signer.load(Ordering::Relaxed);
        let key = self.keys.get(signer).ok_or(PassError::Forged)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key.kid.clone());
        jsonwebtoken::encode(&header, claims, &key.encoding).map_err(|_| PassError::Forged)
    }

    /// The claims of `token` if it is genuine and valid at `now`, for any room.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<PassClaims, PassError> {
        self.verify_if(token, now, |_| true)
    }

    /// The claims of `token` if it is genuine, for `room`, and valid at `now`.
    pub fn verify_for(
        &self,
        token: &str,
        room: &RoomId,
        now: Timestamp,
    ) -> Result<PassClaims, PassError> {
        self.verify_if(token, now, |aud| aud == room)
    }

    /// The claims of `token` if it is genuine, valid at `now`, and for a room that `is_wanted`.
    ///
    /// Anyone can send tokens, and verifying a signature takes 50 µs, so the unverified claims are
    /// checked first.
    pub fn verify_if(
        &self,
        token: &str,
        now: Timestamp,
        is_wanted: impl FnOnce(&RoomId) -> bool,
    ) -> Result<PassClaims, PassError> {
        self.verify_late(token, now, Duration::ZERO, is_wanted)
    }

    /// Like [`PassKeys::verify_if`], but also accepts a token that expired up to `grace` before
    /// `now`. Such a token only identifies the owner of holds; it admits to nothing.
    pub fn verify_late(
        &self,
        token: &str,
        now: Timestamp,
        grace: Duration,
        is_wanted: impl FnOnce(&RoomId) -> bool,
    ) -> Result<PassClaims, PassError> {
        let claimed = unverified(token).ok_or(PassError::Forged)?;
        if claimed.iss != self.issuer || claimed.token_use != TOKEN_USE_ACCESS {
            return Err(PassError::Forged);
        }
        if !is_wanted(&claimed.aud) {
            return Err(PassError::OtherRoom);
        }
        check_time(&claimed, now, grace)?;
        self.verify_signature(token)
    }

    fn verify_signature(&self, token: &str) -> Result<PassClaims, PassError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| PassError::Forged)?;
        if header.alg != Algorithm::EdDSA {
            return Err(PassError::Forged);
        }
        let kid = header.kid.ok_or(PassError::Forged)?;
        let key = self
            .keys
            .iter()
            .find(|key| key.kid == kid)
            .ok_or(PassError::Forged)?;
        let data = jsonwebtoken::decode::<PassClaims>(token, &key.decoding, &self.validation)
            .map_err(|_| PassError::Forged)?;
        if data.claims.token_use == TOKEN_USE_ACCESS {
            Ok(data.claims)
        } else {
            Err(PassError::Forged)
        }
    }

    /// The public halves, for upstreams that verify passes.
    pub fn jwks(&self) -> JwkSet {
        let keys = self.keys.iter();
        let keys =
            keys.map(|key| Jwk::ed25519(key.kid.clone(), BASE64URL_NOPAD.encode(&key.public)));
        JwkSet {
            keys: keys.collect(),
        }
    }

    /// Signs the proof that a request came through the gate, with the proof key of the key that
    /// signs now.
    pub fn sign_proof(&self, claims: &ProofClaims) -> Option<String> {
        let signer = self.signer.load(Ordering::Relaxed);
        self.keys.get(signer)?.proof.sign(claims)
    }

    /// The public halves of the proof keys, for upstreams that verify proofs.
    pub fn proof_jwks(&self) -> JwkSet {
        let keys = self.keys.iter().map(|key| key.proof.jwk());
        JwkSet {
            keys: keys.collect(),
        }
    }
}

/// The claims of `token`, unverified.
fn unverified(token: &str) -> Option<PassClaims> {
    if token.len() > PASS_BYTES_MAX {
        return None;
    }
    let claims = token.split('.').nth(1)?;
    serde_json::from_slice(&BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?).ok()
}

fn check_time(claims: &PassClaims, now: Timestamp, grace: Duration) -> Result<(), PassError> {
    let starts = Timestamp::from_ms(claims.nbf.saturating_mul(1000)).minus(NOT_BEFORE_LEEWAY);
    if now < starts || now >= claims.expires_at().plus(grace) {
        return Err(PassError::Expired);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn keys(seed: u8) -> PassKeys {
        PassKeys::new(
            "https://line.test",
            vec![PassKey::from_seed([seed; 32]).unwrap()],
        )
        .unwrap()
    }

    fn claims() -> PassClaims {
        PassClaims {
            iss: "https://line.test".to_owned(),
            aud: "eras".parse().unwrap(),
            sub: PlaceId::from_bytes([7; 16]),
            jti: "s1".to_owned(),
            iat: NOW.as_unix_seconds(),
            nbf: NOW.as_unix_seconds(),
            exp: NOW.as_unix_seconds() + 60,
            queue_position: 12,
            token_use: TOKEN_USE_ACCESS.to_owned(),
        }
    }

    fn encode(header: &serde_json::Value, body: &serde_json::Value, signature: &str) -> String {
        let part = |v: &serde_json::Value| BASE64URL_NOPAD.encode(v.to_string().as_bytes());
        format!("{}.{}.{signature}", part(header), part(body))
    }

    #[test]
    fn a_signed_pass_verifies_until_it_expires() {
        let keys = keys(1);
        let token = keys.sign(&claims()).unwrap();
        let room = "eras".parse().unwrap();
        assert_eq!(keys.verify_for(&token, &room, NOW), Ok(claims()));
        let last = NOW.plus(Duration::from_millis(59_999));
        assert!(keys.verify(&token, last).is_ok());
        let over = NOW.plus(Duration::from_mins(1));
        assert_eq!(keys.verify(&token, over), Err(PassError::Expired));
        let early = NOW.minus(Duration::from_secs(6));
        assert_eq!(keys.verify(&token, early), Err(PassError::Expired));
    }

    #[test]
    fn forgeries_are_refused() {
        let keys = keys(1);
        let token = keys.sign(&claims()).unwrap();
        let body = serde_json::to_value(claims()).unwrap();
        let kid = keys.keys[0].kid.clone();
        let signature = token.rsplit('.').next().unwrap();
        let none = json!({"alg": "none", "typ": "JWT", "kid": kid});
        let hmac = json!({"alg": "HS256", "typ": "JWT", "kid": kid});
        let other = super::tests::keys(2).sign(&claims()).unwrap();
        let mut longer = body.clone();
        longer["exp"] = json!(NOW.as_unix_seconds() + 999);
        let genuine = json!({"alg": "EdDSA", "typ": "JWT", "kid": kid});
        for forged in [
            String::new(),
            "a.b.c".to_owned(),
            encode(&none, &body, ""),
            encode(&hmac, &body, signature),
            encode(&genuine, &longer, signature),
            other,
            format!("{token}x"),
            "x".repeat(PASS_BYTES_MAX + 1),
        ] {
            assert_eq!(
                keys.verify(&forged, NOW),
                Err(PassError::Forged),
                "{forged}"
            );
        }
    }

    #[test]
    fn another_rooms_pass_is_refused() {
        let keys = keys(1);
        let token = keys.sign(&claims()).unwrap();
        let room = "other".parse().unwrap();
        assert_eq!(
            keys.verify_for(&token, &room, NOW),
            Err(PassError::OtherRoom)
        );
    }

    #[test]
    fn what_rules_a_token_out_is_looked_at_before_its_signature() {
        let keys = keys(1);
        let token = keys.sign(&claims()).unwrap();
        let (unsigned, _) = token.rsplit_once('.').unwrap();
        let forged = format!("{unsigned}.{}", "A".repeat(86));
        let other = "other".parse().unwrap();
        let refused = keys.verify_for(&forged, &other, NOW);
        assert_eq!(refused, Err(PassError::OtherRoom));
        let over = NOW.plus(Duration::from_mins(1));
        assert_eq!(keys.verify(&forged, over), Err(PassError::Expired));
        assert_eq!(keys.verify(&forged, NOW), Err(PassError::Forged));
    }

    #[test]
    fn old_keys_verify_after_a_rotation() {
        let old = keys(1).sign(&claims()).unwrap();
        let both = [2, 1].map(|seed| PassKey::from_seed([seed; 32]).unwrap());
        let rotated = PassKeys::new("https://line.test", both.into()).unwrap();
        assert!(rotated.verify(&old, NOW).is_ok());
        assert_eq!(rotated.jwks().keys.len(), 2);
    }

    #[test]
    fn another_key_signs_when_it_is_told_to() {
        let both = [1, 2].map(|seed| PassKey::from_seed([seed; 32]).unwrap());
        let second = both[1].kid.clone();
        let keys_of_both = PassKeys::new("https://line.test", both.into()).unwrap();
        let verified_by = |token: &str| [1, 2].map(|seed| keys(seed).verify(token, NOW).is_ok());
        assert_eq!(
            verified_by(&keys_of_both.sign(&claims()).unwrap()),
            [true, false]
        );
        assert!(keys_of_both.sign_with(&second));
        assert!(!keys_of_both.sign_with("feed"));
        assert_eq!(
            verified_by(&keys_of_both.sign(&claims()).unwrap()),
            [false, true]
        );
    }

    #[test]
    fn pem_reads_back() {
        let key = PassKey::from_seed([9; 32]).unwrap();
        let again = PassKey::from_pem(&key.to_pem().unwrap()).unwrap();
        assert_eq!(again.kid, key.kid);
        assert!(PassKey::from_pem("-----BEGIN PRIVATE KEY-----").is_err());
        // Earlier versions included the public half.
        let with_public = SigningKey::from_bytes(&[9; 32])
            .to_pkcs8_pem(LineEnding::LF)
            .unwrap();
        assert_ne!(*with_public, key.to_pem().unwrap());
        assert_eq!(PassKey::from_pem(&with_public).unwrap().kid, key.kid);
    }

    /// The output of `openssl` for `input`.
    fn openssl(arguments: &[&str], input: &str) -> Vec<u8> {
        use std::io::Write;
        use std::process::{Command, Stdio};

        let mut child = Command::new("openssl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("openssl is not installed: run scripts/install-servers --test");
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "openssl {arguments:?}");
        output.stdout
    }

    #[test]
    fn openssl_reads_our_keys_and_we_read_its() {
        let key = PassKey::from_seed([9; 32]).unwrap();
        let public = ["pkey", "-pubout", "-outform", "DER"];
        let read = openssl(&public, &key.to_pem().unwrap());
        // RFC 8410: the document ends with the public key.
        assert!(read.ends_with(key.public()));
        let pem = openssl(&["genpkey", "-algorithm", "ed25519"], "");
        let theirs = PassKey::from_pem(std::str::from_utf8(&pem).unwrap()).unwrap();
        let read = openssl(&public, std::str::from_utf8(&pem).unwrap());
        assert!(read.ends_with(theirs.public()));
    }
}

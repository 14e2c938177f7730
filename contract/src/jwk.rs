//! Public keys as JSON Web Keys (RFC 8037 §2).

use serde::{Deserialize, Serialize};

/// A public key as a JSON Web Key (RFC 8037 §2).
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Jwk {
    /// Key type, `OKP`.
    pub kty: String,
    /// Curve, `Ed25519`.
    pub crv: String,
    /// Key id.
    pub kid: String,
    /// Algorithm, `EdDSA`.
    pub alg: String,
    /// Use, `sig`.
    #[serde(rename = "use")]
    pub usage: String,
    /// The public key, base64url.
    pub x: String,
}

/// A set of public keys.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JwkSet {
    /// The keys, in no order that matters.
    pub keys: Vec<Jwk>,
}

impl Jwk {
    /// The Ed25519 key `x`, in base64url, under the id `kid`.
    pub(crate) fn ed25519(kid: String, x: String) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            kid,
            alg: "EdDSA".to_owned(),
            usage: "sig".to_owned(),
            x,
        }
    }
}

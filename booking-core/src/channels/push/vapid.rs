//! Who we are, signed for a push service: RFC 8292. Pure.

use contract::Timestamp;
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use p256::SecretKey;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::sec1::ToEncodedPoint;
use serde_json::json;
use sha2::Sha256;
use std::time::Duration;

use crate::config::TicketKeys;

/// Domain separation of the key.
const VAPID: &[u8] = b"ropeline push key v1\0";
/// How long a signature is good. Push services allow a day.
const GOOD_FOR: Duration = Duration::from_hours(12);

/// The key with which push services know us. Browsers subscribe to it, so it has to stay the same:
/// it derives from the key of the tickets, which every gateway of the installation has.
#[derive(Clone)]
pub(crate) struct VapidKey {
    secret: SecretKey,
    /// Whom a push service can ask about us, a URL.
    contact: String,
}

impl VapidKey {
    /// The key of the installation whose tickets are signed with `keys`.
    pub(crate) fn new(keys: &TicketKeys, contact: String) -> Self {
        // All but one of 2^32 numbers is a key.
        let secret = (0..=u8::MAX).find_map(|number| {
            let mut mac = Hmac::<Sha256>::new_from_slice(&keys.seed).ok()?;
            mac.update(VAPID);
            mac.update(&[number]);
            SecretKey::from_slice(&mac.finalize().into_bytes()).ok()
        });
        let Some(secret) = secret else {
            unreachable!("one of 256 numbers is a key")
        };
        Self { secret, contact }
    }

    /// The public half, as browsers want it.
    pub(crate) fn public(&self) -> String {
        let point = self.secret.public_key().to_encoded_point(false);
        BASE64URL_NOPAD.encode(point.as_bytes())
    }

    /// The value of `Authorization` for the push service at `origin`.
    pub(crate) fn authorization(&self, origin: &str, now: Timestamp) -> String {
        let head = json!({"typ": "JWT", "alg": "ES256"});
        let ends = now.plus(GOOD_FOR).as_ms() / 1000;
        let claims = json!({"aud": origin, "exp": ends, "sub": self.contact});
        let part = |json: serde_json::Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
        let signed = format!("{}.{}", part(head), part(claims));
        let key = SigningKey::from(&self.secret);
        let signature: Signature = key.sign(signed.as_bytes());
        let signature = BASE64URL_NOPAD.encode(&signature.to_bytes());
        format!("vapid t={signed}.{signature}, k={}", self.public())
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::VerifyingKey;
    use p256::ecdsa::signature::Verifier;

    use super::*;

    #[test]
    fn the_signature_names_the_service_and_ends() {
        let key = VapidKey::new(
            &TicketKeys::new(1, [7; 32]),
            "mailto:a@b.example".to_owned(),
        );
        let now = Timestamp::from_ms(1_790_000_000_000);
        let value = key.authorization("https://push.example", now);
        let (token, public) = value
            .strip_prefix("vapid t=")
            .and_then(|rest| rest.split_once(", k="))
            .unwrap();
        assert_eq!(public, key.public());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let decoded = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
        let verifying = VerifyingKey::from_sec1_bytes(&decoded(public)).unwrap();
        let signature = Signature::from_slice(&decoded(signature)).unwrap();
        assert!(verifying.verify(signed.as_bytes(), &signature).is_ok());
        let claims = decoded(signed.split_once('.').unwrap().1);
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(
            claims,
            json!({"aud": "https://push.example", "exp": 1_790_043_200, "sub": "mailto:a@b.example"})
        );
    }

    #[test]
    fn the_key_is_the_installations() {
        let public = |seed| VapidKey::new(&TicketKeys::new(1, [seed; 32]), String::new()).public();
        assert_eq!(public(1), public(1));
        assert_ne!(public(1), public(2));
    }
}

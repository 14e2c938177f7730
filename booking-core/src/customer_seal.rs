//! The personal fields of events. They are sealed by a key of their customer, so that destroying the
//! key erases them from the whole log. Pure.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use crate::config::TicketKeys;

/// Domain separation of the digests.
const CUSTOMERS: &[u8] = b"ropeline customer of events v1\0";
/// Bytes of the nonce, which stands before what is sealed.
pub(crate) const NONCE_BYTES: usize = 24;

/// What is written once for a customer.
#[derive(Clone, Debug)]
pub(crate) struct CustomerKey {
    pub(crate) key_id: Uuid,
    pub(crate) secret: Vec<u8>,
}

/// The digest by which the key of an address is found. Who has the database alone cannot try
/// addresses.
pub(crate) fn digest(keys: &TicketKeys, email: &str) -> Vec<u8> {
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(&keys.seed) else {
        unreachable!("HMAC takes keys of any length")
    };
    mac.update(CUSTOMERS);
    mac.update(email.trim().to_lowercase().as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The address, sealed for one event.
pub(crate) fn seal(
    key: &CustomerKey,
    event_id: Uuid,
    nonce: [u8; NONCE_BYTES],
    email: &str,
) -> Option<Vec<u8>> {
    let text = json!({ "email": email }).to_string();
    let payload = Payload {
        msg: text.as_bytes(),
        aad: event_id.as_bytes(),
    };
    let cipher = XChaCha20Poly1305::new_from_slice(&key.secret).ok()?;
    let sealed = cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
    Some([&nonce[..], &sealed].concat())
}

/// What is told of the customer of an event: with the address, or that it is erased.
pub(crate) fn told(key_id: Uuid, secret: Option<&[u8]>, event_id: Uuid, sealed: &[u8]) -> Value {
    let mut customer = json!({ "ref": format!("cus_{}", key_id.simple()) });
    match secret.and_then(|secret| open(secret, event_id, sealed)) {
        Some(Value::Object(fields)) => {
            for (name, value) in fields {
                customer[name] = value;
            }
        }
        _ => customer["erased"] = Value::Bool(true),
    }
    customer
}

fn open(secret: &[u8], event_id: Uuid, sealed: &[u8]) -> Option<Value> {
    let (nonce, ciphertext) = sealed.split_at_checked(NONCE_BYTES)?;
    let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
    let payload = Payload {
        msg: ciphertext,
        aad: event_id.as_bytes(),
    };
    let cipher = XChaCha20Poly1305::new_from_slice(secret).ok()?;
    let text = cipher.decrypt(&XNonce::from(nonce), payload).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_its_key_and_for_its_event_alone() {
        let key = CustomerKey {
            key_id: Uuid::from_u128(7),
            secret: vec![1; 32],
        };
        let (event, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let sealed = seal(&key, event, [3; NONCE_BYTES], "fan@example.com").unwrap();
        assert!(!sealed.windows(3).any(|part| part == b"fan"));
        let read = told(key.key_id, Some(&key.secret), event, &sealed);
        assert_eq!(read["email"], "fan@example.com");
        assert_eq!(read["erased"], Value::Null);
        for unreadable in [
            told(key.key_id, None, event, &sealed),
            told(key.key_id, Some(&[2; 32]), event, &sealed),
            told(key.key_id, Some(&key.secret), other, &sealed),
            told(key.key_id, Some(&key.secret), event, b"short"),
        ] {
            assert_eq!(unreadable["erased"], true);
            assert_eq!(unreadable["email"], Value::Null);
            assert_eq!(unreadable["ref"], read["ref"]);
        }
    }

    #[test]
    fn spellings_of_an_address_share_a_key_and_installations_do_not() {
        let keys = TicketKeys::new(1, [7; 32]);
        let digest_of = |email| digest(&keys, email);
        assert_eq!(digest_of("Fan@Example.com "), digest_of("fan@example.com"));
        assert_ne!(digest_of("fan@example.com"), digest_of("other@example.com"));
        let elsewhere = digest(&TicketKeys::new(1, [8; 32]), "fan@example.com");
        assert_ne!(digest_of("fan@example.com"), elsewhere);
    }
}

//! Keyed hashes of who pays and with what. Pure but for the key.
//!
//! The key is derived from the ticket key, which the database does not have: who reads the database
//! cannot find a card or an address by trying them out.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::TicketKeys;

/// Domain separation of the keys.
const HASHES: &[u8] = b"ropeline fraud hashes v1\0";
const CHALLENGES: &[u8] = b"ropeline challenges v1\0";
/// Bytes of a hash that are kept.
const HASH_BYTES: usize = 16;

/// The key of the hashes.
#[derive(Clone)]
pub(crate) struct HashKey([u8; 32]);

impl HashKey {
    pub(crate) fn new(keys: &TicketKeys) -> Self {
        Self(mac(&keys.seed, &[HASHES]))
    }

    /// The hash of whom a hold counts against.
    pub(crate) fn owner(&self, limit_owner: &str) -> Vec<u8> {
        self.hash(b"owner\0", limit_owner)
    }

    /// The hash of a customer's address.
    pub(crate) fn customer(&self, email: &str) -> Vec<u8> {
        self.hash(b"customer\0", &email.trim().to_lowercase())
    }

    /// The hash of a card or account at a provider.
    pub(crate) fn instrument(&self, provider: &str, key: &str) -> Vec<u8> {
        self.hash(b"instrument\0", &format!("{provider}\0{key}"))
    }

    fn hash(&self, what: &[u8], text: &str) -> Vec<u8> {
        mac(&self.0, &[what, text.as_bytes()])[..HASH_BYTES].to_vec()
    }
}

/// The key that signs challenges.
pub(crate) fn challenge_key(keys: &TicketKeys) -> [u8; 32] {
    mac(&keys.seed, &[CHALLENGES])
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length")
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_depend_on_the_key_and_on_what_is_hashed() {
        let key = HashKey::new(&TicketKeys::new(1, [7; 32]));
        let other = HashKey::new(&TicketKeys::new(1, [8; 32]));
        let fan = key.customer(" Fan@Example.com");
        assert_eq!(fan, key.customer("fan@example.com"));
        assert_ne!(fan, other.customer("fan@example.com"));
        assert_ne!(fan, key.owner("fan@example.com"));
        assert_ne!(
            key.instrument("stripe", "x"),
            key.instrument("razorpay", "x")
        );
        assert_eq!(fan.len(), HASH_BYTES);
    }
}

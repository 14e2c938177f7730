//! Seals the secrets in rooms' settings, so that neither the database nor the operators' API has
//! them in the clear.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use contract::RoomId;
use data_encoding::BASE64URL_NOPAD;
use line::Randomness;
use line::policy::place::PlaceKeys;

/// Begins every sealed text.
const SEALED: &str = "sealed.v1.";
const NONCE_BYTES: usize = 24;
/// Domain separation of the key.
const PURPOSE: &[u8] = b"room-secret-seal-v1";

/// Seals and opens secrets of rooms. Every gateway of the installation opens what another sealed.
#[derive(Clone)]
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    randomness: Randomness,
}

impl Sealer {
    /// Seals by a key that lasts as long as the installation.
    pub fn new(keys: &PlaceKeys, randomness: Randomness) -> Self {
        Self {
            cipher: XChaCha20Poly1305::new(&keys.installation_key(PURPOSE).into()),
            randomness,
        }
    }

    /// Whether `text` says that it is sealed.
    pub fn is_sealed(text: &str) -> bool {
        text.starts_with(SEALED)
    }

    /// `secret`, sealed for `room`: no other room can use it.
    pub fn seal(&self, room: &RoomId, secret: &str) -> Option<String> {
        let nonce: [u8; NONCE_BYTES] = self.randomness.bytes();
        let payload = Payload {
            msg: secret.as_bytes(),
            aad: room.as_str().as_bytes(),
        };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        let text = BASE64URL_NOPAD.encode(&[&nonce[..], &sealed].concat());
        Some(format!("{SEALED}{text}"))
    }

    /// The secret of `room` that was sealed as `text`.
    pub fn open(&self, room: &RoomId, text: &str) -> Option<String> {
        let sealed = text.strip_prefix(SEALED)?;
        let bytes = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload {
            msg: sealed,
            aad: room.as_str().as_bytes(),
        };
        let secret = self.cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
        String::from_utf8(secret).ok()
    }
}

#[cfg(test)]
mod tests {
    use contract::pass::PassKey;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    fn sealer(secret: u8, seed: u64) -> Sealer {
        let keys = PlaceKeys::new(&[PassKey::from_seed([1; 32]).unwrap()], [secret; 32]);
        Sealer::new(&keys, Randomness::new(ChaCha20Rng::seed_from_u64(seed)))
    }

    #[test]
    fn a_secret_is_opened_by_its_installation_for_its_room_only() {
        let [eras, other]: [RoomId; 2] = ["eras", "other"].map(|room| room.parse().unwrap());
        let sealed = sealer(1, 1).seal(&eras, "0123456789abcdef").unwrap();
        assert!(Sealer::is_sealed(&sealed));
        assert!(!sealed.contains("0123456789abcdef"));
        let opened = sealer(1, 2).open(&eras, &sealed);
        assert_eq!(opened.as_deref(), Some("0123456789abcdef"));
        assert_eq!(sealer(1, 1).open(&other, &sealed), None);
        assert_eq!(sealer(2, 1).open(&eras, &sealed), None);
        assert_eq!(sealer(1, 1).open(&eras, "0123456789abcdef"), None);
        let other_end = format!("{}x", &sealed[..sealed.len() - 1]);
        assert_eq!(sealer(1, 1).open(&eras, &other_end), None);
    }
}

//! Secrets of an installation, sealed for its signing keys: what the database keeps is worth nothing
//! without one of them.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use contract::pass::PassKey;
use line::Randomness;
use line::policy::place::subkey;

use crate::signing_keys::SigningKeys;

const NONCE_BYTES: usize = 24;
/// Domain separation of the seals: what is sealed here cannot be opened for another purpose.
const TICKET_CONTEXT: &[u8] = b"ropeline ticket key v1";
pub(crate) const PLACE_CONTEXT: &[u8] = b"ropeline place key v1";

/// A secret, sealed for one signing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The id of the signing key.
    pub signing_key_id: String,
    /// Nonce and ciphertext.
    pub sealed: Vec<u8>,
}

/// What one of the signing keys opens.
pub(crate) fn opened(seals: &[Seal], signing: &SigningKeys, context: &[u8]) -> Option<[u8; 32]> {
    signing.all().iter().find_map(|key| {
        let mut seals = seals.iter();
        let seal = seals.find(|seal| seal.signing_key_id == key.kid())?;
        open(key, context, &seal.sealed)
    })
}

/// The secret, sealed for each signing key that has no seal of it.
pub(crate) fn missing_seals(
    seals: &[Seal],
    signing: &SigningKeys,
    context: &[u8],
    secret: &[u8; 32],
    randomness: &Randomness,
) -> Vec<Seal> {
    let is_sealed = |key: &&PassKey| {
        let mut seals = seals.iter();
        seals.any(|seal| seal.signing_key_id == key.kid())
    };
    let new_keys = signing.all().iter().filter(|key| !is_sealed(key));
    new_keys
        .map(|key| seal(key, context, secret, randomness))
        .collect()
}

fn cipher(signing: &PassKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&subkey(signing.secret(), b"ticket-key-seal-v1").into())
}

/// What ticket key `id` is sealed for.
pub(crate) fn ticket_context(id: u8) -> Vec<u8> {
    [TICKET_CONTEXT, &[id]].concat()
}

#[expect(
    clippy::expect_used,
    reason = "encryption fails only for texts of 256 GiB and more"
)]
fn seal(signing: &PassKey, context: &[u8], secret: &[u8; 32], randomness: &Randomness) -> Seal {
    let nonce: [u8; NONCE_BYTES] = randomness.bytes();
    let payload = Payload {
        msg: secret,
        aad: context,
    };
    let ciphertext = cipher(signing)
        .encrypt(&XNonce::from(nonce), payload)
        .expect("32 bytes are not too long");
    Seal {
        signing_key_id: signing.kid().to_owned(),
        sealed: [&nonce[..], &ciphertext].concat(),
    }
}

fn open(signing: &PassKey, context: &[u8], sealed: &[u8]) -> Option<[u8; 32]> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let payload = Payload {
        msg: ciphertext,
        aad: context,
    };
    let secret = cipher(signing)
        .decrypt(&XNonce::from(*nonce), payload)
        .ok()?;
    secret.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    #[test]
    fn a_seal_is_opened_by_its_key_for_its_number_only() {
        let randomness = Randomness::new(ChaCha20Rng::seed_from_u64(1));
        let [one, two] = [1, 2].map(|seed| PassKey::from_seed([seed; 32]).unwrap());
        let [first, second] = [1, 2].map(ticket_context);
        let made = seal(&one, &first, &[7; 32], &randomness);
        assert_eq!(open(&one, &first, &made.sealed), Some([7; 32]));
        assert_eq!(open(&two, &first, &made.sealed), None);
        assert_eq!(open(&one, &second, &made.sealed), None);
        assert_eq!(open(&one, PLACE_CONTEXT, &made.sealed), None);
        for at in 0..made.sealed.len() {
            let mut changed = made.sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open(&one, &first, &changed), None, "byte {at}");
        }
        assert_eq!(open(&one, &first, &made.sealed[..20]), None);
    }
}

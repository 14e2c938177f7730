//! The place token: a fan's signed receipt for their place.
//!
//! Redis is an index over these receipts: whatever it loses, the receipts bring back (NO-LOSS).
//! A token is `v1.<payload>.<mac>`, both parts base64url. The payload is fixed-width binary and
//! then the room's name; the MAC is HMAC-SHA256, truncated to 16 bytes, under a key derived
//! from the gateway's signing key for this purpose only.

use std::sync::atomic::{AtomicUsize, Ordering};

use contract::pass::PassKey;
use contract::{PlaceId, RoomId, Timestamp};
use data_encoding::BASE64URL_NOPAD;
use hkdf::Hkdf;
use hmac::Mac;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::order::{OrderKey, hmac_key};

const VERSION_PREFIX: &str = "v1.";
const FIXED_BYTES: usize = 16 + 8 + 16 + 8 + 4 + 8 + 8;
const MAC_BYTES: usize = 16;
/// Longest token that is looked at: the fixed part, a room name of 64 bytes, and the MAC.
const TOKEN_CHARS_MAX: usize = 256;
/// Stands for "no order key yet": keys are below `2^53`.
const NO_KEY: u64 = u64::MAX;

/// What a place token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceToken {
    /// The room.
    pub room: RoomId,
    /// The place.
    pub place: PlaceId,
    /// The order key of someone who joined after the opening. A drawn key is computed from seed
    /// and nonce instead, so that nobody learns it before the draw.
    pub key: Option<OrderKey>,
    /// The browser's part of the draw.
    pub nonce: [u8; 16],
    /// When it was issued.
    pub issued_at: Timestamp,
    /// How often the name of a deleted room had been used again.
    pub epoch: u32,
    /// Arrival ordinal of a live joiner, from 1; 0 when drawn.
    pub number: u64,
    /// Places ahead when a live joiner joined.
    pub ahead: u64,
}

/// The text is not a place token of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the place token is not genuine")]
pub struct PlaceTokenInvalid;

/// Keys that sign and verify place tokens and give places their ids.
pub struct PlaceKeys {
    /// One for each signing key, under its id. All verify.
    token: Vec<(String, [u8; 32])>,
    /// Index of the one that signs.
    signer: AtomicUsize,
    /// Stays the same while signing keys are replaced, so that a nonce stays the same place.
    place: [u8; 32],
}

impl PlaceKeys {
    /// Derives the keys of tokens from the gateway's signing keys, of which there must be one. The
    /// first signs. `place` is the secret of place ids.
    pub fn new(signing: &[PassKey], place: [u8; 32]) -> Self {
        let token = signing.iter().map(|key| {
            let token = subkey(key.secret(), b"place-token-v1");
            (key.kid().to_owned(), token)
        });
        Self {
            token: token.collect(),
            signer: AtomicUsize::new(0),
            place,
        }
    }

    /// Signs with the key `id` from now on. Whether there is such a key.
    pub fn sign_with(&self, id: &str) -> bool {
        let index = self.token.iter().position(|(known, _)| known == id);
        if let Some(index) = index {
            self.signer.store(index, Ordering::Relaxed);
        }
        index.is_some()
    }

    fn signing(&self) -> &[u8; 32] {
        let signing = self.token.get(self.signer.load(Ordering::Relaxed));
        signing.map_or(&[0; 32], |(_, key)| key)
    }

    /// A key for `purpose`, the same on every gateway of the installation for as long as it lasts.
    pub fn installation_key(&self, purpose: &[u8]) -> [u8; 32] {
        subkey(&self.place, purpose)
    }

    /// The place that `nonce` stands for in `room`: the same nonce is the same place
    /// (PLACE-ONCE), and nobody without the key can tell which.
    pub fn place_id(&self, room: &RoomId, nonce: &[u8; 16]) -> PlaceId {
        let mut mac = hmac_key(&self.place);
        for part in [room.as_str().as_bytes(), &[0], nonce] {
            mac.update(part);
        }
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[..16]);
        PlaceId::from_bytes(id)
    }

    /// The order key of someone who joins a room that has opened and goes by lot. Nobody without
    /// the key can tell it from the nonce, as everyone can the published draw (DRAW).
    pub fn lot(&self, room: &RoomId, nonce: &[u8; 16]) -> OrderKey {
        let mut mac = hmac_key(&self.place);
        for part in [&b"lot"[..], &[0], room.as_str().as_bytes(), &[0], nonce] {
            mac.update(part);
        }
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        OrderKey::drawn(&bytes)
    }

    /// The session id of admission `seq` of `place`: the same however often it is claimed.
    pub fn session_id(&self, room: &RoomId, place: PlaceId, seq: u64) -> String {
        let mut mac = hmac_key(&self.place);
        let seq = seq.to_be_bytes();
        for part in [
            &b"session"[..],
            &[0],
            room.as_str().as_bytes(),
            &[0],
            place.as_bytes(),
            &seq,
        ] {
            mac.update(part);
        }
        BASE64URL_NOPAD.encode(&mac.finalize().into_bytes()[..16])
    }

    /// Signs `token`.
    pub fn sign(&self, token: &PlaceToken) -> String {
        let payload = encode(token);
        format!(
            "{VERSION_PREFIX}{}.{}",
            BASE64URL_NOPAD.encode(&payload),
            BASE64URL_NOPAD.encode(&tag(self.signing(), &payload))
        )
    }

    /// `token`, which `text` stands for, signed with the key that signs now; none if it is that
    /// already.
    pub fn renewed(&self, token: &PlaceToken, text: &str) -> Option<String> {
        // With one key there is nothing to compare.
        let renewed = (self.token.len() > 1).then(|| self.sign(token))?;
        (renewed != text).then_some(renewed)
    }

    /// Reads `text` if it is a token that one of our keys signed.
    pub fn verify(&self, text: &str) -> Result<PlaceToken, PlaceTokenInvalid> {
        if text.len() > TOKEN_CHARS_MAX {
            return Err(PlaceTokenInvalid);
        }
        let (payload, mac) = text
            .strip_prefix(VERSION_PREFIX)
            .and_then(|rest| rest.split_once('.'))
            .ok_or(PlaceTokenInvalid)?;
        let payload = BASE64URL_NOPAD
            .decode(payload.as_bytes())
            .map_err(|_| PlaceTokenInvalid)?;
        let mac = BASE64URL_NOPAD
            .decode(mac.as_bytes())
            .map_err(|_| PlaceTokenInvalid)?;
        let genuine = self
            .token
            .iter()
            .any(|(_, key)| bool::from(tag(key, &payload).ct_eq(&mac)));
        if !genuine {
            return Err(PlaceTokenInvalid);
        }
        decode(&payload).ok_or(PlaceTokenInvalid)
    }
}

/// The secret of place ids that an installation begins with: what earlier versions derived from
/// the last of their signing keys.
pub fn place_secret(signing: &PassKey) -> [u8; 32] {
    subkey(signing.secret(), b"place-id-v1")
}

/// A key for one `purpose`, derived from a signing key's secret by HKDF-SHA256 (RFC 5869).
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "32 bytes is a valid length for HKDF-SHA256"
)]
pub fn subkey(secret: &[u8; 32], purpose: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(Some(b"ropeline"), secret)
        .expand(purpose, &mut key)
        .expect("32 bytes is a valid length for HKDF-SHA256");
    key
}

fn tag(key: &[u8; 32], payload: &[u8]) -> [u8; MAC_BYTES] {
    let mut mac = hmac_key(key);
    mac.update(payload);
    let full: [u8; 32] = mac.finalize().into_bytes().into();
    let mut tag = [0; MAC_BYTES];
    tag.copy_from_slice(&full[..MAC_BYTES]);
    tag
}

fn encode(token: &PlaceToken) -> Vec<u8> {
    let mut payload = Vec::with_capacity(FIXED_BYTES + token.room.as_str().len());
    payload.extend_from_slice(token.place.as_bytes());
    payload.extend_from_slice(&token.key.map_or(NO_KEY, OrderKey::get).to_be_bytes());
    payload.extend_from_slice(&token.nonce);
    payload.extend_from_slice(&token.issued_at.as_ms().to_be_bytes());
    payload.extend_from_slice(&token.epoch.to_be_bytes());
    payload.extend_from_slice(&token.number.to_be_bytes());
    payload.extend_from_slice(&token.ahead.to_be_bytes());
    payload.extend_from_slice(token.room.as_str().as_bytes());
    payload
}

fn decode(payload: &[u8]) -> Option<PlaceToken> {
    let (place, rest) = payload.split_first_chunk::<16>()?;
    let (key, rest) = rest.split_first_chunk::<8>()?;
    let (nonce, rest) = rest.split_first_chunk::<16>()?;
    let (issued, rest) = rest.split_first_chunk::<8>()?;
    let (epoch, rest) = rest.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (ahead, room) = rest.split_first_chunk::<8>()?;
    let key = match u64::from_be_bytes(*key) {
        NO_KEY => None,
        value => Some(OrderKey::new(value)?),
    };
    Some(PlaceToken {
        room: std::str::from_utf8(room).ok()?.parse().ok()?,
        place: PlaceId::from_bytes(*place),
        key,
        nonce: *nonce,
        issued_at: Timestamp::from_ms(i64::from_be_bytes(*issued)),
        epoch: u32::from_be_bytes(*epoch),
        number: u64::from_be_bytes(*number),
        ahead: u64::from_be_bytes(*ahead),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(seeds: &[u8]) -> PlaceKeys {
        let signing: Vec<_> = seeds
            .iter()
            .map(|seed| PassKey::from_seed([*seed; 32]).unwrap())
            .collect();
        let place = place_secret(signing.last().unwrap());
        PlaceKeys::new(&signing, place)
    }

    fn token() -> PlaceToken {
        PlaceToken {
            room: "eras".parse().unwrap(),
            place: PlaceId::from_bytes([3; 16]),
            key: OrderKey::new((1 << 52) + 77),
            nonce: [4; 16],
            issued_at: Timestamp::from_ms(1_790_000_000_000),
            epoch: 2,
            number: 48_211,
            ahead: 12_345,
        }
    }

    #[test]
    fn a_token_reads_back_and_survives_a_key_rotation() {
        let text = keys(&[1]).sign(&token());
        assert_eq!(keys(&[1]).verify(&text), Ok(token()));
        assert_eq!(keys(&[2, 1]).verify(&text), Ok(token()));
        assert_eq!(keys(&[2]).verify(&text), Err(PlaceTokenInvalid));
        let drawn = PlaceToken {
            key: None,
            ..token()
        };
        assert_eq!(keys(&[1]).verify(&keys(&[1]).sign(&drawn)), Ok(drawn));
    }

    #[test]
    fn a_token_of_an_earlier_key_is_renewed_and_means_the_same() {
        let both = keys(&[1, 2]);
        let old = both.sign(&token());
        assert_eq!(both.renewed(&token(), &old), None);
        let second = PassKey::from_seed([2; 32]).unwrap();
        assert!(both.sign_with(second.kid()));
        assert!(!both.sign_with("feed"));
        let renewed = both.renewed(&token(), &old).unwrap();
        assert_eq!(both.renewed(&token(), &renewed), None);
        for known in [&old, &renewed] {
            assert_eq!(both.verify(known), Ok(token()));
        }
        // The old key is dropped.
        assert_eq!(keys(&[2]).verify(&renewed), Ok(token()));
        assert_eq!(keys(&[2]).verify(&old), Err(PlaceTokenInvalid));
        assert_eq!(keys(&[2]).renewed(&token(), &renewed), None);
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let keys = keys(&[1]);
        let text = keys.sign(&token());
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            // The last character of a base64 part may carry bits that mean nothing; the
            // decoder refuses those too.
            assert_eq!(
                keys.verify(&forged),
                Err(PlaceTokenInvalid),
                "character {at}"
            );
        }
        for garbage in ["", "v1", "v1.", "v1..", "v2.AAAA.AAAA", &"v1.".repeat(200)] {
            assert_eq!(keys.verify(garbage), Err(PlaceTokenInvalid), "{garbage}");
        }
    }

    #[test]
    fn a_nonce_is_one_place_whatever_signs() {
        let room = "eras".parse().unwrap();
        let place = keys(&[1]).place_id(&room, &[5; 16]);
        assert_eq!(keys(&[2, 1]).place_id(&room, &[5; 16]), place);
        assert_ne!(keys(&[1]).place_id(&room, &[6; 16]), place);
        assert_ne!(
            keys(&[1]).place_id(&"other".parse().unwrap(), &[5; 16]),
            place
        );
    }
}

//! Which installation a gateway belongs to, and the key that its tickets are signed with.
//!
//! The ticket key is kept in PostgreSQL, sealed once for each signing key of the installation. A
//! gateway that can open the newest ticket key belongs to the installation. A gateway that cannot
//! has other signing keys: the other gateways would refuse its places and passes, so it must not
//! start.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use contract::pass::{KeyError, PassKey};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use line::Randomness;
use line::policy::place::subkey;

const NONCE_BYTES: usize = 24;
/// Domain separation of the seals: a ticket key sealed here cannot be opened for another purpose.
const CONTEXT: &[u8] = b"ropeline ticket key v1";
/// A key id is one byte of a ticket.
const KEY_ID_MAX: u8 = u8::MAX;

/// A ticket key as stored in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// The id that tickets carry.
    pub id: u8,
    /// The public key that verifies its tickets.
    pub public: [u8; 32],
    /// The secret half, sealed once for each signing key.
    pub seals: Vec<Seal>,
    /// The id of the key that signs passes, written by the gateway that started last. `None` in
    /// databases of versions that did not store it.
    pub signer: Option<String>,
}

/// The secret half of a ticket key, sealed for one signing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The id of the signing key.
    pub signing_key_id: String,
    /// Nonce and ciphertext.
    pub sealed: Vec<u8>,
}

/// The ticket keys with the secret half opened.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketSecrets {
    /// The id of the key that signs tickets.
    pub id: u8,
    /// The secret half of that key.
    pub seed: [u8; 32],
    /// Id and public half of the keys of earlier tickets.
    pub earlier: Vec<(u8, [u8; 32])>,
}

impl TicketSecrets {
    /// The id of the installation, derived from its first ticket key. It never changes while the
    /// database exists.
    pub fn installation(&self) -> Result<String, KeyError> {
        let first = self.earlier.iter().min_by_key(|(id, _)| *id);
        let public = match first {
            Some((id, public)) if *id < self.id => *public,
            _ => public_half(self.seed)?,
        };
        let mut digest = Sha256::new();
        digest.update(b"ropeline-installation-v1");
        digest.update(public);
        Ok(HEXLOWER.encode(&digest.finalize()[..16]))
    }
}

/// The ticket keys, and what has to be written to the database.
#[derive(Clone, PartialEq, Eq)]
pub struct Settled {
    /// The keys.
    pub secrets: TicketSecrets,
    /// The public half of the signing key, if the key is new.
    pub new_public: Option<[u8; 32]>,
    /// New seals of the signing key.
    pub new_seals: Vec<Seal>,
    /// The id of the key that signs passes from now on.
    pub signer: String,
}

/// Why a gateway must not use a database.
#[derive(Debug, thiserror::Error)]
pub enum NotOurs {
    /// The database's gateways have other signing keys.
    #[error(
        "this database belongs to an installation with other signing keys (known there: \
         {theirs}; here: {ours}). Gateways that share a database need the same keys: copy \
         signing-key.pem from the data directory of a gateway that works into this one's, or name \
         the files in ROPELINE_SIGNING_KEYS. Only if those keys are lost for good, start once \
         with --adopt-keys: whoever waits or is inside has to join again, and tickets that are \
         sold stay valid"
    )]
    OtherKeys {
        /// Ids of the signing keys that the database knows.
        theirs: String,
        /// Ids of this gateway's signing keys.
        ours: String,
    },
    /// The other gateways sign passes with a key that this gateway lacks, so they would refuse its
    /// passes.
    #[error(
        "the gateways of this database sign passes with the key {signer}, which this one does not \
         have (here: {ours}): they would refuse each other's places and passes. A key that was \
         replaced is not used alone any more: name the file of the new key in \
         ROPELINE_SIGNING_KEYS, in front of the others"
    )]
    Replaced {
        /// Id of the key that signs on the other gateways.
        signer: String,
        /// Ids of this gateway's signing keys.
        ours: String,
    },
    /// The line in Redis belongs to another database.
    #[error(
        "this Redis has the line of another installation (there: {theirs}; of this database: \
         {ours}). Gateways that share a Redis need the same ROPELINE_DATABASE_URL; otherwise name \
         another server, or another number of a database at the end of ROPELINE_REDIS_URL. Only \
         if the database of that line is lost for good, remove the key {key} from Redis"
    )]
    OtherLine {
        /// The installation that the line belongs to.
        theirs: String,
        /// The installation of this gateway.
        ours: String,
        /// The Redis key that stores the owner.
        key: &'static str,
    },
    /// A seal opened to a key that does not match the stored public half.
    #[error(
        "ticket key {0} in the database is damaged; restore the table ticket_keys from a backup"
    )]
    Damaged(u8),
    /// All key ids are used: there are as many ticket keys as one byte can number.
    #[error("there are {KEY_ID_MAX} ticket keys already")]
    TooMany,
}

/// Opens the stored ticket keys with a gateway's signing keys. With `adopt`, a gateway whose keys
/// open none of them begins a new ticket key instead of being refused.
pub fn settle(
    stored: &[StoredKey],
    signing: &[PassKey],
    randomness: &Randomness,
    adopt: bool,
) -> Result<Settled, NotOurs> {
    let Some(newest) = stored.iter().max_by_key(|key| key.id) else {
        // Versions without this table derived ticket key 1 from the last signing key.
        let seed = signing.last().map_or([0; 32], derived_seed);
        return begin(1, seed, stored, signing, randomness);
    };
    let opened = signing.iter().find_map(|key| {
        let mut seals = newest.seals.iter();
        let seal = seals.find(|seal| seal.signing_key_id == key.kid())?;
        open(key, newest.id, &seal.sealed)
    });
    let Some(seed) = opened else {
        if adopt {
            let id = newest.id.checked_add(1).ok_or(NotOurs::TooMany)?;
            return begin(id, randomness.bytes(), stored, signing, randomness);
        }
        let theirs: Vec<&str> = newest
            .seals
            .iter()
            .map(|s| s.signing_key_id.as_str())
            .collect();
        return Err(NotOurs::OtherKeys {
            theirs: theirs.join(", "),
            ours: ids(signing),
        });
    };
    if let Some(signer) = &newest.signer
        && !signing.iter().any(|key| key.kid() == signer)
        && !adopt
    {
        return Err(NotOurs::Replaced {
            signer: signer.clone(),
            ours: ids(signing),
        });
    }
    if public_half(seed).ok() != Some(newest.public) {
        return Err(NotOurs::Damaged(newest.id));
    }
    let known = |key: &&PassKey| {
        let mut seals = newest.seals.iter();
        seals.any(|seal| seal.signing_key_id == key.kid())
    };
    let new_keys = signing.iter().filter(|key| !known(key));
    Ok(Settled {
        new_public: None,
        new_seals: new_keys
            .map(|key| seal(key, newest.id, &seed, randomness))
            .collect(),
        signer: signer(signing),
        secrets: TicketSecrets {
            id: newest.id,
            seed,
            earlier: public_halves(stored.iter().filter(|key| key.id != newest.id)),
        },
    })
}

fn begin(
    id: u8,
    seed: [u8; 32],
    stored: &[StoredKey],
    signing: &[PassKey],
    randomness: &Randomness,
) -> Result<Settled, NotOurs> {
    Ok(Settled {
        new_public: Some(public_half(seed).map_err(|_| NotOurs::Damaged(id))?),
        new_seals: signing
            .iter()
            .map(|key| seal(key, id, &seed, randomness))
            .collect(),
        signer: signer(signing),
        secrets: TicketSecrets {
            id,
            seed,
            earlier: public_halves(stored.iter()),
        },
    })
}

fn ids(signing: &[PassKey]) -> String {
    let ids: Vec<&str> = signing.iter().map(PassKey::kid).collect();
    ids.join(", ")
}

/// The id of the key that signs passes: the first one.
fn signer(signing: &[PassKey]) -> String {
    signing
        .first()
        .map_or_else(String::new, |key| key.kid().to_owned())
}

fn public_halves<'a>(keys: impl Iterator<Item = &'a StoredKey>) -> Vec<(u8, [u8; 32])> {
    keys.map(|key| (key.id, key.public)).collect()
}

fn public_half(seed: [u8; 32]) -> Result<[u8; 32], KeyError> {
    PassKey::from_seed(seed).map(|key| *key.public())
}

/// The ticket key of versions that derived it from the signing key.
fn derived_seed(signing: &PassKey) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(b"ropeline-ticket-v1");
    digest.update(signing.secret());
    digest.finalize().into()
}

fn cipher(signing: &PassKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&subkey(signing.secret(), b"ticket-key-seal-v1").into())
}

fn associated(id: u8) -> Vec<u8> {
    [CONTEXT, &[id]].concat()
}

#[expect(
    clippy::expect_used,
    reason = "encryption fails only for texts of 256 GiB and more"
)]
fn seal(signing: &PassKey, id: u8, seed: &[u8; 32], randomness: &Randomness) -> Seal {
    let nonce: [u8; NONCE_BYTES] = randomness.bytes();
    let payload = Payload {
        msg: seed,
        aad: &associated(id),
    };
    let ciphertext = cipher(signing)
        .encrypt(&XNonce::from(nonce), payload)
        .expect("32 bytes are not too long");
    Seal {
        signing_key_id: signing.kid().to_owned(),
        sealed: [&nonce[..], &ciphertext].concat(),
    }
}

fn open(signing: &PassKey, id: u8, sealed: &[u8]) -> Option<[u8; 32]> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let payload = Payload {
        msg: ciphertext,
        aad: &associated(id),
    };
    let seed = cipher(signing)
        .decrypt(&XNonce::from(*nonce), payload)
        .ok()?;
    seed.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    fn keys(seeds: &[u8]) -> Vec<PassKey> {
        let key = |seed: &u8| PassKey::from_seed([*seed; 32]).unwrap();
        seeds.iter().map(key).collect()
    }

    /// An in-memory database.
    #[derive(Default)]
    struct Stored(Vec<StoredKey>);

    impl Stored {
        /// Starts a gateway with these signing keys.
        fn start(&mut self, seeds: &[u8], adopt: bool) -> Result<TicketSecrets, NotOurs> {
            let randomness = Randomness::new(ChaCha20Rng::seed_from_u64(seeds.len() as u64));
            let settled = settle(&self.0, &keys(seeds), &randomness, adopt)?;
            let id = settled.secrets.id;
            if let Some(public) = settled.new_public {
                let seals = Vec::new();
                self.0.push(StoredKey {
                    id,
                    public,
                    seals,
                    signer: None,
                });
            }
            let key = self.0.iter_mut().find(|key| key.id == id).unwrap();
            key.seals.extend(settled.new_seals);
            key.signer = Some(settled.signer);
            Ok(settled.secrets)
        }
    }

    #[test]
    fn the_first_ticket_key_is_that_of_tickets_sold_before_it_was_kept() {
        let mut stored = Stored::default();
        let first = stored.start(&[2, 1], false).unwrap();
        let mut digest = Sha256::new();
        digest.update(b"ropeline-ticket-v1");
        digest.update([1; 32]);
        let before: [u8; 32] = digest.finalize().into();
        assert_eq!((first.id, first.seed), (1, before));
    }

    #[test]
    fn the_ticket_key_outlives_every_signing_key() {
        let mut stored = Stored::default();
        let first = stored.start(&[1], false).unwrap();
        for seeds in [&[2, 1][..], &[2], &[3, 2], &[3]] {
            let later = stored.start(seeds, false).unwrap();
            assert!(later == first, "{seeds:?}");
        }
        // A start without new keys adds no seals.
        assert_eq!(stored.0[0].seals.len(), 3);
    }

    #[test]
    fn a_gateway_with_other_keys_is_refused_and_told_what_to_do() {
        let mut stored = Stored::default();
        stored.start(&[1], false).unwrap();
        let before = stored.0.clone();
        let refused = stored.start(&[9], false).map(drop).unwrap_err().to_string();
        assert!(refused.contains(keys(&[1])[0].kid()), "{refused}");
        assert!(refused.contains("ROPELINE_SIGNING_KEYS"), "{refused}");
        assert_eq!(stored.0, before);
    }

    #[test]
    fn a_key_that_was_replaced_is_not_used_alone_any_more() {
        let mut stored = Stored::default();
        stored.start(&[1], false).unwrap();
        stored.start(&[1, 2], false).unwrap();
        // The second key only verifies so far, so gateways without it may still start.
        stored.start(&[1], false).unwrap();
        stored.start(&[2, 1], false).unwrap();
        let before = stored.0.clone();
        let refused = stored.start(&[1], false).map(drop).unwrap_err().to_string();
        assert!(refused.contains(keys(&[2])[0].kid()), "{refused}");
        assert!(refused.contains("ROPELINE_SIGNING_KEYS"), "{refused}");
        assert_eq!(stored.0, before);
        // Returning to the old key also replaces the signing key.
        stored.start(&[1, 2], false).unwrap();
        stored.start(&[1], false).unwrap();
        assert!(stored.start(&[2], false).is_err());
        // As in a database of a version that did not store the signer.
        stored.0[0].signer = None;
        stored.start(&[2], false).unwrap();
    }

    #[test]
    fn lost_keys_can_be_given_up_and_sold_tickets_stay() {
        let mut stored = Stored::default();
        let lost = stored.start(&[1], false).unwrap();
        let adopted = stored.start(&[9], true).unwrap();
        assert_eq!(adopted.id, 2);
        assert_ne!(adopted.seed, lost.seed);
        assert_eq!(adopted.earlier, [(1, public_half(lost.seed).unwrap())]);
        assert!(stored.start(&[9], false).unwrap() == adopted);
        assert_eq!(
            adopted.installation().unwrap(),
            lost.installation().unwrap(),
            "it is the same database"
        );
        // A gateway with only the old keys is refused from now on.
        assert!(stored.start(&[1], false).is_err());
        // Adopting again with the same keys changes nothing.
        assert!(stored.start(&[9], true).unwrap() == adopted);
    }

    #[test]
    fn a_seal_is_opened_by_its_key_for_its_number_only() {
        let randomness = Randomness::new(ChaCha20Rng::seed_from_u64(1));
        let [one, two] = [1, 2].map(|seed| PassKey::from_seed([seed; 32]).unwrap());
        let made = seal(&one, 1, &[7; 32], &randomness);
        assert_eq!(open(&one, 1, &made.sealed), Some([7; 32]));
        assert_eq!(open(&two, 1, &made.sealed), None);
        assert_eq!(open(&one, 2, &made.sealed), None);
        for at in 0..made.sealed.len() {
            let mut changed = made.sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open(&one, 1, &changed), None, "byte {at}");
        }
        assert_eq!(open(&one, 1, &made.sealed[..20]), None);
    }
}

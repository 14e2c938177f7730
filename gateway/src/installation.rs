//! Which installation a gateway belongs to, the key that its tickets are signed with, and the
//! secret that its places derive from.
//!
//! The ticket key is kept in PostgreSQL, sealed once for each signing key of the installation. A
//! gateway that can open the newest ticket key belongs to the installation. A gateway that cannot
//! has other signing keys: the other gateways would refuse its places and passes, so it must not
//! start. The secret of places is sealed in the same way, so that a place stays the same while
//! signing keys are replaced (PLACE-ONCE).

use contract::Timestamp;
use contract::pass::{KeyError, PassKey, installation_id};
use sha2::{Digest, Sha256};

use line::Randomness;
use line::policy::place::place_secret;

use crate::rotation::{GatewayKeys, NotYet, may_sign, signs_unverified};
use crate::seals::{PLACE_CONTEXT, Seal, missing_seals, opened, ticket_context};
use crate::signing_keys::SigningKeys;

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
    /// The id of the key that signs passes, written by the gateway that changed it last. `None` in
    /// databases of versions that did not store it.
    pub signer: Option<String>,
}

/// What the database has of an installation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Its ticket keys.
    pub tickets: Vec<StoredKey>,
    /// The secret of its places; none in databases of versions that derived it.
    pub place: Vec<Seal>,
    /// Which keys its other gateways have.
    pub gateways: Vec<GatewayKeys>,
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
        Ok(installation_id(&public))
    }
}

/// The ticket keys, and what has to be written to the database.
#[derive(Clone, PartialEq, Eq)]
pub struct Settled {
    /// The keys.
    pub secrets: TicketSecrets,
    /// The public half of the signing key, if the key is new.
    pub new_public: Option<[u8; 32]>,
    /// New seals of the ticket key.
    pub new_seals: Vec<Seal>,
    /// The secret that places derive from.
    pub place: [u8; 32],
    /// New seals of it.
    pub new_place_seals: Vec<Seal>,
    /// Whether it is another than the stored one, whose seals are void.
    pub replaces_place: bool,
    /// The id of the key that signs passes from now on.
    pub signer: String,
    /// Why that is not the one that was asked for.
    pub not_yet: Option<NotYet>,
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
         have (here: {ours}): they would refuse each other's places and passes. Name its file in \
         ROPELINE_SIGNING_KEYS too: a key that was replaced is not used alone any more, and the \
         present one is dropped once another signs. If it has leaked, start with --adopt-keys"
    )]
    Replaced {
        /// Id of the key that signs on the other gateways.
        signer: String,
        /// Ids of this gateway's signing keys.
        ours: String,
    },
    /// A running gateway signs with a key that this gateway lacks.
    #[error(
        "the gateway {gateway} signs with the key {key}, which this one does not have (here: \
         {ours}), so this one would refuse its places and passes. Drop a key only when no gateway \
         signs with it: name its file in ROPELINE_SIGNING_KEYS, or let that gateway sign with \
         another first. If the key has leaked, start with --adopt-keys"
    )]
    Dropped {
        /// The gateway that signs with it.
        gateway: String,
        /// Id of the key.
        key: String,
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

/// Opens what is stored with a gateway's signing keys. With `adopt`, a gateway whose keys open
/// nothing begins a new ticket key instead of being refused, and one that lacks a key with which
/// others sign is not refused either.
pub fn settle(
    stored: &Stored,
    signing: &SigningKeys,
    randomness: &Randomness,
    adopt: bool,
    now: Timestamp,
) -> Result<Settled, NotOurs> {
    let ticket = settle_ticket(&stored.tickets, signing, randomness, adopt)?;
    let place = settle_place(&stored.place, signing, randomness, adopt)?;
    let (signer, not_yet) = settle_signer(stored, signing, adopt, now)?;
    Ok(Settled {
        secrets: ticket.secrets,
        new_public: ticket.new_public,
        new_seals: ticket.new_seals,
        place: place.secret,
        new_place_seals: place.new_seals,
        replaces_place: place.replaces,
        signer,
        not_yet,
    })
}

/// The ticket keys, and what has to be written of them.
struct Ticket {
    secrets: TicketSecrets,
    new_public: Option<[u8; 32]>,
    new_seals: Vec<Seal>,
}

fn settle_ticket(
    stored: &[StoredKey],
    signing: &SigningKeys,
    randomness: &Randomness,
    adopt: bool,
) -> Result<Ticket, NotOurs> {
    let Some(newest) = newest(stored) else {
        // Versions without this table derived ticket key 1 from the last signing key.
        let seed = derived_seed(signing.origin());
        return begin(1, seed, stored, signing, randomness);
    };
    let context = ticket_context(newest.id);
    let Some(seed) = opened(&newest.seals, signing, &context) else {
        if adopt {
            let id = newest.id.checked_add(1).ok_or(NotOurs::TooMany)?;
            return begin(id, randomness.bytes(), stored, signing, randomness);
        }
        return Err(other_keys(&newest.seals, signing));
    };
    if public_half(seed).ok() != Some(newest.public) {
        return Err(NotOurs::Damaged(newest.id));
    }
    Ok(Ticket {
        new_public: None,
        new_seals: missing_seals(&newest.seals, signing, &context, &seed, randomness),
        secrets: TicketSecrets {
            id: newest.id,
            seed,
            earlier: public_halves(stored.iter().filter(|key| key.id != newest.id)),
        },
    })
}

fn newest(stored: &[StoredKey]) -> Option<&StoredKey> {
    stored.iter().max_by_key(|key| key.id)
}

fn begin(
    id: u8,
    seed: [u8; 32],
    stored: &[StoredKey],
    signing: &SigningKeys,
    randomness: &Randomness,
) -> Result<Ticket, NotOurs> {
    Ok(Ticket {
        new_public: Some(public_half(seed).map_err(|_| NotOurs::Damaged(id))?),
        new_seals: missing_seals(&[], signing, &ticket_context(id), &seed, randomness),
        secrets: TicketSecrets {
            id,
            seed,
            earlier: public_halves(stored.iter()),
        },
    })
}

/// The secret of places, and what has to be written of it.
struct Place {
    secret: [u8; 32],
    new_seals: Vec<Seal>,
    replaces: bool,
}

fn settle_place(
    stored: &[Seal],
    signing: &SigningKeys,
    randomness: &Randomness,
    adopt: bool,
) -> Result<Place, NotOurs> {
    if let Some(secret) = opened(stored, signing, PLACE_CONTEXT) {
        return Ok(Place {
            secret,
            new_seals: missing_seals(stored, signing, PLACE_CONTEXT, &secret, randomness),
            replaces: false,
        });
    }
    if !stored.is_empty() && !adopt {
        return Err(other_keys(stored, signing));
    }
    // Versions without this table derived it from the last signing key.
    let secret = place_secret(signing.origin());
    Ok(Place {
        secret,
        new_seals: missing_seals(&[], signing, PLACE_CONTEXT, &secret, randomness),
        replaces: !stored.is_empty(),
    })
}

/// The key to sign with, and why it is not the one that was asked for.
fn settle_signer(
    stored: &Stored,
    signing: &SigningKeys,
    adopt: bool,
    now: Timestamp,
) -> Result<(String, Option<NotYet>), NotOurs> {
    let wanted = signing.signer().kid().to_owned();
    let present = newest(&stored.tickets).and_then(|key| key.signer.as_deref());
    if !adopt {
        let ids = signing.ids();
        if let Some((gateway, key)) = signs_unverified(&ids, &stored.gateways, now) {
            return Err(NotOurs::Dropped {
                gateway: gateway.to_owned(),
                key: key.to_owned(),
                ours: signing.ids_text(),
            });
        }
        if let Some(signer) = present.filter(|signer| !signing.has(signer)) {
            return Err(NotOurs::Replaced {
                signer: signer.to_owned(),
                ours: signing.ids_text(),
            });
        }
    }
    let Some(present) = present.filter(|signer| signing.has(signer)) else {
        return Ok((wanted, None));
    };
    match may_sign(&wanted, &stored.gateways, now) {
        Err(not_yet) if present != wanted => Ok((present.to_owned(), Some(not_yet))),
        _ => Ok((wanted, None)),
    }
}

fn other_keys(seals: &[Seal], signing: &SigningKeys) -> NotOurs {
    let theirs: Vec<&str> = seals.iter().map(|s| s.signing_key_id.as_str()).collect();
    NotOurs::OtherKeys {
        theirs: theirs.join(", "),
        ours: signing.ids_text(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn keys(seeds: &[u8]) -> Vec<PassKey> {
        let key = |seed: &u8| PassKey::from_seed([*seed; 32]).unwrap();
        seeds.iter().map(key).collect()
    }

    fn id(seed: u8) -> String {
        keys(&[seed])[0].kid().to_owned()
    }

    /// What a start came to.
    type Started = Result<Settled, NotOurs>;

    impl Stored {
        /// Starts a gateway with these signing keys, of which the first signs.
        fn start(&mut self, seeds: &[u8], adopt: bool) -> Result<TicketSecrets, NotOurs> {
            let settled = self.start_signing(seeds, seeds[0], adopt);
            settled.map(|settled| settled.secrets)
        }

        /// Starts a gateway that is to sign with the key `signer`.
        fn start_signing(&mut self, seeds: &[u8], signer: u8, adopt: bool) -> Started {
            let randomness = Randomness::new(ChaCha20Rng::seed_from_u64(seeds.len() as u64));
            let signing = SigningKeys::new(keys(seeds), Some(&id(signer))).unwrap();
            let settled = settle(self, &signing, &randomness, adopt, NOW)?;
            let id = settled.secrets.id;
            if let Some(public) = settled.new_public {
                let seals = Vec::new();
                self.tickets.push(StoredKey {
                    id,
                    public,
                    seals,
                    signer: None,
                });
            }
            let key = self.tickets.iter_mut().find(|key| key.id == id).unwrap();
            key.seals.extend(settled.new_seals.clone());
            key.signer = Some(settled.signer.clone());
            if settled.replaces_place {
                self.place.clear();
            }
            self.place.extend(settled.new_place_seals.clone());
            Ok(settled)
        }

        /// Another gateway tells which keys it verifies; the first signs.
        fn told(&mut self, seeds: &[u8], is_running: bool, seen_at: Timestamp) {
            self.gateways.push(GatewayKeys {
                gateway: uuid::Uuid::from_u128(1),
                name: "host:8080".to_owned(),
                signer: id(seeds[0]),
                verifies: seeds.iter().map(|seed| id(*seed)).collect(),
                is_running,
                seen_at,
            });
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
        assert_eq!(stored.tickets[0].seals.len(), 3);
    }

    #[test]
    fn a_gateway_with_other_keys_is_refused_and_told_what_to_do() {
        let mut stored = Stored::default();
        stored.start(&[1], false).unwrap();
        let before = stored.clone();
        let refused = stored.start(&[9], false).map(drop).unwrap_err().to_string();
        assert!(refused.contains(keys(&[1])[0].kid()), "{refused}");
        assert!(refused.contains("ROPELINE_SIGNING_KEYS"), "{refused}");
        assert_eq!(stored, before);
    }

    #[test]
    fn a_key_that_was_replaced_is_not_used_alone_any_more() {
        let mut stored = Stored::default();
        stored.start(&[1], false).unwrap();
        stored.start(&[1, 2], false).unwrap();
        // The second key only verifies so far, so gateways without it may still start.
        stored.start(&[1], false).unwrap();
        stored.start(&[2, 1], false).unwrap();
        let before = stored.clone();
        let refused = stored.start(&[1], false).map(drop).unwrap_err().to_string();
        assert!(refused.contains(keys(&[2])[0].kid()), "{refused}");
        assert!(refused.contains("ROPELINE_SIGNING_KEYS"), "{refused}");
        assert_eq!(stored, before);
        // Returning to the old key also replaces the signing key.
        stored.start(&[1, 2], false).unwrap();
        stored.start(&[1], false).unwrap();
        assert!(stored.start(&[2], false).is_err());
        // As in a database of a version that did not store the signer.
        stored.tickets[0].signer = None;
        stored.start(&[2], false).unwrap();
    }

    #[test]
    fn places_stay_the_same_through_every_order_and_exchange_of_signing_keys() {
        let mut stored = Stored::default();
        // What versions derived that did not keep it.
        let before = place_secret(&keys(&[1])[0]);
        for (seeds, signer) in [
            (&[1][..], 1),
            (&[1, 2], 1),
            (&[1, 2], 2),
            (&[2, 1], 2),
            (&[2], 2),
            (&[3, 2], 3),
            (&[3], 3),
        ] {
            let settled = stored.start_signing(seeds, signer, false).ok().unwrap();
            assert!(settled.place == before, "{seeds:?} {signer}");
        }
        assert_eq!(stored.place.len(), 3);
        // All keys are lost: places begin anew.
        let adopted = stored.start_signing(&[9], 9, true).ok().unwrap();
        assert!(adopted.place != before);
        assert_eq!(stored.place.len(), 1);
        let later = stored.start_signing(&[9], 9, false).ok().unwrap();
        assert!(later.place == adopted.place);
    }

    #[test]
    fn a_new_key_signs_once_every_gateway_verifies_it_and_the_old_one_until_then() {
        let mut stored = Stored::default();
        stored.start(&[1], false).unwrap();
        stored.told(&[1], true, NOW);
        let early = stored.start_signing(&[1, 2], 2, false).ok().unwrap();
        assert_eq!(early.signer, id(1));
        assert!(matches!(early.not_yet, Some(NotYet::Unverified { .. })));
        stored.gateways.clear();
        stored.told(&[1], false, NOW.minus(std::time::Duration::from_secs(10)));
        let cached = stored.start_signing(&[1, 2], 2, false).ok().unwrap();
        assert_eq!(cached.signer, id(1));
        assert!(matches!(cached.not_yet, Some(NotYet::Cached { .. })));
        stored.gateways.clear();
        stored.told(&[1, 2], true, NOW);
        let due = stored.start_signing(&[1, 2], 2, false).ok().unwrap();
        assert_eq!((due.signer, due.not_yet), (id(2), None));
    }

    #[test]
    fn a_key_that_a_running_gateway_signs_with_is_dropped_only_on_demand() {
        let mut stored = Stored::default();
        stored.start(&[1, 2], false).unwrap();
        stored.start_signing(&[1, 2], 2, false).ok().unwrap();
        stored.told(&[1, 2], true, NOW);
        let refused = stored.start(&[2], false).map(drop).unwrap_err();
        assert!(matches!(&refused, NotOurs::Dropped { key, .. } if *key == id(1)));
        assert!(refused.to_string().contains("host:8080"), "{refused}");
        stored.start(&[2], true).unwrap();
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
}

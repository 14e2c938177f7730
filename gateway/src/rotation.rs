//! Replacing the signing key: which key a gateway may sign with, and which step would break others.
//! Pure.
//!
//! A rotation has three steps, each at one gateway after the other: every gateway verifies the new
//! key; it signs; the old key is dropped. Each gateway tells the others which keys it has. It signs
//! with the key it was told to only when every gateway verifies that key, and has for as long as
//! others may keep the list of public keys that they read before. Until then it signs with the key
//! that the others sign with.

use std::time::Duration;

use contract::Timestamp;
use uuid::Uuid;

/// How long others may keep the list of public keys that they read.
pub const JWKS_MAX_AGE: Duration = Duration::from_secs(300);
/// How often a gateway tells which keys it has.
pub const TOLD_EVERY: Duration = Duration::from_secs(5);
/// A gateway that has told nothing for so long was killed.
const GONE_AFTER: Duration = Duration::from_secs(20);
/// How long it is remembered which keys a gateway had that has ended.
pub const REMEMBERED: Duration = Duration::from_hours(24);

/// The keys of a gateway, as it told them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayKeys {
    /// The process.
    pub gateway: Uuid,
    /// Host and port, for people.
    pub name: String,
    /// The id of the key that it signs with.
    pub signer: String,
    /// Ids of the keys that it verifies.
    pub verifies: Vec<String>,
    /// Whether it has not ended by itself.
    pub is_running: bool,
    /// When it told so.
    pub seen_at: Timestamp,
}

impl GatewayKeys {
    fn verifies(&self, key: &str) -> bool {
        self.verifies.iter().any(|id| id == key)
    }

    fn runs_at(&self, now: Timestamp) -> bool {
        self.is_running && now.since(self.seen_at) < GONE_AFTER
    }

    /// Until when somebody may have the list of public keys that it published.
    fn published_until(&self) -> Timestamp {
        // It may have run on until just before its next word.
        let late = if self.is_running {
            TOLD_EVERY
        } else {
            Duration::ZERO
        };
        self.seen_at.plus(JWKS_MAX_AGE + late)
    }
}

/// Why a key does not sign yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotYet {
    /// A running gateway would refuse what it signs.
    #[error(
        "the key {key} does not sign yet, because the gateway {gateway} does not verify it: name \
         its file in ROPELINE_SIGNING_KEYS there and start that gateway again"
    )]
    Unverified {
        /// The key.
        key: String,
        /// The gateway that lacks it.
        gateway: String,
    },
    /// Somebody may still have a list of public keys without it.
    #[error(
        "the key {key} signs from {at} on: until then others may have a list of public keys \
         without it"
    )]
    Cached {
        /// The key.
        key: String,
        /// From when on it signs.
        at: Timestamp,
    },
}

/// Whether `key` may sign at `now`, when `others` are the gateways that told their keys lately.
pub fn may_sign(key: &str, others: &[GatewayKeys], now: Timestamp) -> Result<(), NotYet> {
    let lacking = || others.iter().filter(|other| !other.verifies(key));
    if let Some(other) = lacking().find(|other| other.runs_at(now)) {
        return Err(NotYet::Unverified {
            key: key.to_owned(),
            gateway: other.name.clone(),
        });
    }
    match lacking().map(GatewayKeys::published_until).max() {
        Some(at) if now < at => Err(NotYet::Cached {
            key: key.to_owned(),
            at,
        }),
        _ => Ok(()),
    }
}

/// The running gateway that signs with a key which `verifies` lacks, and that key.
pub fn signs_unverified<'a>(
    verifies: &[String],
    others: &'a [GatewayKeys],
    now: Timestamp,
) -> Option<(&'a str, &'a str)> {
    let mut running = others.iter().filter(|other| other.runs_at(now));
    let other = running.find(|other| !verifies.contains(&other.signer))?;
    Some((&other.name, &other.signer))
}

/// The key that `verifies` lacks and that a gateway signed with last, and when: what it signed may
/// still be about.
pub fn signed_lately<'a>(
    verifies: &[String],
    others: &'a [GatewayKeys],
) -> Option<(&'a str, Timestamp)> {
    let dropped = others
        .iter()
        .filter(|other| !verifies.contains(&other.signer));
    let last = dropped.max_by_key(|other| other.seen_at)?;
    Some((&last.signer, last.seen_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn ago(seconds: u64) -> Timestamp {
        NOW.minus(Duration::from_secs(seconds))
    }

    fn gateway(name: &str, keys: &[&str], seen_ago: u64) -> GatewayKeys {
        GatewayKeys {
            gateway: Uuid::from_u128(7),
            name: name.to_owned(),
            signer: keys[0].to_owned(),
            verifies: keys.iter().map(|&key| key.to_owned()).collect(),
            is_running: true,
            seen_at: ago(seen_ago),
        }
    }

    fn ended(keys: &[&str], seen_ago: u64) -> GatewayKeys {
        GatewayKeys {
            is_running: false,
            ..gateway("ended", keys, seen_ago)
        }
    }

    #[test]
    fn alone_every_key_may_sign() {
        assert_eq!(may_sign("new", &[], NOW), Ok(()));
    }

    #[test]
    fn a_key_that_a_running_gateway_lacks_does_not_sign() {
        let others = [
            gateway("one", &["old", "new"], 1),
            gateway("two", &["old"], 1),
        ];
        let refused = may_sign("new", &others, NOW).unwrap_err();
        assert!(matches!(&refused, NotYet::Unverified { gateway, .. } if gateway == "two"));
        assert!(refused.to_string().contains("ROPELINE_SIGNING_KEYS"));
        assert_eq!(may_sign("old", &others, NOW), Ok(()));
    }

    #[test]
    fn a_key_signs_when_nobody_has_a_list_without_it_any_more() {
        let both = gateway("one", &["old", "new"], 1);
        for (last, until) in [
            (ended(&["old"], 299), Some(1)),
            (ended(&["old"], 300), None),
            // Killed: it may have published its list until just before its next word.
            (gateway("killed", &["old"], 304), Some(1)),
            (gateway("killed", &["old"], 305), None),
        ] {
            let at = until.map(|seconds| NOW.plus(Duration::from_secs(seconds)));
            let expected = at.map(|at| NotYet::Cached {
                key: "new".to_owned(),
                at,
            });
            let found = may_sign("new", &[both.clone(), last], NOW);
            assert_eq!(found.err(), expected);
        }
    }

    #[test]
    fn a_key_that_a_running_gateway_signs_with_is_not_dropped() {
        let others = [gateway("one", &["old", "new"], 1), ended(&["older"], 5)];
        let mine = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            signs_unverified(&mine(&["new"]), &others, NOW),
            Some(("one", "old"))
        );
        assert_eq!(signs_unverified(&mine(&["new", "old"]), &others, NOW), None);
        // A gateway that was killed signs no more.
        let killed = [gateway("one", &["old"], 20)];
        assert_eq!(signs_unverified(&mine(&["new"]), &killed, NOW), None);
        assert_eq!(
            signed_lately(&mine(&["new"]), &killed),
            Some(("old", ago(20)))
        );
        assert_eq!(signed_lately(&mine(&["new", "old"]), &killed), None);
    }
}

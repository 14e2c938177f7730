//! Verifies the signatures of passes, which anyone may send.
//!
//! A verification costs about 50 µs, a cache lookup 1 µs. Valid and forged passes are cached, and
//! the number of verifications is limited per request and, per second, by address.

use std::sync::Arc;
use std::time::Duration;

use contract::pass::{PassClaims, PassError, PassKeys};
use contract::{RoomId, Timestamp};
use metrics::{Counter, counter};
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use web::ApiError;

use crate::edge::client_ip::ClientIp;
use crate::edge::rate_limit::RateLimits;
use crate::telemetry;

/// Valid passes in the cache.
const VERIFIED_MAX: u64 = 100_000;
/// Forged passes in the cache, 32 bytes each; repeating one costs no verification.
const FORGED_MAX: u64 = 100_000;
/// How long a forged pass is cached.
const FORGED_FOR: Duration = Duration::from_mins(10);
/// Verifications per request. Cached passes do not count, and no fan has more new passes at once.
const CHECKS_MAX: u32 = 3;

/// Verifies signatures and caches the results.
pub(super) struct Signatures {
    verified: Cache<[u8; 32], Arc<PassClaims>>,
    forged: Cache<[u8; 32], ()>,
    limits: RateLimits,
    /// Counts forged passes whose signature was verified.
    checked: Counter,
    /// Counts forged passes that were found in the cache.
    known: Counter,
}

/// The verifications of one request.
pub(super) struct Checks<'a> {
    signatures: &'a Signatures,
    client: ClientIp,
    left: u32,
}

impl Signatures {
    pub(super) fn new(limits: RateLimits) -> Self {
        let of = |outcome: &'static str| counter!(telemetry::GATE_FORGED, "outcome" => outcome);
        Self {
            verified: Cache::new(VERIFIED_MAX),
            forged: Cache::builder()
                .max_capacity(FORGED_MAX)
                .time_to_live(FORGED_FOR)
                .build(),
            limits,
            checked: of("checked"),
            known: of("known"),
        }
    }

    /// The verifications of one request of `client`.
    pub(super) fn checks(&self, client: ClientIp) -> Checks<'_> {
        Checks {
            signatures: self,
            client,
            left: CHECKS_MAX,
        }
    }
}

impl Checks<'_> {
    /// The claims of a pass for a room that `is_wanted`, valid now or until at most `grace` ago.
    /// The signature is verified once per pass. Refuses when the address has used up its
    /// verifications.
    pub(super) fn verify(
        &mut self,
        keys: &PassKeys,
        text: &str,
        now: Timestamp,
        grace: Duration,
        is_wanted: impl FnOnce(&RoomId) -> bool,
    ) -> Result<Option<Arc<PassClaims>>, ApiError> {
        let digest: [u8; 32] = Sha256::digest(text).into();
        let known = self.signatures;
        if let Some(claims) = known.verified.get(&digest) {
            let starts = claims.nbf.saturating_mul(1000);
            let early = now.as_ms() + 5_000 < starts;
            let is_valid =
                claims.expires_at().plus(grace) > now && !early && is_wanted(&claims.aud);
            return Ok(is_valid.then_some(claims));
        }
        if known.forged.contains_key(&digest) {
            known.known.increment(1);
            return Ok(None);
        }
        if self.left == 0 {
            return Ok(None);
        }
        let (mut is_checked, mut refused) = (false, None);
        // The unsigned claims are compared first, which needs no verification.
        let verified = keys.verify_late(text, now, grace, |room| {
            if is_wanted(room) {
                refused = known.limits.check_signature(self.client).err();
                is_checked = refused.is_none();
            }
            is_checked
        });
        if let Some(refused) = refused {
            return Err(refused);
        }
        if !is_checked {
            return Ok(None);
        }
        self.left -= 1;
        match verified {
            Ok(claims) => {
                let claims = Arc::new(claims);
                known.verified.insert(digest, claims.clone());
                Ok(Some(claims))
            }
            Err(PassError::Forged) => {
                known.checked.increment(1);
                known.forged.insert(digest, ());
                Ok(None)
            }
            Err(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use contract::PlaceId;
    use contract::pass::{PassKey, TOKEN_USE_ACCESS};
    use http::HeaderMap;

    use super::*;
    use crate::edge::client_ip::TrustedProxies;
    use crate::edge::rate_limit::{Rate, RateLimitConfig};

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn keys(seed: u8) -> PassKeys {
        let key = PassKey::from_seed([seed; 32]).unwrap();
        PassKeys::new("https://line.test", vec![key]).unwrap()
    }

    fn pass(keys: &PassKeys, n: u8) -> String {
        let iat = NOW.as_ms() / 1000;
        let claims = PassClaims {
            iss: "https://line.test".to_owned(),
            aud: "eras".parse().unwrap(),
            sub: PlaceId::from_bytes([n; 16]),
            jti: format!("session-{n}"),
            iat,
            nbf: iat,
            exp: iat + 60,
            queue_position: 1,
            token_use: TOKEN_USE_ACCESS.to_owned(),
        };
        keys.sign(&claims).unwrap()
    }

    fn signatures(burst: u32) -> Signatures {
        Signatures::new(RateLimits::new(RateLimitConfig {
            signatures: Rate::at_least_one(1, burst),
            ..RateLimitConfig::default()
        }))
    }

    fn client(address: &str) -> ClientIp {
        TrustedProxies::default().client_ip(address.parse().unwrap(), &HeaderMap::new())
    }

    #[test]
    fn a_forged_pass_is_checked_once_and_a_request_has_few_checks() {
        let (ours, theirs) = (keys(1), keys(2));
        // The forged pass names our key.
        let good = pass(&ours, 1);
        let (head, _) = good.rsplit_once('.').unwrap();
        let forged = |n: u8| {
            let other = pass(&theirs, n);
            let (_, signature) = other.rsplit_once('.').unwrap();
            format!("{head}.{signature}")
        };
        let signatures = signatures(1_000);
        let verify = |checks: &mut Checks<'_>, text: &str| {
            checks
                .verify(&ours, text, NOW, Duration::ZERO, |_| true)
                .unwrap()
                .is_some()
        };
        let mut checks = signatures.checks(client("192.0.2.1"));
        for n in 1..=3 {
            assert!(!verify(&mut checks, &forged(n)));
        }
        assert!(
            !verify(&mut checks, &good),
            "a fourth signature was checked"
        );
        let mut checks = signatures.checks(client("192.0.2.1"));
        for n in [1, 2, 3, 1, 2, 3] {
            assert!(!verify(&mut checks, &forged(n)));
        }
        assert_eq!(checks.left, CHECKS_MAX, "a known forgery was checked again");
        assert!(verify(&mut checks, &good));
        assert!(verify(&mut checks, &good));
        assert_eq!(checks.left, CHECKS_MAX - 1);
    }

    #[test]
    fn an_address_has_so_many_checks_and_known_passes_go_on() {
        let ours = keys(1);
        let signatures = signatures(2);
        let verify = |address: &str, n| {
            let mut checks = signatures.checks(client(address));
            let verified = checks.verify(&ours, &pass(&ours, n), NOW, Duration::ZERO, |_| true);
            verified.map(|claims| claims.is_some())
        };
        assert_eq!(verify("192.0.2.1", 1), Ok(true));
        assert_eq!(verify("192.0.2.1", 2), Ok(true));
        let refused = verify("192.0.2.1", 3).unwrap_err();
        assert_eq!(refused.problem().code, contract::ProblemCode::RateLimited);
        assert_eq!(verify("192.0.2.1", 1), Ok(true));
        assert_eq!(verify("192.0.2.2", 3), Ok(true));
    }
}

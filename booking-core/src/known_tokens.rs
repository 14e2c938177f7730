//! Tokens that were good when they were last used here.

use std::time::Duration;

use moka::sync::Cache;

/// More scanners than the venues of a day have.
const TOKENS_MAX: u64 = 10_000;
/// How long an unused token is remembered: over a show with its intervals.
const UNUSED_MAX: Duration = Duration::from_hours(12);

/// The digests of tokens that were good when they were last used at this process. This admits
/// nobody: it tells the rate limits whose requests count by their token and not by their address.
pub(crate) struct KnownTokens(Cache<[u8; 32], ()>);

impl KnownTokens {
    /// Without any token.
    pub(crate) fn new() -> Self {
        let cache = Cache::builder()
            .max_capacity(TOKENS_MAX)
            .time_to_idle(UNUSED_MAX);
        Self(cache.build())
    }

    /// Whether the token with this digest was good.
    pub(crate) fn contains(&self, hash: &[u8; 32]) -> bool {
        self.0.get(hash).is_some()
    }

    /// Notes whether the token with this digest is good.
    pub(crate) fn note(&self, hash: [u8; 32], is_good: bool) {
        if is_good {
            self.0.insert(hash, ());
        } else {
            self.0.invalidate(&hash);
        }
    }
}

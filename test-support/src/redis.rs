//! The Redis server that tests share, each under a prefix of its own.

use std::sync::atomic::{AtomicU32, Ordering};

static PREFIXES: AtomicU32 = AtomicU32::new(0);

/// Names the Redis server that tests may use.
#[expect(
    clippy::disallowed_methods,
    reason = "tests have no configuration file"
)]
pub fn redis_url() -> String {
    let name = "ROPELINE_TEST_REDIS_URL";
    std::env::var(name).unwrap_or_else(|_| panic!("set {name}"))
}

/// A prefix of its own for the keys of one test.
pub fn redis_prefix() -> String {
    let count = PREFIXES.fetch_add(1, Ordering::Relaxed);
    format!("it-{}-{count}:", std::process::id())
}

//! The Redis server that tests share, each under a prefix of its own.

use std::sync::atomic::{AtomicU32, Ordering};

use line::store::redis::{RedisAddress, RedisStore};

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

static DATABASES: AtomicU32 = AtomicU32::new(1);

/// The URL of a numbered database of its own on that server, for gateways that use no prefix. The
/// server that the tests are given has a few hundred of them.
pub(crate) fn redis_database_url() -> String {
    let number = DATABASES.fetch_add(1, Ordering::Relaxed);
    let url = redis_url();
    let server = match url.split_once("://") {
        Some((scheme, rest)) => {
            let server = rest.split('/').next().unwrap_or(rest);
            format!("{scheme}://{server}")
        }
        None => url,
    };
    format!("{server}/{number}")
}

/// A store at `url`, whose keys begin with `prefix`.
pub fn redis_store(url: &str, prefix: &str) -> RedisStore {
    RedisStore::new(&RedisAddress::read(url, None).unwrap(), prefix).unwrap()
}

/// A prefix of its own for the keys of one test.
pub fn redis_prefix() -> String {
    let count = PREFIXES.fetch_add(1, Ordering::Relaxed);
    format!("it-{}-{count}:", std::process::id())
}

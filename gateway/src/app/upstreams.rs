//! The proxy to remote upstreams.

use std::sync::Arc;

use line::policy::place::subkey;

use super::surroundings::Surroundings;
use crate::config::Config;
use crate::proxy::{Proxy, ProxyConfig};

/// The proxy. Gateways of one installation, which share its `secret`, name addresses to fans alike.
pub(super) fn proxy(config: &Config, surroundings: &Surroundings, secret: &[u8; 32]) -> Arc<Proxy> {
    let clock = surroundings.clock.clone();
    let proxy = Proxy::new(ProxyConfig::default(), clock);
    let proxy = proxy.naming_by(subkey(secret, b"upstream-address-v1"));
    Arc::new(match &config.roots {
        Some(roots) => proxy.trusting(roots.as_pem()),
        None => proxy,
    })
}

//! Whom limits by address count.

use std::net::IpAddr;

/// The address that limits count a request for: one IPv4 address, or the network of one IPv6
/// subscriber by its first address. A request without it is not limited by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitedAs(pub IpAddr);

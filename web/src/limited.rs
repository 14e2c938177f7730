//! The address that limits count.

use std::net::IpAddr;

/// The address that a request is counted for: an IPv4 address, or the first address of the network
/// of an IPv6 subscriber. A request without it is not limited by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitedAs(pub IpAddr);

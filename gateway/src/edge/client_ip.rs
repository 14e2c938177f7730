//! The client address of a request.
//!
//! `X-Forwarded-For` can be forged. It is used only when the socket's peer is a declared proxy, and
//! only as far back as every hop in the chain is a declared proxy.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The header in which a proxy adds the address of its client.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Proxies whose `X-Forwarded-For` is trusted.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

/// The client address of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientIp {
    address: IpAddr,
    is_limited: bool,
}

/// The unit of the limits by address: an IPv4 address, or the /64 network of one IPv6 subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressGroup(IpAddr);

impl TrustedProxies {
    /// Trusts the proxies in `networks`.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// The client address of a request from `peer` with `headers`.
    pub fn client_ip(&self, peer: IpAddr, headers: &HeaderMap) -> ClientIp {
        let peer = peer.to_canonical();
        if !self.contains(peer) {
            // All fans behind an undeclared local proxy have the loopback address; limiting it
            // would let the first of them use up everyone's share.
            return ClientIp {
                address: peer,
                is_limited: !peer.is_loopback(),
            };
        }
        let mut address = peer;
        for value in headers.get_all(X_FORWARDED_FOR).iter().rev() {
            for entry in value.as_bytes().rsplit(|byte| *byte == b',') {
                // An entry that is not an address ends the chain: no declared proxy vouches for the
                // entries before it.
                let Some(said) = parse_entry(entry) else {
                    return ClientIp::limited(address);
                };
                address = said;
                if !self.contains(said) {
                    return ClientIp::limited(address);
                }
            }
        }
        ClientIp::limited(address)
    }

    /// Whether a declared proxy has this address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl ClientIp {
    fn limited(address: IpAddr) -> Self {
        Self {
            address,
            is_limited: true,
        }
    }

    /// The address; an IPv4-mapped IPv6 address is returned as IPv4.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// The group that limits count this request for; `None` when it is not limited by address.
    pub fn limited_as(self) -> Option<AddressGroup> {
        self.is_limited.then(|| AddressGroup::of(self.address))
    }
}

impl AddressGroup {
    /// The IPv4 address, or the first address of the /64 network.
    pub fn address(self) -> IpAddr {
        self.0
    }

    /// The group of `address`.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let network = address.to_bits() >> 64 << 64;
                Ipv6Addr::from_bits(network).into()
            }
        })
    }
}

/// Reads `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`.
fn parse_entry(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    address
        .or_else(with_port)
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn proxies() -> TrustedProxies {
        TrustedProxies::new(["10.0.0.0/8", "2001:db8:ffff::/48"].map(|net| net.parse().unwrap()))
    }

    fn client(peer: &str, forwarded_for: &[&str]) -> ClientIp {
        let headers: HeaderMap = forwarded_for
            .iter()
            .map(|value| (X_FORWARDED_FOR, value.parse().unwrap()))
            .collect();
        proxies().client_ip(peer.parse().unwrap(), &headers)
    }

    fn address(peer: &str, forwarded_for: &[&str]) -> String {
        client(peer, forwarded_for).address().to_string()
    }

    #[test]
    fn a_stranger_cannot_choose_an_address() {
        assert_eq!(address("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(address("::ffff:192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
    }

    #[test]
    fn a_declared_proxy_is_believed_as_far_as_the_chain_goes() {
        for (forwarded_for, expected) in [
            (&["198.51.100.7"][..], "198.51.100.7"),
            (&["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
            (&["1.1.1.1, 198.51.100.7, 10.9.9.9"], "198.51.100.7"),
            (&["1.1.1.1", "198.51.100.7", "10.9.9.9"], "198.51.100.7"),
            (&["198.51.100.7:4711"], "198.51.100.7"),
            (&["::ffff:198.51.100.7"], "198.51.100.7"),
            (&["[2001:db8::7]:80"], "2001:db8::7"),
            (&["[2001:db8::7]"], "2001:db8::7"),
            (&["2001:db8::7, 2001:db8:ffff::1"], "2001:db8::7"),
            (&["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
            (&["198.51.100.7, unknown, 10.9.9.9"], "10.9.9.9"),
            (&["198.51.100.7,"], "10.0.0.1"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(
                address("10.0.0.1", forwarded_for),
                expected,
                "{forwarded_for:?}"
            );
            assert_eq!(address("::ffff:10.0.0.1", forwarded_for), expected);
        }
    }

    #[test]
    fn only_an_undeclared_loopback_peer_is_free_of_limits() {
        assert_eq!(client("127.0.0.1", &[]).limited_as(), None);
        assert_eq!(client("::1", &[]).limited_as(), None);
        assert!(client("10.0.0.1", &["127.0.0.1"]).limited_as().is_some());
        assert!(client("192.0.2.1", &[]).limited_as().is_some());
        let declared = TrustedProxies::new(["127.0.0.0/8".parse().unwrap()]);
        let local = declared.client_ip("127.0.0.1".parse().unwrap(), &HeaderMap::new());
        assert!(local.limited_as().is_some());
    }

    #[test]
    fn one_ipv6_subscriber_is_one_group() {
        let group = |text: &str| AddressGroup::of(text.parse().unwrap());
        assert_eq!(group("2001:db8:0:1::1"), group("2001:db8:0:1:ffff::9"));
        assert_ne!(group("2001:db8:0:1::1"), group("2001:db8:0:2::1"));
        assert_ne!(group("192.0.2.1"), group("192.0.2.2"));
        assert_eq!(group("::ffff:192.0.2.1"), group("192.0.2.1"));
    }

    proptest! {
        #[test]
        fn whatever_a_fan_writes_stands_left_of_their_own_address(forged in "[0-9a-f:., \\[\\]]{0,40}") {
            let seen = format!("{forged}, 198.51.100.7");
            prop_assert_eq!(address("10.0.0.1", &[&seen]), "198.51.100.7");
        }
    }
}

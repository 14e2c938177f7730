//! Which addresses a webhook may go to. Pure.
//!
//! Whoever may create subscriptions must not reach the network of the gateway through it: metadata
//! services, databases, the operators' listener. So only public addresses are called, unless a
//! setting allows others. The name is resolved for each connection, and the address that it has then
//! is judged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Longest URL of a subscription.
const URL_BYTES_MAX: usize = 2048;

/// The URL in `text`, or why no webhook may go there.
pub(crate) fn read(text: &str, private_allowed: bool) -> Result<Url, &'static str> {
    if text.len() > URL_BYTES_MAX {
        return Err("longer than 2048 characters");
    }
    let url = Url::parse(text).map_err(|_| "not a URL")?;
    match url.scheme() {
        "https" => {}
        "http" if private_allowed => {}
        _ => return Err("only https://, so that nobody reads along"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("no user and password: the signature tells who calls");
    }
    if url.fragment().is_some() {
        return Err("no fragment: it is not sent");
    }
    match literal(&url) {
        Some(address) if !private_allowed && !is_public(address) => Err(NOT_PUBLIC),
        _ if url.host().is_none() => Err("no host"),
        _ => Ok(url),
    }
}

/// Why an address is refused.
pub(crate) const NOT_PUBLIC: &str =
    "not a public address; ROPELINE_WEBHOOK_PRIVATE_TARGETS=true allows it";

/// The address that stands in the URL itself.
pub(crate) fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// Whether an address belongs to the internet, and not to a machine, a network or a special purpose.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        // Carrier-grade NAT, protocol assignments, 6to4 relays, benchmarks.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    // Ways to an address of IPv4: mapped, NAT64, 6to4.
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    if parts[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return is_public_v4(embedded(parts[6], parts[7]));
    }
    if parts[0] == 0x2002 {
        return is_public_v4(embedded(parts[1], parts[2]));
    }
    // Only 2000::/3 is given out; in it Teredo, ORCHID and documentation are not.
    let global = parts[0] & 0xe000 == 0x2000;
    let special = match parts[0] {
        0x2001 => parts[1] < 0x0200 || parts[1] == 0x0db8,
        0x3fff => parts[1] < 0x1000,
        _ => false,
    };
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_called() {
        for private in [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "fec0::1",
            "::7f00:1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "93.184.216.34",
            "8.8.8.8",
            "2606:2800:220:1::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn urls_are_judged_before_they_are_stored() {
        for refused in [
            "http://hooks.example/x",
            "ftp://hooks.example/x",
            "https://user:secret@hooks.example/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::ffff:169.254.169.254]/latest",
            "https://hooks.example/#x",
            "hooks.example",
            "",
        ] {
            assert!(read(refused, false).is_err(), "{refused}");
        }
        assert!(read("https://hooks.example/x?y=z", false).is_ok());
        assert!(read("http://127.0.0.1:9/x", true).is_ok());
        assert!(read(&format!("https://a.example/{}", "x".repeat(2048)), true).is_err());
    }
}

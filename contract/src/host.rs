//! Names of hosts: those that rooms answer for, and those that requests name.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// How settings write every host that no other room names.
pub const EVERY: &str = "*";

/// Longest name that the DNS has, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 253;
/// Longest part between two dots, in bytes.
const LABEL_BYTES_MAX: usize = 63;

/// A host that a room answers for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AnsweredHost {
    /// Every host that no other room names.
    Every,
    /// This one, in the form that [`name_of`] gives.
    Named(String),
}

/// Why a text names no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It has a scheme, a path or something else beside the name.
    #[error("`{0}` is not only a name: write it without scheme and path, as shop.example")]
    NotOnlyAName(String),
    /// It has a port: a name is answered for on every port.
    #[error("`{0}` has a port: write the name alone, it is answered for on every port")]
    Port(String),
    /// It has letters that only the international form of the DNS knows.
    #[error("`{0}` is written as `{1}` in the DNS: write it so")]
    International(String, String),
    /// A pattern other than [`EVERY`].
    #[error("`{0}` is a pattern: name each host, or write `*` for all that no other room names")]
    Pattern(String),
    /// The name is empty, too long, or has characters that no host has.
    #[error("`{0}` is no name of a host such as shop.example")]
    NoName(String),
}

impl FromStr for AnsweredHost {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if text == EVERY {
            return Ok(Self::Every);
        }
        let own = || text.to_owned();
        if text.contains('*') {
            return Err(HostError::Pattern(own()));
        }
        if text.contains(['/', '@', '?', '#']) {
            return Err(HostError::NotOnlyAName(own()));
        }
        if let Some(address) = text.strip_prefix('[') {
            let bare = address.strip_suffix(']').unwrap_or_default();
            let is_address = !bare.is_empty() && bare.bytes().all(is_of_address);
            let named = || Self::Named(name_of(text).into_owned());
            return match address.rsplit_once("]:") {
                Some(_) => Err(HostError::Port(own())),
                None => is_address
                    .then(named)
                    .ok_or_else(|| HostError::NoName(own())),
            };
        }
        if text.contains(':') {
            return Err(HostError::Port(own()));
        }
        if !text.is_ascii() {
            let ascii = international(text).ok_or_else(|| HostError::NoName(own()))?;
            return Err(HostError::International(own(), ascii));
        }
        if text.len() > NAME_BYTES_MAX || !text.split('.').all(is_label) {
            return Err(HostError::NoName(own()));
        }
        Ok(Self::Named(name_of(text).into_owned()))
    }
}

impl fmt::Display for AnsweredHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.write_str(EVERY),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// The name in a `Host` header or an authority, in the form that names are compared in: without
/// port and final dot, in lower case, IPv6 addresses in their shortest form.
pub fn name_of(host: &str) -> Cow<'_, str> {
    if let Some(rest) = host.strip_prefix('[') {
        let inside = rest.split(']').next().unwrap_or_default();
        return match inside.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]").into(),
            Err(_) => format!("[{}]", inside.to_ascii_lowercase()).into(),
        };
    }
    let name = host.split(':').next().unwrap_or_default();
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        name.to_ascii_lowercase().into()
    } else {
        name.into()
    }
}

/// The name that the DNS has for `text`, which may be in any script; `None` when it has none.
pub fn international(text: &str) -> Option<String> {
    let name = idna::domain_to_ascii(text).ok()?;
    (!name.is_empty()).then_some(name)
}

/// The hosts of a room's settings; what is no name is left out, because the settings are checked
/// before they are stored.
pub fn answered(hosts: &[String]) -> Vec<AnsweredHost> {
    hosts.iter().filter_map(|host| host.parse().ok()).collect()
}

fn is_label(label: &str) -> bool {
    let is_edge = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = label.as_bytes();
    let edges = bytes.first().zip(bytes.last());
    label.len() <= LABEL_BYTES_MAX
        && edges.is_some_and(|(first, last)| is_edge(*first) && is_edge(*last))
        && bytes.iter().all(|byte| is_edge(*byte) || *byte == b'-')
}

fn is_of_address(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_however_it_is_written() {
        for (written, name) in [
            ("shop.example", "shop.example"),
            ("Shop.Example:8443", "shop.example"),
            ("shop.example.", "shop.example"),
            ("shop.example.:80", "shop.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("127.0.0.1:8080", "127.0.0.1"),
            ("[::1]:8080", "[::1]"),
            ("[0:0::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(name_of(written), name, "{written}");
        }
    }

    #[test]
    fn settings_name_hosts_and_nothing_else() {
        for (text, name) in [
            ("*", "*"),
            ("Shop.Example", "shop.example"),
            ("localhost", "localhost"),
            ("10.0.0.1", "10.0.0.1"),
            ("[::1]", "[::1]"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            let host: AnsweredHost = text.parse().unwrap();
            assert_eq!(host.to_string(), name);
        }
        for (text, said) in [
            ("", "no name"),
            ("a..b", "no name"),
            ("-a.example", "no name"),
            ("a b", "no name"),
            ("[::1", "no name"),
            ("shop.example:80", "has a port"),
            ("[::1]:80", "has a port"),
            ("https://shop.example", "without scheme"),
            ("shop.example/a", "without scheme"),
            ("*.shop.example", "name each host"),
            ("bücher.example", "xn--bcher-kva.example"),
        ] {
            let refused = text.parse::<AnsweredHost>().unwrap_err().to_string();
            assert!(refused.contains(said), "{text}: {refused}");
        }
    }
}

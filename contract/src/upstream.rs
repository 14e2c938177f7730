//! Where a protected service listens, parsed once from a room's settings.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::uri::{Authority, PathAndQuery, Scheme, Uri};

/// The upstream that is the booking core in this process.
pub const EMBEDDED: &str = "embedded";

/// A remote service behind the gateway: `http://host:port` or `https://host:port`, and a path under
/// which all of it is.
///
/// Clones are cheap, and two upstreams with the same address are equal: they share connections
/// and one circuit breaker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream(Arc<Address>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Address {
    url: String,
    /// The part of the URL before the path.
    server: String,
    scheme: Scheme,
    authority: Authority,
    /// The `Host` header that names the upstream.
    host: HeaderValue,
    /// The path under which all of it is, without a slash at the end; mostly empty.
    prefix: String,
}

/// What the settings of a room say of its upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Connections underway at the upstream above which a request of the room is refused; the
    /// proxy's own limit when `None`.
    pub connections_max: Option<usize>,
    /// How long an event stream or a tunnel may stand still; for ever when `None`.
    pub stream_idle_max: Option<Duration>,
    /// How long the head of an answer may take; the proxy's own limit when `None`.
    pub response_max: Option<Duration>,
    /// The upstream gets the host that the fan asked for instead of its own name.
    pub preserves_host: bool,
    /// A fan stays with one of several addresses.
    pub is_sticky: bool,
}

/// Why a text is not an upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// The text is no URL at all.
    #[error("`{0}` is not a URL such as http://shop.internal:3000")]
    NotAUrl(String),
    /// Some other protocol.
    #[error("`{0}` has a scheme other than http and https")]
    WrongScheme(String),
    /// A name or password in the URL would end up in logs.
    #[error("an upstream URL may not carry a user name or password")]
    Credentials,
    /// A query or fragment: requests keep their own.
    #[error("`{0}` has a query or fragment; an upstream is http://host:port, with a path at most")]
    HasQuery(String),
    /// A path that servers may read in two ways.
    #[error(
        "`{0}` has a path that is not plain: segments of letters, digits, `.`, `_`, `~` and `-`"
    )]
    BadPath(String),
    /// The port is not a number between 1 and 65535.
    #[error("`{0}` has a port outside 1 to 65535")]
    BadPort(String),
}

impl Bounds {
    /// What one of so many addresses may have.
    #[must_use]
    pub fn shared_by(self, addresses: usize) -> Self {
        Self {
            connections_max: self
                .connections_max
                .map(|max| max.div_ceil(addresses.max(1))),
            ..self
        }
    }
}

impl Upstream {
    /// The address in the form `http://host:port`, with the path if there is one.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The address without the path: what connections and health belong to.
    pub fn server(&self) -> &str {
        &self.0.server
    }

    /// `host:port` as given, lower-case.
    pub fn authority(&self) -> &str {
        self.0.authority.as_str()
    }

    /// `host:port`, with the port that the scheme stands for where none is given: what tells servers
    /// apart.
    pub fn endpoint(&self) -> String {
        let port = if self.is_encrypted() { 443 } else { 80 };
        let port = self.0.authority.port_u16().unwrap_or(port);
        format!("{}:{port}", self.0.authority.host())
    }

    /// The host without a port; an IPv6 address without brackets.
    pub fn host_name(&self) -> &str {
        self.0.authority.host().trim_matches(['[', ']'])
    }

    /// Whether it is reached by TLS.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme == Scheme::HTTPS
    }

    /// The path under which all of it is, without a slash at the end; empty for most.
    pub fn prefix(&self) -> &str {
        &self.0.prefix
    }

    /// The `Host` header that names this upstream.
    pub fn host(&self) -> HeaderValue {
        self.0.host.clone()
    }

    /// The absolute address of `path` here.
    pub fn resolve(&self, path: PathAndQuery) -> Result<Uri, http::Error> {
        Uri::builder()
            .scheme(self.0.scheme.clone())
            .authority(self.0.authority.clone())
            .path_and_query(path)
            .build()
    }

    /// The path of the upstream that `path` of the site stands for.
    pub fn path_of(&self, path: PathAndQuery) -> Result<PathAndQuery, http::Error> {
        if self.0.prefix.is_empty() {
            return Ok(path);
        }
        Ok(format!("{}{path}", self.0.prefix).parse()?)
    }
}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let own = || text.to_owned();
        if text.contains('#') {
            return Err(UpstreamError::HasQuery(own()));
        }
        let uri: Uri = text.parse().map_err(|_| UpstreamError::NotAUrl(own()))?;
        let scheme = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => scheme.clone(),
            Some(_) => return Err(UpstreamError::WrongScheme(own())),
            None => return Err(UpstreamError::NotAUrl(own())),
        };
        let authority = uri
            .authority()
            .ok_or_else(|| UpstreamError::NotAUrl(own()))?;
        if authority.as_str().contains('@') {
            return Err(UpstreamError::Credentials);
        }
        if uri.query().is_some() {
            return Err(UpstreamError::HasQuery(own()));
        }
        let prefix = uri.path().strip_suffix('/').unwrap_or(uri.path());
        if !prefix.is_empty() && !prefix.split('/').skip(1).all(is_plain_segment) {
            return Err(UpstreamError::BadPath(own()));
        }
        if authority.host().is_empty() {
            return Err(UpstreamError::NotAUrl(own()));
        }
        // `host:` and `host:99999` parse as an authority without a port.
        let has_port_text = authority.as_str().len() > authority.host().len();
        if has_port_text && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(UpstreamError::BadPort(own()));
        }
        let authority: Authority = authority
            .as_str()
            .to_ascii_lowercase()
            .parse()
            .map_err(|_| UpstreamError::NotAUrl(own()))?;
        let host =
            HeaderValue::from_str(authority.as_str()).map_err(|_| UpstreamError::NotAUrl(own()))?;
        let server = format!("{scheme}://{authority}");
        Ok(Self(Arc::new(Address {
            url: format!("{server}{prefix}"),
            server,
            scheme,
            authority,
            host,
            prefix: prefix.to_owned(),
        })))
    }
}

/// Whether every server reads this segment of a path as it stands.
fn is_plain_segment(segment: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    segment.bytes().all(is_plain) && segment.bytes().any(|byte| byte != b'.')
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_plain_address() {
        let upstream: Upstream = "http://Shop.internal:3000/".parse().unwrap();
        assert_eq!(upstream.url(), "http://shop.internal:3000");
        assert_eq!(upstream.authority(), "shop.internal:3000");
        assert_eq!(
            "http://[::1]:80".parse::<Upstream>().unwrap().authority(),
            "[::1]:80"
        );
        assert_eq!(
            upstream
                .resolve(PathAndQuery::from_static("/a?b=c"))
                .unwrap(),
            "http://shop.internal:3000/a?b=c"
        );
    }

    #[test]
    fn several_addresses_share_the_connections() {
        let bounds = Bounds {
            connections_max: Some(100),
            ..Bounds::default()
        };
        assert_eq!(bounds.shared_by(3).connections_max, Some(34));
        assert_eq!(bounds.shared_by(1), bounds);
        assert_eq!(Bounds::default().shared_by(3), Bounds::default());
    }

    #[test]
    fn an_upstream_may_be_encrypted_and_below_a_path() {
        let upstream: Upstream = "https://Shop.internal/base/v1/".parse().unwrap();
        assert_eq!(upstream.url(), "https://shop.internal/base/v1");
        assert_eq!(upstream.server(), "https://shop.internal");
        assert!(upstream.is_encrypted());
        let path = upstream.path_of(PathAndQuery::from_static("/a?b=c"));
        assert_eq!(path.unwrap(), "/base/v1/a?b=c");
        let plain: Upstream = "http://[::1]:80".parse().unwrap();
        assert_eq!((plain.host_name(), plain.prefix()), ("::1", ""));
        assert!(!plain.is_encrypted());
        assert_eq!(plain.endpoint(), "[::1]:80");
        assert_eq!(upstream.endpoint(), "shop.internal:443");
    }

    #[test]
    fn says_what_is_wrong_with_other_texts() {
        let fault = |text: &str| text.parse::<Upstream>().unwrap_err();
        assert!(matches!(fault("ftp://shop"), UpstreamError::WrongScheme(_)));
        assert!(matches!(fault("shop:3000"), UpstreamError::NotAUrl(_)));
        assert!(matches!(fault(""), UpstreamError::NotAUrl(_)));
        assert!(matches!(fault("http://"), UpstreamError::NotAUrl(_)));
        assert!(matches!(fault("http://:80"), UpstreamError::NotAUrl(_)));
        assert!(matches!(fault("http://a b"), UpstreamError::NotAUrl(_)));
        assert!(matches!(
            fault("http://u:p@shop"),
            UpstreamError::Credentials
        ));
        for text in ["http://shop?x=1", "http://shop/base?x=1", "http://shop#x"] {
            assert!(matches!(fault(text), UpstreamError::HasQuery(_)), "{text}");
        }
        for text in [
            "http://shop/a/../b",
            "http://shop/a//b",
            "http://shop/a%2fb",
        ] {
            assert!(matches!(fault(text), UpstreamError::BadPath(_)), "{text}");
        }
        assert!(matches!(
            fault("http://shop:99999"),
            UpstreamError::BadPort(_)
        ));
        assert!(matches!(fault("http://shop:0"), UpstreamError::BadPort(_)));
    }
}

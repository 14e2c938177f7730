//! Where a protected service listens, parsed once from a room's settings.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::uri::{Authority, PathAndQuery, Scheme, Uri};

/// The upstream that is the booking core in this process.
pub const EMBEDDED: &str = "embedded";

/// A remote service behind the gateway: `http://host:port`, and nothing more.
///
/// Clones are cheap, and two upstreams with the same address are equal: they share connections
/// and one circuit breaker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream(Arc<Address>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Address {
    url: String,
    authority: Authority,
    /// The `Host` header that names the upstream.
    host: HeaderValue,
}

/// What the settings of a room say of its upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Connections underway at the upstream above which a request of the room is refused; the
    /// proxy's own limit when `None`.
    pub connections_max: Option<usize>,
    /// How long an event stream or a tunnel may stand still; for ever when `None`.
    pub stream_idle_max: Option<Duration>,
}

/// Why a text is not an upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// The text is no URL at all.
    #[error("`{0}` is not a URL such as http://shop.internal:3000")]
    NotAUrl(String),
    /// Encrypted upstreams are not supported.
    #[error(
        "`{0}` asks for https, but the gateway speaks plain http to an upstream: \
         use http:// inside a private network, or a local TLS forwarder"
    )]
    Encrypted(String),
    /// Some other protocol.
    #[error("`{0}` has a scheme other than http")]
    WrongScheme(String),
    /// A name or password in the URL would end up in logs.
    #[error("an upstream URL may not carry a user name or password")]
    Credentials,
    /// A path, query or fragment: requests keep their own path.
    #[error("`{0}` has a path or query; an upstream is only http://host:port")]
    HasPath(String),
    /// The port is not a number between 1 and 65535.
    #[error("`{0}` has a port outside 1 to 65535")]
    BadPort(String),
}

impl Upstream {
    /// The address in the form `http://host:port`.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// `host:port` as given, lower-case.
    pub fn authority(&self) -> &str {
        self.0.authority.as_str()
    }

    /// The `Host` header that names this upstream.
    pub fn host(&self) -> HeaderValue {
        self.0.host.clone()
    }

    /// The absolute address of `path` here.
    pub fn resolve(&self, path: PathAndQuery) -> Result<Uri, http::Error> {
        Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.0.authority.clone())
            .path_and_query(path)
            .build()
    }
}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let own = || text.to_owned();
        if text.contains('#') {
            return Err(UpstreamError::HasPath(own()));
        }
        let uri: Uri = text.parse().map_err(|_| UpstreamError::NotAUrl(own()))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(UpstreamError::Encrypted(own())),
            Some(_) => return Err(UpstreamError::WrongScheme(own())),
            None => return Err(UpstreamError::NotAUrl(own())),
        }
        let authority = uri
            .authority()
            .ok_or_else(|| UpstreamError::NotAUrl(own()))?;
        if authority.as_str().contains('@') {
            return Err(UpstreamError::Credentials);
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err(UpstreamError::HasPath(own()));
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
        Ok(Self(Arc::new(Address {
            url: format!("http://{authority}"),
            authority,
            host,
        })))
    }
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
    fn says_what_is_wrong_with_other_texts() {
        let fault = |text: &str| text.parse::<Upstream>().unwrap_err();
        assert!(matches!(fault("https://shop"), UpstreamError::Encrypted(_)));
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
        assert!(matches!(
            fault("http://shop/base"),
            UpstreamError::HasPath(_)
        ));
        assert!(matches!(
            fault("http://shop?x=1"),
            UpstreamError::HasPath(_)
        ));
        assert!(matches!(fault("http://shop#x"), UpstreamError::HasPath(_)));
        assert!(matches!(
            fault("http://shop:99999"),
            UpstreamError::BadPort(_)
        ));
        assert!(matches!(fault("http://shop:0"), UpstreamError::BadPort(_)));
        assert!(fault("https://shop").to_string().contains("https"));
    }
}

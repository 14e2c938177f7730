//! Where Redis is, as `ROPELINE_REDIS_URL` says.

use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisError, RedisResult, TlsMode,
};

use super::roots::Roots;

/// What the URL of a server begins with.
const SCHEMES: [&str; 4] = ["redis://", "rediss://", "redis+unix://", "unix://"];
/// Where a sentinel listens unless the URL says otherwise.
const SENTINEL_PORT: u16 = 26_379;

/// Where Redis is.
#[derive(Clone)]
pub struct RedisAddress(pub(super) Place);

/// The kinds of places.
#[derive(Clone)]
pub(super) enum Place {
    /// One server.
    Server(ConnectionInfo),
    /// The master of a service that sentinels watch.
    Watched(Watched),
    /// A cluster; these of its nodes tell of the others.
    Cluster(Vec<ConnectionInfo>),
}

/// Why a URL does not say where Redis is. The URL may hold a password, so none repeats it.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It begins with nothing we know.
    #[error(
        "expected redis://…, rediss://…, several of them separated by commas for a Redis Cluster, \
         or redis+sentinel://host:port,host:port/service; a comma in a password is written %2C"
    )]
    Scheme,
    /// The part after the scheme is wrong.
    #[error("{0}")]
    Unreadable(RedisError),
    /// It would believe every certificate.
    #[error(
        "certificates are always verified, so #insecure is refused; name your own authority in \
         ROPELINE_CA_FILE"
    )]
    Insecure,
    /// The nodes of a cluster are told apart by more than host and port.
    #[error(
        "the nodes of a Redis Cluster share one scheme, user and password, so all URLs have to \
         name the same"
    )]
    Different,
    /// A node of a cluster is at no host and port.
    #[error("a node of a Redis Cluster is reached by host and port, not by a socket file")]
    SocketFile,
    /// A database other than the first in a cluster.
    #[error("a Redis Cluster has database 0 only; leave out the number at the end of each URL")]
    Database,
    /// No service is named.
    #[error(
        "the name of the service that the sentinels watch is missing: \
         redis+sentinel://host:port,host:port/service"
    )]
    NoService,
    /// The query has something else.
    #[error(
        "after the `?` of redis+sentinel:// only sentinel_user and sentinel_password are known"
    )]
    Query,
}

impl RedisAddress {
    /// Reads a URL, or several separated by commas. With `roots` these authorities are believed;
    /// without, those of the system.
    pub fn read(text: &str, roots: Option<&Roots>) -> Result<Self, AddressError> {
        for (scheme, of_server) in [
            ("redis+sentinel://", "redis"),
            ("rediss+sentinel://", "rediss"),
        ] {
            if let Some(rest) = text.strip_prefix(scheme) {
                let watched = Watched::read(of_server, rest, roots)?;
                return Ok(Self(Place::Watched(watched)));
            }
        }
        if !text.contains(',') {
            return Ok(Self(Place::Server(server(text, roots)?)));
        }
        let urls = text.split(',').map(str::trim).filter(|url| !url.is_empty());
        // First, because what a comma in a password leaves of a URL is not one of several.
        if !urls.clone().all(is_known) {
            return Err(AddressError::Scheme);
        }
        let nodes = urls.map(|url| server(url, roots));
        cluster(nodes.collect::<Result<_, _>>()?)
    }
}

/// Whether a URL is of a kind that is known.
fn is_known(url: &str) -> bool {
    SCHEMES.iter().any(|scheme| {
        let rest = url.strip_prefix(scheme);
        rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(' '))
    })
}

/// One server.
fn server(url: &str, roots: Option<&Roots>) -> Result<ConnectionInfo, AddressError> {
    if !is_known(url) {
        return Err(AddressError::Scheme);
    }
    if url.contains('#') {
        return Err(AddressError::Insecure);
    }
    let server = url
        .into_connection_info()
        .map_err(AddressError::Unreadable)?;
    match (server.addr(), roots) {
        (ConnectionAddr::TcpTls { .. }, Some(roots)) => {
            let client = Client::build_with_tls(server, roots.certificates());
            let client = client.map_err(AddressError::Unreadable)?;
            Ok(client.get_connection_info().clone())
        }
        _ => Ok(server),
    }
}

/// The same server at another host and port.
pub(super) fn at(server: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let host = host.to_owned();
    let address = match server.addr() {
        ConnectionAddr::TcpTls {
            insecure,
            tls_params,
            ..
        } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    server.clone().set_addr(address)
}

/// Host and port of a server that has them.
pub(super) fn host_and_port(server: &ConnectionInfo) -> Option<(&str, u16)> {
    match server.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            Some((host, *port))
        }
        _ => None,
    }
}

fn is_tls(server: &ConnectionInfo) -> bool {
    matches!(server.addr(), ConnectionAddr::TcpTls { .. })
}

fn cluster(nodes: Vec<ConnectionInfo>) -> Result<RedisAddress, AddressError> {
    let Some(first) = nodes.first() else {
        return Err(AddressError::Scheme);
    };
    let login = |node: &ConnectionInfo| {
        let settings = node.redis_settings();
        let (user, password) = (settings.username(), settings.password());
        (
            is_tls(node),
            user.map(str::to_owned),
            password.map(str::to_owned),
        )
    };
    if nodes.iter().any(|node| host_and_port(node).is_none()) {
        return Err(AddressError::SocketFile);
    }
    if nodes.iter().any(|node| login(node) != login(first)) {
        return Err(AddressError::Different);
    }
    if nodes.iter().any(|node| node.redis_settings().db() != 0) {
        return Err(AddressError::Database);
    }
    Ok(RedisAddress(Place::Cluster(nodes)))
}

/// A service that sentinels watch.
#[derive(Clone)]
pub(super) struct Watched {
    service: String,
    sentinels: Vec<ConnectionInfo>,
    /// How the service's servers are spoken to, wherever they are.
    server: ConnectionInfo,
    roots: Option<Roots>,
}

impl Watched {
    /// Reads what follows the scheme: `user:password@host:port,host:port/service/db?…`. The login
    /// is that of the servers; the sentinels may have their own, in the query.
    fn read(scheme: &str, rest: &str, roots: Option<&Roots>) -> Result<Self, AddressError> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (format!("{login}@"), rest),
            None => (String::new(), rest),
        };
        let (hosts, path) = rest.split_once('/').ok_or(AddressError::NoService)?;
        let (service, database) = path.split_once('/').unwrap_or((path, ""));
        if service.is_empty() {
            return Err(AddressError::NoService);
        }
        let sentinel_login = sentinel_login(query)?;
        let sentinel = |host: &str| {
            let port = if has_port(host) {
                String::new()
            } else {
                format!(":{SENTINEL_PORT}")
            };
            server(&format!("{scheme}://{sentinel_login}{host}{port}"), roots)
        };
        let hosts = hosts.split(',').map(str::trim);
        let hosts = hosts.filter(|host| !host.is_empty());
        let sentinels = hosts.map(sentinel).collect::<Result<Vec<_>, _>>()?;
        if sentinels.is_empty() {
            return Err(AddressError::Scheme);
        }
        // The host is replaced by the one that the sentinels name.
        let of_service = format!("{scheme}://{login}master/{database}");
        Ok(Self {
            service: service.to_owned(),
            sentinels,
            server: server(&of_service, None)?,
            roots: roots.cloned(),
        })
    }

    /// The name of the service.
    pub(super) fn service(&self) -> &str {
        &self.service
    }

    /// A client of the sentinels.
    pub(super) fn client(&self) -> RedisResult<SentinelClient> {
        let sentinels = self
            .sentinels
            .iter()
            .map(|sentinel| sentinel.addr().clone());
        let master = SentinelServerType::Master;
        let mut builder = SentinelClientBuilder::new(sentinels, &self.service, master)?;
        let own = self.sentinels.first().map(ConnectionInfo::redis_settings);
        if let Some(user) = own.and_then(|own| own.username()) {
            builder = builder.set_client_to_sentinel_username(user);
        }
        if let Some(password) = own.and_then(|own| own.password()) {
            builder = builder.set_client_to_sentinel_password(password);
        }
        let of_server = self.server.redis_settings();
        builder = builder.set_client_to_redis_db(of_server.db());
        if let Some(user) = of_server.username() {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = of_server.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if is_tls(&self.server) {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
            if let Some(roots) = &self.roots {
                builder = builder.set_client_to_redis_certificates(roots.certificates());
            }
        }
        builder.build()
    }
}

/// The login of the sentinels, as it stands before a host.
fn sentinel_login(query: &str) -> Result<String, AddressError> {
    let (mut user, mut password) = ("", "");
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sentinel_user", given)) => user = given,
            Some(("sentinel_password", given)) => password = given,
            _ => return Err(AddressError::Query),
        }
    }
    Ok(match (user, password) {
        ("", "") => String::new(),
        _ => format!("{user}:{password}@"),
    })
}

/// Whether a host is followed by a port: an IPv6 address in brackets has colons of its own.
fn has_port(host: &str) -> bool {
    let port = host.rsplit_once(':').map(|(_, port)| port);
    port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
        && (!host.starts_with('[') || host.contains("]:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Place {
        let address = RedisAddress::read(text, None);
        address.unwrap_or_else(|error| panic!("{text}: {error}")).0
    }

    fn places(servers: &[ConnectionInfo]) -> Vec<(&str, u16)> {
        servers.iter().filter_map(host_and_port).collect()
    }

    #[test]
    fn one_url_is_one_server() {
        for (url, host, port) in [
            ("redis://cache", "cache", 6379),
            ("redis://:p@ss@cache:1/3", "cache", 1),
            ("rediss://cache:6380", "cache", 6380),
        ] {
            let Place::Server(server) = read(url) else {
                panic!("{url}")
            };
            assert_eq!(host_and_port(&server), Some((host, port)), "{url}");
            assert_eq!(is_tls(&server), url.starts_with("rediss"));
        }
        let Place::Server(server) = read("unix:///run/redis.sock") else {
            panic!("no server")
        };
        assert_eq!(host_and_port(&server), None);
    }

    #[test]
    fn several_urls_are_a_cluster() {
        let text = "redis://u:p@one:7000, redis://u:p@two:7001,redis://u:p@three";
        let Place::Cluster(nodes) = read(text) else {
            panic!("no cluster")
        };
        let expected = [("one", 7000), ("two", 7001), ("three", 6379)];
        assert_eq!(places(&nodes), expected);
        let moved = at(&nodes[0], "four", 7003);
        assert_eq!(host_and_port(&moved), Some(("four", 7003)));
        assert_eq!(moved.redis_settings().password(), Some("p"));
        // One node of which the others are learnt.
        let Place::Cluster(nodes) = read("rediss://one:7000,") else {
            panic!("no cluster")
        };
        assert!(is_tls(&at(&nodes[0], "two", 1)));
    }

    #[test]
    fn sentinels_are_listed_before_the_service() {
        let text = "redis+sentinel://me:p%40ss@one:1,two,[::1]:3,[::2]/line/2\
                    ?sentinel_password=s%2Fx";
        let Place::Watched(watched) = read(text) else {
            panic!("no service")
        };
        assert_eq!(watched.service(), "line");
        let expected = [("one", 1), ("two", 26_379), ("::1", 3), ("::2", 26_379)];
        assert_eq!(places(&watched.sentinels), expected);
        let own = watched.sentinels[3].redis_settings();
        assert_eq!((own.username(), own.password()), (None, Some("s/x")));
        let settings = watched.server.redis_settings();
        assert_eq!(
            (settings.username(), settings.password()),
            (Some("me"), Some("p@ss"))
        );
        assert_eq!(settings.db(), 2);
        watched.client().unwrap();
        let Place::Watched(watched) = read("rediss+sentinel://one/line") else {
            panic!("no service")
        };
        assert!(is_tls(&watched.server) && is_tls(&watched.sentinels[0]));
        watched.client().unwrap();
    }

    #[test]
    fn what_is_wrong_is_said_without_the_url() {
        for (text, part) in [
            ("http://secret", "expected redis://"),
            ("redis://", "expected redis://"),
            (",", "expected redis://"),
            ("redis://a:secret,more@h", "%2C"),
            ("redis://secret:x/0/1/", ""),
            ("rediss://secret#insecure", "ROPELINE_CA_FILE"),
            ("redis://secret:1,rediss://secret:2", "one scheme, user"),
            ("redis://u:secret@h,redis://u:x@h", "one scheme, user"),
            ("redis://secret,redis://secret:2/1", "database 0 only"),
            ("redis://secret,unix:///run/secret", "not by a socket file"),
            ("redis+sentinel://secret", "the name of the service"),
            ("redis+sentinel://secret/", "the name of the service"),
            ("redis+sentinel:///line", "expected redis://"),
            ("redis+sentinel://secret/line?x=y", "sentinel_password"),
            ("redis+sentinel://secret/line/x", ""),
        ] {
            let Err(error) = RedisAddress::read(text, None) else {
                panic!("{text} is taken")
            };
            let error = error.to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("secret"), "{text}: {error}");
        }
    }
}

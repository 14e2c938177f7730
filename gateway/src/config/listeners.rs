//! Settings of the listeners: addresses, TLS, and the PROXY protocol.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use contract::{Clock, SystemClock};

use super::acme::acme;
use super::settings::Settings;
use crate::acme::Wanted;
use crate::edge::certificate::{PairError, PairFiles};

/// Where TLS is spoken unless the setting says otherwise.
const TLS_LISTEN: &str = "127.0.0.1:8443";
/// A certificate that expires sooner is warned about.
const EXPIRY_WARNED: Duration = Duration::from_hours(24 * 7);

/// How the public listener speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// Its address, beside that of the plain listener.
    pub listen: SocketAddr,
    /// Where its certificate comes from.
    pub source: CertificateSource,
    /// Whether people who come to the plain listener are sent to this one.
    pub redirects: bool,
}

/// Where a certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// Files, reread when they change.
    Files(PairFiles),
    /// An authority, asked by ACME.
    Acme(Wanted),
}

/// What connections to the public listener begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// HTTP or TLS.
    #[default]
    Off,
    /// A PROXY header of version 1 or 2.
    V1V2,
}

/// The listeners, checked.
pub(super) struct Listeners {
    pub(super) listen: SocketAddr,
    pub(super) ops_listen: SocketAddr,
    pub(super) tls: Option<TlsSettings>,
    pub(super) ops_tls: Option<PairFiles>,
    pub(super) proxy_protocol: ProxyProtocol,
}

pub(super) fn listeners(
    settings: &Settings,
    data_dir: &Path,
    note: &mut impl FnMut(String),
    warnings: &mut Vec<String>,
) -> Listeners {
    let listen = address(
        settings.listen.as_deref(),
        "127.0.0.1:8080",
        "ROPELINE_LISTEN",
        note,
    );
    let ops_listen = address(
        settings.ops_listen.as_deref(),
        "127.0.0.1:8081",
        "ROPELINE_OPS_LISTEN",
        note,
    );
    if listen == ops_listen && listen.port() != 0 {
        note(format!(
            "ROPELINE_LISTEN and ROPELINE_OPS_LISTEN are both {listen}: the operators' listener \
             needs an address of its own"
        ));
    }
    let tls = tls(settings, data_dir, note, warnings);
    if let Some(tls) = &tls {
        for (name, other) in [
            ("ROPELINE_LISTEN", listen),
            ("ROPELINE_OPS_LISTEN", ops_listen),
        ] {
            if tls.listen == other && other.port() != 0 {
                note(format!(
                    "ROPELINE_TLS_LISTEN and {name} are both {other}: TLS needs an address of its \
                     own"
                ));
            }
        }
        if settings
            .public_url
            .as_deref()
            .is_some_and(|url| url.trim().starts_with("http:"))
        {
            warnings.push(
                "ROPELINE_PUBLIC_URL begins with http://, so cookies are not marked for TLS \
                 alone, although TLS is spoken: let it begin with https://"
                    .to_owned(),
            );
        }
    }
    let ops_tls = pair(
        ("ROPELINE_OPS_TLS_CERT", settings.ops_tls_cert.as_deref()),
        ("ROPELINE_OPS_TLS_KEY", settings.ops_tls_key.as_deref()),
        note,
        warnings,
    );
    Listeners {
        listen,
        ops_listen,
        tls,
        ops_tls,
        proxy_protocol: proxy_protocol(settings, note),
    }
}

fn tls(
    settings: &Settings,
    data_dir: &Path,
    note: &mut impl FnMut(String),
    warnings: &mut Vec<String>,
) -> Option<TlsSettings> {
    let files = pair(
        ("ROPELINE_TLS_CERT", settings.tls_cert.as_deref()),
        ("ROPELINE_TLS_KEY", settings.tls_key.as_deref()),
        note,
        warnings,
    );
    let has_files = settings.tls_cert.is_some() || settings.tls_key.is_some();
    let wanted = acme(settings, data_dir, note);
    if has_files && wanted.is_some() {
        note(
            "ROPELINE_TLS_CERT and ROPELINE_ACME_DOMAINS are both set: a certificate comes from \
             files or from an authority, so leave one of them out"
                .to_owned(),
        );
    }
    let is_asked = has_files || wanted.is_some();
    let listen = settings.tls_listen.as_deref();
    let listen_at = address(listen, TLS_LISTEN, "ROPELINE_TLS_LISTEN", note);
    let redirects = redirects(settings.tls_redirect.as_deref(), note);
    if !is_asked {
        for (name, is_set) in [
            ("ROPELINE_TLS_LISTEN", listen.is_some()),
            ("ROPELINE_TLS_REDIRECT", redirects),
        ] {
            if is_set {
                note(format!(
                    "{name}: there is no certificate; set ROPELINE_TLS_CERT and ROPELINE_TLS_KEY \
                     too, or ROPELINE_ACME_DOMAINS"
                ));
            }
        }
    }
    Some(TlsSettings {
        listen: listen_at,
        source: match wanted {
            Some(wanted) => CertificateSource::Acme(wanted),
            None => CertificateSource::Files(files?),
        },
        redirects,
    })
}

fn redirects(text: Option<&str>, note: &mut impl FnMut(String)) -> bool {
    match text.map(str::trim) {
        None | Some("off") => false,
        Some("on") => true,
        Some(other) => {
            note(format!(
                "ROPELINE_TLS_REDIRECT: `{other}` is neither on nor off"
            ));
            false
        }
    }
}

/// The files of a certificate and its key, each a setting with this name, read once.
fn pair(
    (cert_name, cert): (&str, Option<&str>),
    (key_name, key): (&str, Option<&str>),
    note: &mut impl FnMut(String),
    warnings: &mut Vec<String>,
) -> Option<PairFiles> {
    let (cert, key) = match (cert, key) {
        (None, None) => return None,
        (Some(cert), Some(key)) => (cert, key),
        (cert, _) => {
            let (set, other) = if cert.is_some() {
                (cert_name, key_name)
            } else {
                (key_name, cert_name)
            };
            note(format!("{set} is set without {other}: TLS needs both"));
            return None;
        }
    };
    let files = PairFiles {
        cert: PathBuf::from(cert),
        key: PathBuf::from(key),
    };
    match files.read() {
        Ok(certified) => warnings.extend(expiry_warning(cert_name, certified.expires_at)),
        Err(error @ PairError::Certificate { .. }) => note(format!("{cert_name}: {error}")),
        Err(error @ PairError::Key { .. }) => note(format!("{key_name}: {error}")),
    }
    Some(files)
}

/// A warning of a certificate that has expired or will soon.
fn expiry_warning(name: &str, expires_at: Duration) -> Option<String> {
    let now = Duration::from_millis(SystemClock.now().as_ms().try_into().unwrap_or_default());
    match expires_at.checked_sub(now) {
        None => Some(format!(
            "{name}: the certificate has expired, and browsers refuse it"
        )),
        Some(left) if left < EXPIRY_WARNED => Some(format!(
            "{name}: the certificate expires in {} hours",
            left.as_secs() / 3600
        )),
        Some(_) => None,
    }
}

fn proxy_protocol(settings: &Settings, note: &mut impl FnMut(String)) -> ProxyProtocol {
    match settings.proxy_protocol.as_deref().map(str::trim) {
        None | Some("off") => ProxyProtocol::Off,
        Some("v1v2") => {
            if settings.trusted_proxies.is_none() {
                note(
                    "ROPELINE_PROXY_PROTOCOL: it is believed from trusted proxies only, and \
                     nobody else could connect; name them in ROPELINE_TRUSTED_PROXIES"
                        .to_owned(),
                );
            }
            ProxyProtocol::V1V2
        }
        Some(other) => {
            note(format!(
                "ROPELINE_PROXY_PROTOCOL: `{other}` is not one of off, v1v2"
            ));
            ProxyProtocol::Off
        }
    }
}

/// An address and port, or a name that stands for one. Of several addresses the first of IPv4 is
/// taken: whoever writes `localhost` expects to find us at 127.0.0.1.
fn address(
    given: Option<&str>,
    default: &str,
    name: &str,
    note: &mut impl FnMut(String),
) -> SocketAddr {
    let text = given.unwrap_or(default);
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    if let Ok(address) = text.parse() {
        return address;
    }
    let is_named = text
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !is_named {
        note(format!(
            "{name}: `{text}` is not an address and port such as {default}"
        ));
        return nowhere;
    }
    match text.to_socket_addrs() {
        Ok(found) => {
            let found: Vec<_> = found.collect();
            let first = found.iter().find(|address| address.is_ipv4());
            first.or(found.first()).copied().unwrap_or(nowhere)
        }
        Err(error) => {
            note(format!("{name}: `{text}` names no address: {error}"));
            nowhere
        }
    }
}

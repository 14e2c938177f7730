//! Settings of certificates that the gateway gets by itself.

use std::path::Path;

use super::settings::Settings;
use crate::acme::Wanted;

/// Let's Encrypt.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// The directory for account and certificate, within the data directory.
const KEPT_IN: &str = "acme";
/// Names that authorities put into one certificate.
const DOMAINS_MAX: usize = 100;

/// What is wanted of an authority; `None` if nothing is.
pub(super) fn acme(
    settings: &Settings,
    data_dir: &Path,
    note: &mut impl FnMut(String),
) -> Option<Wanted> {
    let Some(domains) = settings.acme_domains.as_deref() else {
        for (name, given) in [
            ("ROPELINE_ACME_EMAIL", &settings.acme_email),
            ("ROPELINE_ACME_DIRECTORY", &settings.acme_directory),
            ("ROPELINE_ACME_DIR", &settings.acme_dir),
        ] {
            if given.is_some() {
                note(format!(
                    "{name}: no certificate is ordered; name the domains in ROPELINE_ACME_DOMAINS"
                ));
            }
        }
        return None;
    };
    let mut named = Vec::new();
    for domain in domains.split(',').map(str::trim) {
        match read_domain(domain) {
            Ok(domain) if named.contains(&domain) => {}
            Ok(domain) => named.push(domain),
            Err(why) => note(format!("ROPELINE_ACME_DOMAINS: `{domain}` {why}")),
        }
    }
    if named.len() > DOMAINS_MAX {
        note(format!(
            "ROPELINE_ACME_DOMAINS: a certificate is for {DOMAINS_MAX} names at most, not for {}",
            named.len()
        ));
    }
    let email = settings.acme_email.as_deref().map(str::trim);
    if let Some(email) = email
        && !is_email(email)
    {
        note(format!(
            "ROPELINE_ACME_EMAIL: `{email}` is no address such as admin@example.org"
        ));
    }
    let directory = settings.acme_directory.as_deref().unwrap_or(DIRECTORY);
    let directory = directory.trim();
    if !url::Url::parse(directory).is_ok_and(|url| url.scheme() == "https" && url.has_host()) {
        note(format!(
            "ROPELINE_ACME_DIRECTORY: `{directory}` is no URL such as {DIRECTORY}"
        ));
    }
    let kept_in = match settings.acme_dir.as_deref() {
        None => data_dir.join(KEPT_IN),
        Some(given) => std::path::absolute(given).unwrap_or_else(|error| {
            note(format!("ROPELINE_ACME_DIR: {given}: {error}"));
            data_dir.join(KEPT_IN)
        }),
    };
    if kept_in.exists() && !kept_in.is_dir() {
        note(format!(
            "ROPELINE_ACME_DIR: {} is no directory",
            kept_in.display()
        ));
    }
    Some(Wanted {
        domains: named,
        email: email.map(str::to_owned),
        directory: directory.to_owned(),
        kept_in,
    })
}

/// A name as authorities write it.
fn read_domain(text: &str) -> Result<String, &'static str> {
    if text.starts_with("*.") {
        return Err(
            "is for every name below another, which authorities give only to those who change \
             their DNS: have another program get it, and name its files in ROPELINE_TLS_CERT and \
             ROPELINE_TLS_KEY",
        );
    }
    match url::Host::parse(text) {
        Ok(url::Host::Domain(domain)) if is_name(&domain) => Ok(domain),
        Ok(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => {
            Err("is an address, and certificates are ordered for names only")
        }
        _ => Err("is no name such as tickets.example.org"),
    }
}

fn is_name(domain: &str) -> bool {
    let is_label = |label: &str| {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(is_good)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.len() <= 253 && domain.contains('.') && domain.split('.').all(is_label)
}

fn is_email(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b',' | b'?' | b'<' | b'>');
    text.bytes().all(is_plain)
        && text
            .split_once('@')
            .is_some_and(|(who, host)| !who.is_empty() && host.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_authorities_write_them() {
        for (given, read) in [
            ("Tickets.Example.org", "tickets.example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(read_domain(given).as_deref(), Ok(read));
        }
        for refused in [
            "",
            "*.example.org",
            "localhost",
            "192.0.2.1",
            "[::1]",
            "a_b.example.org",
            "-a.example.org",
            "https://example.org",
            "example.org:443",
            "example..org",
        ] {
            assert!(read_domain(refused).is_err(), "{refused}");
        }
    }
}

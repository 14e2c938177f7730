//! What a browser gives us so that we can tell it something, checked. Pure.

use contract::contact::PushSubscription;
use data_encoding::BASE64URL_NOPAD;
use p256::PublicKey;
use url::Url;

use crate::channels::told::Browser;

/// Longest address of a push service that is stored, in bytes.
const ENDPOINT_BYTES_MAX: usize = 1000;

/// The hosts of the push services of the browsers; `.x` means every host below `x`.
const PUSH_HOSTS: [&str; 5] = [
    "fcm.googleapis.com",
    "web.push.apple.com",
    ".push.apple.com",
    ".push.services.mozilla.com",
    ".notify.windows.com",
];

/// The push services to which messages go. A fan names the address, so that it could otherwise be
/// one inside the operator's network.
#[derive(Clone, Debug, Default)]
pub(crate) struct PushHosts {
    /// Origins that are believed beside those of the browsers, such as `https://push.example`.
    pub(crate) more: Vec<String>,
}

impl PushHosts {
    /// Whether messages may go to `endpoint`.
    pub(crate) fn allow(&self, endpoint: &Url) -> bool {
        let origin = endpoint.origin().ascii_serialization();
        if self.more.contains(&origin) {
            return true;
        }
        let Some(host) = endpoint.host_str() else {
            return false;
        };
        let is_known = |known: &&str| match known.strip_prefix('.') {
            Some(parent) => host
                .strip_suffix(parent)
                .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1),
            None => host == *known,
        };
        endpoint.scheme() == "https"
            && matches!(endpoint.port(), None | Some(443))
            && endpoint.username().is_empty()
            && PUSH_HOSTS.iter().any(is_known)
    }
}

/// The subscription as a browser that can be told something, or what is wrong with it.
pub(crate) fn read(given: &PushSubscription, hosts: &PushHosts) -> Result<Browser, &'static str> {
    let endpoint = Url::parse(&given.endpoint).map_err(|_| "is no URL")?;
    if given.endpoint.len() > ENDPOINT_BYTES_MAX {
        return Err("is too long");
    }
    if !hosts.allow(&endpoint) {
        return Err("is no push service that we know");
    }
    let decoded = |text: &str| {
        BASE64URL_NOPAD
            .decode(text.trim_end_matches('=').as_bytes())
            .ok()
    };
    let p256dh = decoded(&given.keys.p256dh).filter(|key| key.len() == 65);
    let p256dh = p256dh.filter(|key| PublicKey::from_sec1_bytes(key).is_ok());
    let auth = decoded(&given.keys.auth).filter(|secret| secret.len() == 16);
    Ok(Browser {
        subscription_id: None,
        endpoint: endpoint.into(),
        p256dh: p256dh.ok_or("has a damaged key")?,
        auth: auth.ok_or("has a damaged secret")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_to_push_services_only() {
        let hosts = PushHosts {
            more: vec!["http://127.0.0.1:9".to_owned()],
        };
        let allows = |url: &str| hosts.allow(&Url::parse(url).unwrap());
        for url in [
            "https://fcm.googleapis.com/fcm/send/a:b",
            "https://updates.push.services.mozilla.com/wpush/v2/x",
            "https://web.push.apple.com/Q",
            "https://wns2-par02p.notify.windows.com/w/?token=x",
            "http://127.0.0.1:9/x",
        ] {
            assert!(allows(url), "{url}");
        }
        for url in [
            "http://fcm.googleapis.com/x",
            "https://fcm.googleapis.com:8443/x",
            "https://fcm.googleapis.com.evil.example/x",
            "https://evilpush.services.mozilla.com/x",
            "https://127.0.0.1/x",
            "https://user@fcm.googleapis.com/x",
            "http://127.0.0.1:10/x",
            "file:///etc/passwd",
        ] {
            assert!(!allows(url), "{url}");
        }
    }
}

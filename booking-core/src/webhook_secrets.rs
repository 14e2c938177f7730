//! Secrets of subscriptions and the signatures made with them, as Standard Webhooks has them. Pure.

use std::time::Duration;

use contract::Timestamp;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// Random bytes of a secret.
pub(crate) const SECRET_BYTES: usize = 32;
/// Secrets that may be good at the same time. A constraint in the database says so too.
const SECRETS_MAX: usize = 4;
/// How long the secret before is good after an exchange.
pub(crate) const OVERLAP: Duration = Duration::from_hours(24);

/// One secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Secret {
    secret: String,
    /// When it is good no longer; the newest has no end.
    #[serde(default)]
    ends_at: Option<Timestamp>,
}

/// The secrets of a subscription, the newest first.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secrets(Vec<Secret>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// One secret of these random bytes.
    pub(crate) fn new(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(vec![Secret {
            secret: format!("{PREFIX}{}", BASE64.encode(&bytes)),
            ends_at: None,
        }])
    }

    /// The newest secret, as its receiver stores it.
    pub(crate) fn newest(&self) -> &str {
        self.0.first().map_or("", |newest| &newest.secret)
    }

    /// The secrets with a new one. Those before stay good for `overlap` at most.
    pub(crate) fn exchanged(
        &self,
        bytes: [u8; SECRET_BYTES],
        overlap: Duration,
        now: Timestamp,
    ) -> Self {
        let Self(mut secrets) = Self::new(bytes);
        let end = now.plus(overlap);
        let before = self.good(now).filter(|_| !overlap.is_zero());
        secrets.extend(before.map(|secret| Secret {
            secret: secret.secret.clone(),
            ends_at: Some(secret.ends_at.map_or(end, |ends_at| ends_at.min(end))),
        }));
        secrets.truncate(SECRETS_MAX);
        Self(secrets)
    }

    fn good(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        let is_good = move |secret: &&Secret| secret.ends_at.is_none_or(|end| end > now);
        self.0.iter().filter(is_good)
    }

    /// The value of `webhook-signature`: one signature for each secret that is good.
    pub(crate) fn signatures(&self, id: &str, body: &[u8], now: Timestamp) -> String {
        let seconds = now.as_unix_seconds().to_string();
        let parts = [id.as_bytes(), b".", seconds.as_bytes(), b".", body];
        let signatures = self
            .good(now)
            .filter_map(|secret| sign(&secret.secret, &parts));
        signatures.collect::<Vec<_>>().join(" ")
    }
}

fn sign(secret: &str, parts: &[&[u8]]) -> Option<String> {
    let key = BASE64
        .decode(secret.strip_prefix(PREFIX)?.as_bytes())
        .ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(format!(
        "v1,{}",
        BASE64.encode(&mac.finalize().into_bytes())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_has_the_signature_that_it_names() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let body = br#"{"test": 2432232314}"#;
        let parts: [&[u8]; 5] = [
            b"msg_p5jXN8AQM9LWM0D4loKWxJek",
            b".",
            b"1614265330",
            b".",
            body,
        ];
        let signature = sign(secret, &parts).unwrap();
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn an_exchange_signs_with_both_until_the_end_of_the_one_before() {
        let now = Timestamp::from_ms(1_790_000_000_000);
        let first = Secrets::new([1; SECRET_BYTES]);
        let second = first.exchanged([2; SECRET_BYTES], OVERLAP, now);
        assert_ne!(first.newest(), second.newest());
        let count = |secrets: &Secrets, at| secrets.signatures("id", b"", at).split(' ').count();
        assert_eq!(count(&first, now), 1);
        assert_eq!(count(&second, now), 2);
        assert_eq!(count(&second, now.plus(OVERLAP)), 1);
        // Without an overlap, as for a secret that leaked, the new one is alone at once.
        let alone = second.exchanged([3; SECRET_BYTES], Duration::ZERO, now);
        assert_eq!(count(&alone, now), 1);
        let mut many = first;
        for byte in 10..20 {
            many = many.exchanged([byte; SECRET_BYTES], OVERLAP, now);
        }
        assert_eq!(count(&many, now), SECRETS_MAX);
    }
}

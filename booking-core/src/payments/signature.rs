//! Signatures of webhooks: `t=<seconds>,v1=<hex>`, HMAC-SHA256 over `t.body`.

use contract::Timestamp;
use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::config::WEBHOOK_TOLERANCE;

/// Signatures that one header may carry; the provider sends two while a secret is rotated.
const SIGNATURES_MAX: usize = 8;

/// Whether `header` contains a signature of `body` with `secret` whose time is close to `now`.
pub(crate) fn verify(header: &str, body: &[u8], secret: &str, now: Timestamp) -> bool {
    let fields = || {
        header
            .split(',')
            .filter_map(|field| field.trim().split_once('='))
    };
    let Some(time) = fields()
        .find(|(name, _)| *name == "t")
        .map(|(_, value)| value)
    else {
        return false;
    };
    let Ok(seconds) = time.parse::<i64>() else {
        return false;
    };
    let tolerance = i64::try_from(WEBHOOK_TOLERANCE.as_secs()).unwrap_or(i64::MAX);
    if now.as_unix_seconds().abs_diff(seconds) > tolerance.unsigned_abs() {
        return false;
    }
    let expected = sign(time, body, secret);
    fields()
        .filter(|(name, _)| *name == "v1")
        .take(SIGNATURES_MAX)
        .filter_map(|(_, value)| HEXLOWER_PERMISSIVE.decode(value.as_bytes()).ok())
        .any(|signature| bool::from(signature.as_slice().ct_eq(&expected)))
}

fn sign(time: &str, body: &[u8], secret: &str) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        unreachable!("HMAC takes keys of any length")
    };
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn header(seconds: i64, body: &[u8], secret: &str) -> String {
        let time = seconds.to_string();
        format!(
            "t={time},v1={}",
            HEXLOWER.encode(&sign(&time, body, secret))
        )
    }

    #[test]
    fn only_a_fresh_signature_of_this_body_passes() {
        let seconds = NOW.as_unix_seconds();
        let good = header(seconds, b"{}", "whsec");
        assert!(verify(&good, b"{}", "whsec", NOW));
        assert!(verify(&format!("v1=00,{good}"), b"{}", "whsec", NOW));
        assert!(!verify(&good, b"{ }", "whsec", NOW));
        assert!(!verify(&good, b"{}", "other", NOW));
        assert!(!verify(
            &header(seconds - 301, b"{}", "whsec"),
            b"{}",
            "whsec",
            NOW
        ));
        assert!(!verify(
            &header(seconds + 301, b"{}", "whsec"),
            b"{}",
            "whsec",
            NOW
        ));
        for broken in ["", "t=1", "v1=00", "t=x,v1=00", "t=1790000000,v1=zz"] {
            assert!(!verify(broken, b"{}", "whsec", NOW), "{broken}");
        }
    }
}

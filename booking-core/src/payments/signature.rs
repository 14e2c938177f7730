//! Signatures of webhooks, each an HMAC-SHA256: with a time, `t=<seconds>,v1=<hex>` over `t.body`
//! (Stripe), or of the body alone, as hex (Razorpay).

use contract::Timestamp;
use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::config::WEBHOOK_TOLERANCE;

/// Signatures that one header may carry; the provider sends two while a secret is rotated.
const SIGNATURES_MAX: usize = 8;

/// Whether `header` contains a signature of `body` with `secret` whose time is close to `now`.
pub(crate) fn verify_timed(header: &str, body: &[u8], secret: &str, now: Timestamp) -> bool {
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
    let expected = sign(&[time.as_bytes(), b".", body], secret);
    fields()
        .filter(|(name, _)| *name == "v1")
        .take(SIGNATURES_MAX)
        .filter_map(|(_, value)| HEXLOWER_PERMISSIVE.decode(value.as_bytes()).ok())
        .any(|signature| bool::from(signature.as_slice().ct_eq(&expected)))
}

/// Whether `header` is the signature of `body` with `secret`. It has no time, so a copy stays valid;
/// events are told apart by their ids.
pub(crate) fn verify_plain(header: &str, body: &[u8], secret: &str) -> bool {
    let signature = HEXLOWER_PERMISSIVE.decode(header.trim().as_bytes());
    let expected = sign(&[body], secret);
    signature.is_ok_and(|signature| bool::from(signature.as_slice().ct_eq(&expected)))
}

fn sign(parts: &[&[u8]], secret: &str) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        unreachable!("HMAC takes keys of any length")
    };
    for part in parts {
        mac.update(part);
    }
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
            HEXLOWER.encode(&sign(&[time.as_bytes(), b".", body], secret))
        )
    }

    #[test]
    fn only_a_fresh_signature_of_this_body_passes() {
        let seconds = NOW.as_unix_seconds();
        let good = header(seconds, b"{}", "whsec");
        assert!(verify_timed(&good, b"{}", "whsec", NOW));
        assert!(verify_timed(&format!("v1=00,{good}"), b"{}", "whsec", NOW));
        assert!(!verify_timed(&good, b"{ }", "whsec", NOW));
        assert!(!verify_timed(&good, b"{}", "other", NOW));
        assert!(!verify_timed(
            &header(seconds - 301, b"{}", "whsec"),
            b"{}",
            "whsec",
            NOW
        ));
        assert!(!verify_timed(
            &header(seconds + 301, b"{}", "whsec"),
            b"{}",
            "whsec",
            NOW
        ));
        for broken in ["", "t=1", "v1=00", "t=x,v1=00", "t=1790000000,v1=zz"] {
            assert!(!verify_timed(broken, b"{}", "whsec", NOW), "{broken}");
        }
    }
    #[test]
    fn only_the_signature_of_this_body_passes() {
        // Computed with: printf '{"event":"payment.captured"}' | openssl dgst -sha256 -hmac whsec
        let signature = "4673dd707ef4c41b987cb7fefe1583142dc702388c93145b7814b9ad3d3c183e";
        let body = br#"{"event":"payment.captured"}"#;
        assert!(verify_plain(signature, body, "whsec"));
        assert!(!verify_plain(signature, body, "other"));
        assert!(!verify_plain(signature, b"{}", "whsec"));
        for broken in ["", "zz", &signature[..62]] {
            assert!(!verify_plain(broken, body, "whsec"), "{broken}");
        }
    }
}

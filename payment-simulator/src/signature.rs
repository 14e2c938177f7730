//! Signatures of webhooks: the `Stripe-Signature` header, and Razorpay's of the body alone.

use contract::Timestamp;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// `t=<unix seconds>,v1=<hex of HMAC-SHA256 over "t.body">`.
pub(crate) fn sign(secret: &str, at: Timestamp, body: &str) -> String {
    let seconds = at.as_unix_seconds();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of every length"));
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    let tag = HEXLOWER.encode(&mac.finalize().into_bytes());
    format!("t={seconds},v1={tag}")
}

/// The hex of HMAC-SHA256 over `text`.
pub(crate) fn sign_plain(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of every length"));
    mac.update(text.as_bytes());
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_the_time_and_the_body() {
        // Computed with: printf '1790000000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test
        let at = Timestamp::from_ms(1_790_000_000_999);
        let signature = sign("whsec_test", at, r#"{"id":"evt_1"}"#);
        assert_eq!(
            signature,
            "t=1790000000,v1=e32657f3e678d33b41ec084c16ac0e125d25480a06cb3902286dc5942c6fd259"
        );
        assert_ne!(signature, sign("whsec_other", at, r#"{"id":"evt_1"}"#));
        assert_ne!(signature, sign("whsec_test", at, r#"{"id":"evt_2"}"#));
    }
}
